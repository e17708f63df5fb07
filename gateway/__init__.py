"""The gateway: it answers GraphQL from many sources and lets what it learns flow back into its store."""
