"""Real processes under load, faults at random moments and at named points, an independent checker.

``python -m tests.crash.chaos --help``; what the trials are and what they found: docs/reliability.md.
"""
