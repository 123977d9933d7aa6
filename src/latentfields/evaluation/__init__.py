"""Metrics, pictures, reports and benchmarks."""
