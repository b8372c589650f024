"""The gateway process: what monitors and, later, browsers ask over HTTPS (ADR 30)."""
