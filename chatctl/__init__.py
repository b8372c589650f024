"""Clients of chatd: the administration command and the chat programs."""
