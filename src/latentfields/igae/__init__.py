"""Training an autoencoder whose latents are 3D-consistent (IG-AE Sec. 4)."""
