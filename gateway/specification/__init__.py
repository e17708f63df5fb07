"""What a change of the specification does to the mappings and queries that were written against it."""
