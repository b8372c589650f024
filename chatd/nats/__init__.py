"""The nats process: runs nats-server, which keeps the stream of the cluster (ADR 47)."""
