"""A judge of pictures of objects: a small network that knows real renderings by class and by camera azimuth.

Its features say how far generated pictures are from real ones, and from each other. Shape suffixes: N pictures, S side
of a picture, F features, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate

from latentfields.training.checkpoint import load_tensors, save_tensors
from latentfields.training.schedules import cosine_decay

SIDE = 64
"""Of the pictures that are looked at; larger ones are shrunk."""
WIDTHS = (32, 64, 96, 128)
"""Channels after each halving of the resolution."""
LARGEST_ERROR = 45.0
"""Degrees of azimuth up to which a view is recognised."""
_GROUPS = 8
_BATCH = 32
_LEARNING_RATE = 2e-3
_BLURS = (1, 2, 4)
"""Pictures are coarsened by one of these: sharpness tells no class."""


class Judge(nn.Module):
    """Tells the class and the azimuth of pictures of objects on white."""

    def __init__(self, classes: int) -> None:
        """With random weights, from torch's generator."""
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for width in WIDTHS:
            layers += [
                nn.Conv2d(inputs, width, 3, stride=2, padding=1),
                nn.GroupNorm(_GROUPS, width),
                nn.ReLU(),
            ]
            inputs = width
        self.body = nn.Sequential(*layers, nn.Conv2d(inputs, inputs, 3, padding=1), nn.ReLU())
        self.classes = nn.Linear(inputs, classes)
        self.azimuth = nn.Linear(inputs, 2)

    def features(self, images: Tensor) -> Tensor:
        """(N, F) of pictures (N, 3, H, W) in [0, 1] whose sides are multiples of `SIDE`, or smaller ones."""
        return self._pooled(at_judged_size(images))

    def _pooled(self, images: Tensor) -> Tensor:
        pooled: Tensor = self.body(2 * images - 1).mean(dim=(2, 3))
        return pooled

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N, K) of classes, and (N, 2) cosine and sine of the azimuth, of pictures (N, 3, S, S)."""
        features = self._pooled(images)
        return self.classes(features), self.azimuth(features)


@dataclass(frozen=True)
class Pictures:
    """Pictures of which all is known."""

    images: Tensor
    """(N, 3, S, S) in [0, 1]."""
    classes: Tensor
    """(N,) int64."""
    azimuths: Tensor
    """(N,) in radians."""


@dataclass(frozen=True)
class Verdict:
    """Shares of pictures that are recognised."""

    right_class: float
    right_view: float
    """Of the camera's azimuth, by `LARGEST_ERROR`."""
    accuracy: float
    """Both at once."""


def at_judged_size(images: Tensor) -> Tensor:
    """Pictures (N, 3, H, H) with `SIDE` pixels on a side."""
    if images.shape[-1] == SIDE:
        return images
    return interpolate(images, size=(SIDE, SIDE), mode="area")


def azimuths(directions: Tensor) -> Tensor:
    """(N,) radians around z of unit vectors (N, 3) towards cameras."""
    return torch.atan2(directions[:, 1], directions[:, 0])


def train_judge(pictures: Pictures, *, classes: int, steps: int, seed: int = 0) -> Judge:
    """Return a judge that was trained on real pictures, on the CPU. The same seed gives the same bytes."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        judge = Judge(classes)
    optimizer = torch.optim.AdamW(judge.parameters(), lr=_LEARNING_RATE, fused=True)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = _LEARNING_RATE * cosine_decay(step / steps, final=0.0)
        chosen = torch.randint(len(pictures.images), (_BATCH,), generator=generator)
        coarser = _BLURS[int(torch.randint(len(_BLURS), (1,), generator=generator))]
        logits, around = judge(_coarsened(pictures.images[chosen], coarser))
        angles = pictures.azimuths[chosen]
        wanted = torch.stack([angles.cos(), angles.sin()], dim=1)
        loss = cross_entropy(logits, pictures.classes[chosen]) + (around - wanted).square().sum(dim=1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return judge.requires_grad_(False).eval()


def _coarsened(images: Tensor, factor: int) -> Tensor:
    if factor == 1:
        return images
    small = torch.nn.functional.avg_pool2d(images, factor)
    return interpolate(small, size=images.shape[-2:], mode="bilinear")


@torch.no_grad()
def judged(judge: Judge, pictures: Pictures) -> Verdict:
    """Return how many of the pictures a judge recognises."""
    logits, around = judge(pictures.images)
    right_class = logits.argmax(dim=1) == pictures.classes
    difference = torch.atan2(around[:, 1], around[:, 0]) - pictures.azimuths
    apart = torch.atan2(difference.sin(), difference.cos()).abs()
    right_view = apart < math.radians(LARGEST_ERROR)
    shares = [float(kind.float().mean()) for kind in (right_class, right_view, right_class & right_view)]
    return Verdict(*shares)


def feature_distance(first: Tensor, second: Tensor) -> float:
    """Return the kernel distance (KID, Binkowski et al. 2018) of features (N, F) and (M, F): 0 for one distribution.

    The unbiased estimate, which may be below 0, with the kernel (x y / F + 1)^3.
    """

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T / a.shape[1] + 1) ** 3

    def within(a: Tensor) -> Tensor:
        values = kernel(a, a)
        return (values.sum() - values.diagonal().sum()) / (len(a) * (len(a) - 1))

    first, second = first.double(), second.double()
    return float(within(first) + within(second) - 2 * kernel(first, second).mean())


def spread(features: Tensor) -> float:
    """Return the mean distance between the features (N, F) of two different pictures."""
    apart = torch.cdist(features.double(), features.double())
    return float(apart.sum() / (len(features) * (len(features) - 1)))


def save_judge(judge: Judge, path: Path, *, names: Sequence[str]) -> None:
    """Write a judge, with the names of its classes, into a file."""
    save_tensors(path, judge.state_dict(), {"names": list(names)})


def load_judge(path: Path) -> tuple[Judge, tuple[str, ...]]:
    """Return the judge in a file, and the names of its classes."""
    tensors, metadata = load_tensors(path)
    names = tuple(metadata["names"])
    with torch.random.fork_rng(devices=[]):
        judge = Judge(len(names))
    judge.load_state_dict(tensors)
    return judge.requires_grad_(False).eval(), names
