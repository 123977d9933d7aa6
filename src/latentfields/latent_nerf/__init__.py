"""The latent NeRF pipeline of IG-AE Sec. 3: Latent Supervision, then RGB Alignment."""
