"""The child side of supervision: lifeline, heartbeat, settings handed down."""
