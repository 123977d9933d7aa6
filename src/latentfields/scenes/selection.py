"""Choosing views of a scene."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from latentfields.errors import ArgumentError
from latentfields.scenes.readers.capture import Capture, every_eighth
from latentfields.scenes.scene import Scene


def evenly_spread(indices: Tensor, count: int) -> Tensor:
    """At most `count` of the indices (N,), evenly spread, first and last included."""
    if len(indices) <= count:
        return indices
    return indices[torch.linspace(0, len(indices) - 1, count).round().long()]


def with_llff_split(capture: Capture) -> Capture:
    """Return the capture with the splits of the protocol for NeRF-LLFF: by name, every eighth view is tested on.

    These are views 0, 8, 16, ... of all that the data set lists, whether their pictures are there or not; all others
    train.
    """
    by_name = sorted(range(len(capture.views)), key=lambda index: capture.views[index].name)
    names = [capture.views[index].name for index in by_name]
    listed = {name: position for position, name in enumerate(sorted({*names, *capture.missing}))}
    places = every_eighth(capture.folder, len(names), positions=[listed[name] for name in names])
    splits = {name: [by_name[place] for place in indices] for name, indices in places.items()}
    return replace(capture, splits=splits)


def with_few_views(scene: Scene, count: int) -> Scene:
    """Return the scene with `count` of its training views, evenly spread, first and last included; the others are in
    no split.

    So few-shot methods choose 3 of NeRF-LLFF (RegNeRF, arXiv:2112.00724, and those whose settings LRF's Table 2 has).
    The scene's frame and its sparse points are those of all views. Raises ArgumentError when there are not so many.
    """
    train = scene.indices("train")
    if not 1 <= count <= len(train):
        raise ArgumentError("train_views", f"is {count}; expected 1 to {len(train)}, the training views")
    return replace(scene, splits={**scene.splits, "train": evenly_spread(train, count)})
