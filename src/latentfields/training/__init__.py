"""What every trainer shares: loop, checkpoints and resume, run folders, optimisers."""
