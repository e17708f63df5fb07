"""The GraphiQL page at /graphql, served without any outside address."""
