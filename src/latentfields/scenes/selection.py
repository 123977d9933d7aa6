"""Choosing views of a scene."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from latentfields.errors import ArgumentError
from latentfields.scenes.readers.capture import Capture, every_eighth
from latentfields.scenes.reading import Split


def evenly_spread(indices: Tensor, count: int) -> Tensor:
    """At most `count` of the indices (N,), evenly spread, first and last included."""
    if len(indices) <= count:
        return indices
    return indices[torch.linspace(0, len(indices) - 1, count).round().long()]


def with_split(capture: Capture, *, split: Split, train_views: int | None) -> Capture:
    """Return the capture with other splits of its views.

    "llff" is the protocol for NeRF-LLFF: by name, views 0, 8, 16, ... are tested on, the others train. Of these,
    `train_views` evenly spread ones are left, first and last included, as few-shot methods take 3 (RegNeRF,
    arXiv:2112.00724, and those whose settings LRF's Table 2 has); the others are in no split. Raises ArgumentError
    when there are not so many.
    """
    splits = capture.splits
    if split == "llff":
        by_name = sorted(range(len(capture.views)), key=lambda index: capture.views[index].name)
        places = every_eighth(capture.folder, len(by_name))
        splits = {name: [by_name[place] for place in indices] for name, indices in places.items()}
    if train_views is not None:
        count = len(splits["train"])
        if not 1 <= train_views <= count:
            raise ArgumentError("train_views", f"is {train_views}; expected 1 to {count}, the training views")
        few = evenly_spread(torch.tensor(list(splits["train"])), train_views)
        splits = {**splits, "train": few.tolist()}
    return replace(capture, splits=splits)
