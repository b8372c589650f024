"""Structured log records: categories, files, rotation."""
