"""3D Gaussians with features of any number of channels: the field, its start, and how their number changes."""
