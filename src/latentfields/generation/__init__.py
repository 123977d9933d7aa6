"""Latent scenes made and changed by 2D latent priors."""
