"""TLS connections as threads see them: listener, channel, outbox."""
