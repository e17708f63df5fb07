"""The parts of the benchmark of lists: made-up cases, how they come into the store, the two servers, and their questions."""
