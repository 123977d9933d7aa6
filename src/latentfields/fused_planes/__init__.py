"""Collections of objects that share base planes, an MLP and an autoencoder (Fused-Planes, arXiv 2410.23742)."""
