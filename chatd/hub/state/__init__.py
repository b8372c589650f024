"""The hub's pure state machine: what is, who may, what happens. No clock, no randomness, no I/O."""
