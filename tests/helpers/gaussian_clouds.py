"""Gaussians to write and read, and a short fit that makes some."""

from __future__ import annotations

from dataclasses import replace

import torch

from helpers.tiny import TINY_FIT
from latentfields import FitConfig, preset
from latentfields.export.gaussians_ply import GaussianCloud
from latentfields.fields.config import GaussiansConfig
from latentfields.latent_nerf.config import Space


def random_cloud(count: int, *, channels: int, degree: int) -> GaussianCloud:
    torch.manual_seed(0)
    rest = (degree + 1) ** 2 - 1
    shapes = ((3,), (3,), (4,), (), (1, channels), (rest, channels))
    return GaussianCloud(*(torch.randn(count, *shape) for shape in shapes))


def tiny_gaussians_fit(space: Space) -> FitConfig:
    gaussians = preset("gaussians")
    assert isinstance(gaussians.field, GaussiansConfig)
    field = replace(gaussians.field, initial=40, degree=1)
    return replace(TINY_FIT, field=field, sampling=gaussians.sampling, space=space).with_steps(
        supervision=2, alignment=1
    )
