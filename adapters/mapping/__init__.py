"""The mapping language: YAML of a source folder, checked, and compiled into functions on records."""
