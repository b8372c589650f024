"""The RSA-OAEP and AES-256-GCM envelope without I/O: handshake, key schedule, records."""
