"""Real processes under load, faults at random moments and at named points, an independent checker.

``python -m tests.chaos --help``; what the trials are and what they found: docs/reliability.md.
"""
