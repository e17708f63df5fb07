"""Programs that measure: ours against a floor and a peer, in one run, in interleaved rounds, medians and ratios."""
