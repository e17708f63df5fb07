"""The specification handed out and taken back: spreadsheets, JSON Schema, data contracts, and what changed."""
