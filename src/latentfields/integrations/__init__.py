"""Other frameworks that latent radiance fields can be fitted with."""
