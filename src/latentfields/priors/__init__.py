"""2D priors of latents: denoisers conditioned on class, camera direction and a reference view, and distillation."""
