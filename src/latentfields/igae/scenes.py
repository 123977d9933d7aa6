"""The set of latent scenes: N Tri-Planes with their optimiser state, kept in host memory.

Only the scenes of a batch are ever on the device. Per scene this keeps 3 planes of K x K x F floats, two Adam moments
of the same size, a density grid of G^3 floats, its hull of G^3 flags and a counter: 36 K^2 F + 5 G^3 + 8 bytes, 4.9 MB
for K = 64, F = 32 and G = 32. So N = 500 takes 2.4 GB of host memory in every process, and a batch of 12 takes 0.08 GB
of the device, gradients included, whatever N is. While a checkpoint is written, host memory holds copies of all this.

With CUDA the stored tensors are pinned: scenes come and go while the device computes, and what has gone is there once
the device was waited for (`settle`).

Scenes that are absent from a batch do not move: their moments and step counts belong to them alone.

Shape suffixes: N scenes, K plane resolution, F plane features, G cells per side of a density grid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim.adam import adam

from latentfields.devices import upload, wait_for
from latentfields.fields.triplane import PLANES_SPREAD
from latentfields.igae.config import LatentScenesConfig
from latentfields.rendering.grid_sampler import GridSampler

CPU = torch.device("cpu")

BETAS = (0.9, 0.99)
EPSILON = 1e-15
"""Of Adam. Most cells of a plane are far from surfaces and get tiny gradients; they must not stand still."""


@dataclass(frozen=True)
class ActiveScene:
    """One scene on the device. On the CPU these are the stored tensors themselves, not copies."""

    index: int
    """Its number in the set."""
    planes: Tensor
    """(3, K, K, F), a leaf that takes gradients."""
    first_moment: Tensor
    """(3, K, K, F) running mean of gradients."""
    second_moment: Tensor
    """(3, K, K, F) running mean of squared gradients."""
    sampler: GridSampler
    """Knows where the scene is dense."""
    visits: int
    """Batches that the scene was part of before, since its moments were last renewed."""

    @property
    def nbytes(self) -> int:
        """Bytes on the device, without gradients and indices of cells."""
        grid = self.sampler.grid
        planes = self.planes.nbytes + self.first_moment.nbytes + self.second_moment.nbytes
        return planes + grid.density.nbytes + grid.candidates.nbytes


class LatentScenes:
    """All scenes."""

    def __init__(
        self, hulls: Tensor, config: LatentScenesConfig, *, seed: int, device: torch.device = CPU
    ) -> None:
        """One scene for each of the `hulls` (N, G^3), bool: cells that may hold something; planes by `seed`.

        Scenes are fetched to `device`.
        """
        k, f = config.resolution, config.features
        self.sampling = config.sampling
        self.device = device
        self.hulls = hulls
        pinned = device.type == "cuda"
        self.planes = torch.empty(len(hulls), 3, k, k, f, pin_memory=pinned)
        generator = torch.Generator().manual_seed(seed)
        for planes in self.planes:
            planes.normal_(std=PLANES_SPREAD, generator=generator)
        self.first_moment = torch.zeros_like(self.planes, pin_memory=pinned)
        self.second_moment = torch.zeros_like(self.planes, pin_memory=pinned)
        density = GridSampler(self.sampling).grid.density * hulls
        self.density = density.pin_memory() if pinned else density
        self._arriving = False
        self.visits = torch.zeros(len(hulls), dtype=torch.int64)

    def __len__(self) -> int:
        return len(self.planes)

    @property
    def nbytes(self) -> int:
        """Bytes of host memory."""
        return self.hulls.nbytes + sum(tensor.nbytes for tensor in self.state_dict().values())

    def fetch(self, indices: Sequence[int]) -> list[ActiveScene]:
        """The chosen scenes on the device."""
        return [self._fetch(index) for index in indices]

    def _fetch(self, index: int) -> ActiveScene:
        sampler = GridSampler(self.sampling)
        hull = self.hulls[index]
        # The cells are counted here: the device would have to be waited for.
        sampler.grid.adopt(
            *(upload(part, self.device) for part in (self.density[index], hull, hull.nonzero()[:, 0]))
        )
        return ActiveScene(
            index=index,
            planes=upload(self.planes[index].detach(), self.device).requires_grad_(),
            first_moment=upload(self.first_moment[index], self.device),
            second_moment=upload(self.second_moment[index], self.device),
            sampler=sampler,
            visits=int(self.visits[index]),
        )

    @torch.no_grad()
    def update(self, scenes: Sequence[ActiveScene], *, learning_rate: float) -> None:
        """One Adam step for each of the scenes by its gradient, counted from the scene's own first step."""
        gradients = [scene.planes.grad for scene in scenes]
        assert all(gradient is not None for gradient in gradients)
        visits = torch.tensor([float(scene.visits) for scene in scenes])
        adam(
            [scene.planes for scene in scenes],
            [gradient for gradient in gradients if gradient is not None],
            [scene.first_moment for scene in scenes],
            [scene.second_moment for scene in scenes],
            [],
            list(upload(visits, self.device).unbind()),
            fused=True,
            amsgrad=False,
            maximize=False,
            weight_decay=0.0,
            beta1=BETAS[0],
            beta2=BETAS[1],
            eps=EPSILON,
            lr=learning_rate,
        )
        for scene in scenes:
            self._put_back(scene)

    def _put_back(self, scene: ActiveScene) -> None:
        self.visits[scene.index] = scene.visits + 1
        for stored, current in (
            (self.planes, scene.planes.detach()),
            (self.first_moment, scene.first_moment),
            (self.second_moment, scene.second_moment),
            (self.density, scene.sampler.grid.density),
        ):
            row = stored[scene.index]
            if current.device.type != "cpu":
                row.copy_(current, non_blocking=True)
                self._arriving = True
            elif row.data_ptr() != current.data_ptr():
                row.copy_(current)

    def settle(self) -> None:
        """Wait until all scenes that were put back are here. Everything but `fetch` looks at them after that alone."""
        if self._arriving:
            wait_for(self.device)
            self._arriving = False

    def renew_moments(self) -> None:
        """Forget the moments of all scenes and count their batches from zero."""
        self.settle()
        self.first_moment.zero_()
        self.second_moment.zero_()
        self.visits.zero_()

    def record(self, index: int) -> list[Tensor]:
        """Everything about one scene, as views of the stored tensors: what processes send each other."""
        self.settle()
        return [tensor[index] for tensor in self.state_dict().values()]

    def load_state_dict(self, state_dict: Mapping[str, Tensor], /) -> None:
        """Continue from `state_dict`."""
        for name, tensor in self.state_dict().items():
            tensor.copy_(state_dict[name])

    def state_dict(self) -> dict[str, Tensor]:
        """Everything about all scenes: the stored tensors themselves."""
        self.settle()
        return {
            "planes": self.planes,
            "first_moment": self.first_moment,
            "second_moment": self.second_moment,
            "density": self.density,
            "visits": self.visits,
        }
