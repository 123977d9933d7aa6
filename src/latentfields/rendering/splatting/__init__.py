"""Gaussian splatting: 3D Gaussians with features of any number of channels, projected and composited."""
