"""The log of a cluster: the batches of the event log, sealed, in a stream for several machines (ADR 47)."""
