"""The RSA-OAEP / AES-256-GCM envelope and the keys it uses."""
