"""The tables of the papers as commands: benchmarks at several scales, resumable cell by cell."""
