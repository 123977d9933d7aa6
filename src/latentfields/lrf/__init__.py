"""Latent Radiance Fields (LRF): correspondence-aware autoencoding, latent fields, decoder alignment."""
