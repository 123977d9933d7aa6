"""The floor under every trainer: loop, checkpoints and resume, run folders, jobs, optimisers."""
