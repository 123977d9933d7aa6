"""The objects in training, on disk: only those of a batch are in memory, with their optimiser's state.

One file has two places for every object. What is put back goes to the place that the last checkpoint does not mean, so
that a process killed at any moment leaves the state of that checkpoint whole; the checkpoint itself holds no more than
one number for each object, which says what place it means. Objects that no batch had yet take no space: they follow
from the seed, or all begin alike.

Of several processes, the first one has the file. It sends the objects of a batch to the others, and each sends back
those that it moved, so that no other one needs room for them, or the same disk.

An object takes 12 (3 K^2 F_micro + M + 1) + 4 G^3 + 8 bytes, twice: 1.6 MB for the preset `small`, F_micro = 8, K = 48
and G = 32. Memory does not grow with their number but for the hulls (G^3 bytes each), which come with the views.

Shape suffixes: K plane resolution, F micro features, M base Tri-Planes, G cells per side of a density grid.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.optim.adam import adam

from latentfields.devices import upload
from latentfields.errors import InputError
from latentfields.fields.triplane import PLANES_SPREAD
from latentfields.files import naming
from latentfields.fused_planes.config import FusedPlanesConfig
from latentfields.fused_planes.objects import Beginning
from latentfields.igae.scenes import BETAS, EPSILON
from latentfields.rendering.grid_sampler import GridSampler
from latentfields.training.distributed import Processes

WEIGHTS_SPREAD = 0.1
"""Standard deviation of new objects' weights around their mean, in units of it: they begin nearly alike."""

CPU = torch.device("cpu")

_TRAINED = ("micro", "coefficients")
_MOMENTS = ("first", "second")


@dataclass(frozen=True)
class ActiveObject:
    """One object in memory, on the device to compute on."""

    index: int
    """Its number."""
    micro: Tensor
    """(3, K, K, F), a leaf that takes gradients."""
    coefficients: Tensor
    """(M + 1,) weights of the base Tri-Planes, and the bias: a leaf that takes gradients."""
    moments: Mapping[str, tuple[Tensor, Tensor]]
    """Adam's first and second moments of both."""
    sampler: GridSampler
    """Knows where the object is dense."""
    visits: int
    """Batches that it was part of before, in this phase."""

    @property
    def weights(self) -> Tensor:
        """(M,) weights of the base Tri-Planes."""
        return self.coefficients[:-1]

    @property
    def bias(self) -> Tensor:
        """() added to all macro features."""
        return self.coefficients[-1]


