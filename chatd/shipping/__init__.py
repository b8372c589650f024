"""The shipper process: sends the log to a collector (syslog over TLS)."""
