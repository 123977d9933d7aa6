"""Measures of images and latents: fidelity, perceptual distance, agreement between views."""
