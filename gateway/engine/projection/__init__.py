"""The compiled output: what one operation selects, read from the index by generated code and written as JSON."""