class ObjectStore:
    """All objects of a training."""

    def __init__(
        self,
        path: Path,
        hulls: Tensor,
        config: FusedPlanesConfig,
        *,
        seed: int,
        beginning: Beginning | None = None,
        device: torch.device = CPU,
        processes: Processes = Processes(),  # noqa: B008 - a frozen dataclass
    ) -> None:
        """`path` is the file, made here unless it is there; `hulls` (N, G^3) bool are cells that may hold something.

        New objects are `beginning`, or random. Objects are fetched to `device`. Of several `processes`, the first one
        has the file. Raises InputError when it is of other objects.
        """
        self.path, self.hulls, self.config, self.seed, self.device = path, hulls, config, seed, device
        self.processes, self.beginning = processes, beginning
        k, grid = config.resolution, config.sampling.grid_resolution
        micro, coefficients = (3, k, k, config.micro_features), (config.base_planes + 1,)
        self._shapes: dict[str, tuple[int, ...]] = {
            "micro": micro,
            "coefficients": coefficients,
            **{f"{moment}_micro": micro for moment in _MOMENTS},
            **{f"{moment}_coefficients": coefficients for moment in _MOMENTS},
            "density": (grid**3,),
            # Of the phase, which is 0 for objects that no batch had yet, and of batches in it.
            "counts": (2,),
        }
        self._numbers = sum(map(math.prod, self._shapes.values()))
        self._bytes = 4 * self._numbers
        self._new_density = GridSampler(config.sampling).grid.density
        self.phase = 1
        """Number of the phase; an object that was last in an earlier one has new moments when it is fetched."""
        self._slots = torch.zeros(len(hulls), dtype=torch.uint8)
        self._dirty: set[int] = set()
        self._damaged = False
        self._file: int | None = None
        if processes.first:
            self._file = self._opened(path)

    def _opened(self, path: Path) -> int:
        path.parent.mkdir(parents=True, exist_ok=True)
        with naming(path):
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            size, wanted = os.fstat(file).st_size, 2 * len(self.hulls) * self._bytes
            if size not in (0, wanted):
                os.close(file)
                raise InputError(
                    path, f"has {size} bytes instead of {wanted}; delete the run's folder to start anew"
                )
            os.ftruncate(file, wanted)
        return file

    def __len__(self) -> int:
        return len(self.hulls)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)

    def fetch(self, indices: Sequence[int]) -> list[ActiveObject]:
        """The chosen objects, in the process that has the file."""
        return [self._active(index, self._read(index)) for index in indices]

    def fetch_share(self, batch: Sequence[int]) -> list[ActiveObject]:
        """This process's share of the objects of a batch. All processes ask for the same batch together."""
        mine = self.processes.share(len(batch))
        if self.processes.count == 1:
            return self.fetch(batch)
        rows = [self._read(index) if self.processes.first else torch.empty(self._numbers) for index in batch]
        self.processes.send_from_first(rows)
        return [self._active(index, row) for index, row in zip(batch[mine], rows[mine], strict=True)]

    def _read(self, index: int) -> Tensor:
        """All numbers of an object, as it goes into the next batch."""
        assert self._file is not None
        with naming(self.path):
            content = bytearray(
                os.pread(self._file, self._bytes, self._place(index, int(self._slots[index])))
            )
        row = torch.frombuffer(content, dtype=torch.float32)
        parts = self._split(row)
        phase = int(parts["counts"][0])
        if phase == 0:
            self._begin(index, parts)
        if phase != self.phase:
            parts["counts"].zero_()
            for moment in _MOMENTS:
                for name in _TRAINED:
                    parts[f"{moment}_{name}"].zero_()
        return row

    def _active(self, index: int, row: Tensor) -> ActiveObject:
        """An object on the device, of its numbers on the host."""
        visits = int(self._split(row)["counts"][1])
        parts = self._split(upload(row, self.device))
        sampler, hull = GridSampler(self.config.sampling), self.hulls[index]
        sampler.grid.adopt(
            parts["density"], upload(hull, self.device), upload(hull.nonzero()[:, 0], self.device)
        )
        return ActiveObject(
            index=index,
            micro=parts["micro"].requires_grad_(),
            coefficients=parts["coefficients"].requires_grad_(),
            moments={name: (parts[f"first_{name}"], parts[f"second_{name}"]) for name in _TRAINED},
            sampler=sampler,
            visits=visits,
        )

    def _begin(self, index: int, parts: Mapping[str, Tensor]) -> None:
        """Make a new object, that of the seed where it is not known."""
        parts["density"].copy_(self._new_density * self.hulls[index])
        if self.beginning is not None:
            parts["micro"].copy_(self.beginning.micro)
            parts["coefficients"].copy_(self.beginning.coefficients)
            return
        generator = torch.Generator().manual_seed(self.seed)
        # Two draws of one number each: objects have streams of their own, whichever is fetched first.
        generator.manual_seed(int(torch.randint(2**62, (), generator=generator)) ^ (index + 1))
        parts["micro"].normal_(std=PLANES_SPREAD, generator=generator)
        mean = self.config.base_planes**-0.5
        parts["coefficients"].normal_(std=WEIGHTS_SPREAD * mean, generator=generator)
        parts["coefficients"][:-1] += mean
        parts["coefficients"][-1] = 0.0

    @torch.no_grad()
    def update(
        self, objects: Sequence[ActiveObject], batch: Sequence[int], *, rates: Mapping[str, float]
    ) -> None:
        """One Adam step for each of the objects, counted from its own first one, and put them back on disk.

        `objects` are this process's share of the `batch` (`fetch_share`), whose other objects come from the others.
        `rates` are the learning rates of "micro" and "coefficients"; what has the rate 0, or no gradient, stays.
        """
        for name in _TRAINED:
            moving = [item for item in objects if _tensor(item, name).grad is not None]
            if rates[name] == 0 or not moving or not _tensor(moving[0], name).numel():
                continue
            visits = torch.tensor([float(item.visits) for item in moving])
            adam(
                [_tensor(item, name) for item in moving],
                [gradient for item in moving if (gradient := _tensor(item, name).grad) is not None],
                [item.moments[name][0] for item in moving],
                [item.moments[name][1] for item in moving],
                [],
                list(upload(visits, self.device).unbind()),
                fused=True,
                amsgrad=False,
                maximize=False,
                weight_decay=0.0,
                beta1=BETAS[0],
                beta2=BETAS[1],
                eps=EPSILON,
                lr=rates[name],
            )
        rows = torch.empty(len(batch), self._numbers)
        if objects:
            # One copy from the device for all of them: it has to be waited for.
            rows[self.processes.share(len(batch))] = torch.stack([self._row(item) for item in objects]).cpu()
        self.processes.send_from_owners([[row] for row in rows])
        if self._file is not None:
            self._put_back(batch, rows, self._file)

    def _put_back(self, batch: Sequence[int], rows: Tensor, file: int) -> None:
        """Write objects to the places on disk that the last checkpoint does not mean."""
        for index, row in zip(batch, rows, strict=True):
            self._damaged = self._damaged or not bool(row.sum().isfinite())
            if index not in self._dirty:
                self._dirty.add(index)
                self._slots[index] = 1 - self._slots[index]
            with naming(self.path):
                os.pwrite(file, row.numpy().tobytes(), self._place(index, int(self._slots[index])))

    def _row(self, item: ActiveObject) -> Tensor:
        """All numbers of an object, on the device."""
        moments = {
            f"{moment}_{name}": item.moments[name][number]
            for number, moment in enumerate(_MOMENTS)
            for name in _TRAINED
        }
        counts = torch.tensor([self.phase, item.visits + 1.0])
        parts = {
            "micro": item.micro,
            "coefficients": item.coefficients,
            "density": item.sampler.grid.density,
            "counts": upload(counts, self.device),
            **moments,
        }
        return torch.cat([parts[name].detach().flatten() for name in self._shapes])

    def _place(self, index: int, slot: int) -> int:
        return (2 * index + slot) * self._bytes

    def _split(self, row: Tensor) -> dict[str, Tensor]:
        """The parts of an object's numbers, by name, that share their memory."""
        parts = row.split([math.prod(shape) for shape in self._shapes.values()])
        return {
            name: part.view(shape) for part, (name, shape) in zip(parts, self._shapes.items(), strict=True)
        }

    def state_dict(self) -> dict[str, Tensor]:
        """What a checkpoint holds of the objects, which are on disk when this returns.

        A training that does not save this checkpoint does not go on: later steps write over that before it.
        """
        if self._file is not None:
            with naming(self.path):
                os.fsync(self._file)
        self._dirty.clear()
        health = torch.tensor(float("nan") if self._damaged else 0.0)
        return {"places": self._slots.clone(), "health": health}

    def load_state_dict(self, state_dict: Mapping[str, Tensor], /) -> None:
        """Continue from `state_dict`."""
        self._slots.copy_(state_dict["places"])
        self._dirty.clear()


def _tensor(item: ActiveObject, name: str) -> Tensor:
    return item.micro if name == "micro" else item.coefficients
