"""The parts of the engine's benchmark: upstream systems, the four servers under test, and the load."""
