"""A storage cluster in one thread: simulated clock, network and disk around production cores."""
