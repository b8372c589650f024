"""The hub's pure state machine: state, policy decisions, events. No clock, no randomness, no I/O."""
