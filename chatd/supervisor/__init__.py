"""The process that keeps all others alive."""
