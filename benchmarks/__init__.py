"""Speed of kernels and training steps, as ratios to their plain-PyTorch twins in the same process."""
