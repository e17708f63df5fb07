"""Everything that knows how a source speaks, and how its records become entities."""
