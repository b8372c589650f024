"""Trials that break a server under load; an independent checker then verifies the log.

Run ``python -m tests.chaos --help``. docs/reliability.md describes the trials and their results.
"""
