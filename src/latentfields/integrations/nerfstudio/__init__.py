"""Nerfstudio's methods in the latent space of image autoencoders (IG-AE App. B.1).

`adapter` makes a stock ray model render latents, `model` decodes what it renders, `datamanager` encodes the data once,
`pipeline` trains the two stages, `methods` has the paper's settings, `fields` and `gaussians` bring this package's own
representations, `environment` and `launcher` make it run where Nerfstudio's dependencies do not. See
docs/nerfstudio.md.
"""
