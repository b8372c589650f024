"""Certificates: profiles, the authority that signs them, TLS contexts, identity files."""
