"""The parts of the benchmark of data return: made-up cases, the two feeds that tell them, and the three who take them in."""
