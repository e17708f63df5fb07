"""The native store: what every source told of every entity, raw and mapped, on SQLite or PostgreSQL."""
