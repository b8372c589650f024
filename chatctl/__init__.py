"""Clients of chatd: the library, the chat programs and the administration command."""
