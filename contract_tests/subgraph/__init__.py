"""The gateway as a subgraph: programs of Node.js around it, and the `products` subgraph of Apollo's compatibility suite."""
