"""Trainings of every kind, killed without warning at random moments: `python -m kill`, or `make kill`."""
