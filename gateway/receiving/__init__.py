"""Receiving: what agencies deliver of themselves, by files, HTTP or GraphQL, all by the door that data return comes in by."""
