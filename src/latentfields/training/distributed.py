"""Several processes, started by torchrun, that do the work of one.

Every process holds the whole state and takes its share of the same global batch. Gradients of what all shares use are
summed; what is in one share only is updated by the process that has it, its owner, which sends the others the result.
The first process alone writes files and decides when to stop.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from latentfields.process import choose_device
from latentfields.training.checkpoint import load_tensors
from latentfields.training.loop import Interrupted, LoopConfig, Trainable, checkpoint_path, train

PATIENCE = datetime.timedelta(days=2)
"""Processes wait so long for each other: the first one alone decodes pictures and encodes latents, hours for large
data, while the others wait. Where one dies, torchrun ends all of them."""

_FINISHED, _STEP, _INTERRUPTED = 0.0, 1.0, 2.0


@dataclass(frozen=True)
class Processes:
    """The processes that train together, as one of them sees them."""

    rank: int = 0
    """Number of this process."""
    count: int = 1
    """How many there are."""

    @property
    def first(self) -> bool:
        """True for the process that writes files."""
        return self.rank == 0

    def share(self, items: int) -> slice:
        """This process's part of `items` things in order."""
        return self.share_of(self.rank, items)

    def share_of(self, rank: int, items: int) -> slice:
        """The part of process `rank`. Parts differ by at most one item and cover everything."""
        return slice(rank * items // self.count, (rank + 1) * items // self.count)

    @torch.no_grad()
    def sum_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Add up the gradients of all processes, in place; a missing gradient counts as zero."""
        if self.count == 1:
            return
        parameters = list(parameters)
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def sum_values(self, values: Mapping[str, float]) -> dict[str, float]:
        """Add up values by name; all processes give the same names in the same order."""
        if self.count == 1:
            return dict(values)
        total = torch.tensor(list(values.values()), dtype=torch.float64)
        dist.all_reduce(total)
        return dict(zip(values, total.tolist(), strict=True))

    def send_from_owners(self, records: Sequence[Sequence[Tensor]]) -> None:
        """Overwrite the host tensors of every record by those of the process whose share it is in."""
        if self.count == 1:
            return
        for rank in range(self.count):
            tensors = [tensor for record in records[self.share_of(rank, len(records))] for tensor in record]
            if tensors:
                _broadcast(tensors, source=rank)

    def send_from_first(self, tensors: Sequence[Tensor]) -> None:
        """Overwrite host tensors, of the same shapes everywhere, by those of the first process."""
        if self.count > 1 and tensors:
            _broadcast(tensors, source=0)

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.count > 1:
            dist.barrier()

    def train(
        self, trainable: Trainable, *, steps: int, folder: Path, label: str, options: LoopConfig
    ) -> float:
        """`training.loop.train` by all processes; the first one keeps log, checkpoints and clock.

        Returns the training time in seconds, by that clock. Raises Interrupted in every process when the first one was
        asked to stop.
        """
        if self.count == 1:
            return train(trainable, steps=steps, folder=folder, label=label, options=options)
        if not self.first:
            return _follow(trainable, folder)
        try:
            seconds = train(_Announced(trainable), steps=steps, folder=folder, label=label, options=options)
        except Interrupted:
            _announce(_INTERRUPTED)
            raise
        _announce(_FINISHED, progress=seconds)
        return seconds


def local_device(name: str) -> torch.device:
    """`choose_device` for this process: under torchrun, `cuda` is another GPU for every process of a machine.

    Raises InputError when there is no such device.
    """
    device = choose_device(name)
    if device == torch.device("cuda"):  # Of no number.
        return choose_device(f"cuda:{os.environ.get('LOCAL_RANK', '0')}")
    return device


@contextlib.contextmanager
def joined_processes(device: torch.device) -> Iterator[Processes]:
    """The processes that torchrun started, for the duration of the context; just this one without torchrun."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Processes()
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=PATIENCE)
    try:
        yield Processes(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()


def _broadcast(tensors: Sequence[Tensor], *, source: int) -> None:
    """Overwrite host tensors by those of process `source`, in one message: as bytes, whatever their types."""
    parts = [tensor.reshape(-1).view(torch.uint8) for tensor in tensors]
    message = torch.cat(parts)
    dist.broadcast(message, src=source)
    for tensor, part in zip(tensors, message.split([len(part) for part in parts]), strict=True):
        tensor.copy_(part.clone().view(tensor.dtype).view_as(tensor))


def _announce(kind: float, index: int = 0, progress: float = 0.0) -> None:
    """Tell the followers of a step and its progress, or of the end and the seconds until then."""
    dist.broadcast(torch.tensor([kind, index, progress], dtype=torch.float64), src=0)


class _Announced:
    """A `Trainable` that tells the followers about every step before it is done."""

    def __init__(self, trainable: Trainable) -> None:
        self._trainable = trainable

    def step(self, index: int, progress: float) -> Mapping[str, float | str]:
        _announce(_STEP, index, progress)
        return self._trainable.step(index, progress)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return self._trainable.state()

    def restore(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
        self._trainable.restore(tensors, metadata)


def _follow(trainable: Trainable, folder: Path) -> float:
    """Do the steps that the first process announces, from the same checkpoint; return the seconds that it took."""
    if checkpoint_path(folder).exists():
        tensors, metadata = load_tensors(checkpoint_path(folder))
        trainable.restore(tensors, metadata["trainable"])
    message = torch.zeros(3, dtype=torch.float64)
    index = 0
    with _ignoring_signals():
        while True:
            dist.broadcast(message, src=0)
            kind, index, progress = float(message[0]), int(message[1]), float(message[2])
            if kind == _FINISHED:
                return progress
            if kind == _INTERRUPTED:
                raise Interrupted(folder, index)
            trainable.step(index, progress)


@contextlib.contextmanager
def _ignoring_signals() -> Iterator[None]:
    """Leave it to the first process to stop: torchrun signals all of them."""
    previous = {kind: signal.signal(kind, signal.SIG_IGN) for kind in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for kind, handler in previous.items():
            signal.signal(kind, handler)
