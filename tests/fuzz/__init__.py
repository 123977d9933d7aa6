"""Damaged files of every kind that the package reads: `python -m fuzz`, or `make fuzz`."""
