"""The data element specification, and the GraphQL schema that is derived from it."""
