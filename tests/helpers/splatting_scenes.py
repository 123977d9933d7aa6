"""Gaussians and cameras for the tests of splatting."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from latentfields.cameras import Cameras, look_at
from latentfields.rendering.splatting.gaussians import Gaussians
from latentfields.rendering.splatting.projection import ProjectedGaussians


def crooked_camera(width: int = 22, height: int = 17) -> Cameras:
    """One camera that looks at the origin, with oblong pixels and its axis off the middle."""
    pose = look_at(torch.tensor([[0.4, -3.0, 0.7]]), torch.zeros(3), torch.tensor([0.1, 0.0, 1.0]))
    focal = torch.tensor([[1.3 * width, 1.7 * width]])
    return Cameras(pose, focal, torch.tensor([[0.4 * width, 0.6 * height]]), width, height)


def straight_camera(size: int, focal: float) -> Cameras:
    """One camera at the origin that looks along -z, with x to the right and y up."""
    centre = torch.full((1, 2), size / 2)
    return Cameras(torch.eye(4)[None], torch.full((1, 2), focal), centre, size, size)


def cloud(count: int, *, spread: float = 0.7, seed: int = 0, dtype: torch.dtype = torch.float32) -> Gaussians:
    """Gaussians of all shapes and opacities around the origin; some are beside or behind a camera near it."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    scales = 0.12 * torch.exp(0.7 * normal(count, 3))
    opacities = torch.sigmoid(2 * normal(count))
    return Gaussians(
        (spread * normal(count, 3)).to(dtype),
        normal(count, 4).to(dtype),
        scales.to(dtype),
        opacities.to(dtype),
    )


def tensors(record: Gaussians | ProjectedGaussians, *names: str) -> list[Tensor]:
    """The named members, all when none is named."""
    return [getattr(record, name) for name in names or [field.name for field in dataclasses.fields(record)]]


def trainable(gaussians: Gaussians) -> Gaussians:
    """A copy whose members take gradients."""
    return Gaussians(*(tensor.detach().clone().requires_grad_() for tensor in tensors(gaussians)))


def gradients(record: Gaussians | ProjectedGaussians, *names: str) -> list[Tensor]:
    """Those of the named members, zeros where nothing came."""
    members = tensors(record, *names)
    return [torch.zeros_like(m) if m.grad is None else m.grad for m in members]
