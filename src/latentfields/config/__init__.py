"""Configurations: frozen dataclasses to JSON and back, and the ranges of their numbers."""
