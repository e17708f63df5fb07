"""Reviewed migrations: what a breaking change of the specification does to stores that exist. Alembic applies them."""
