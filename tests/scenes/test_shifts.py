"""Views between the cells of a latent grid: pictures and rays move together."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from latentfields.errors import ArgumentError, InputError
from latentfields.scenes.scene import Scene
from latentfields.scenes.shifts import is_shiftable, require_shiftable, shift_offsets, with_shifts


def test_shifts_divide_a_cell_evenly_and_begin_with_none() -> None:
    assert shift_offsets(1, factor=8) == [(0, 0)]
    found = shift_offsets(4, factor=8)
    assert found[0] == (0, 0)
    assert sorted(found) == [(x, y) for x in (-4, -2, 0, 2) for y in (-4, -2, 0, 2)]
    with pytest.raises(ArgumentError, match="is 3; expected a divisor of the autoencoder's factor, 8"):
        shift_offsets(3, factor=8)


def test_every_training_view_is_there_in_every_shift(scene: Scene) -> None:
    shifted = with_shifts(scene, 2, factor=4)
    train = scene.indices("train")
    assert len(shifted) == len(scene) + 3 * len(train)
    assert shifted.indices("train")[: len(train)].tolist() == train.tolist()
    assert shifted.indices("test").tolist() == scene.indices("test").tolist()
    assert len(set(shifted.image_names)) == len(shifted)
    torch.testing.assert_close(shifted.pixels[: len(scene)], scene.pixels)


def test_pixels_show_what_they_showed_along_the_same_rays(scene: Scene) -> None:
    shifted = with_shifts(scene, 2, factor=4)
    train = scene.indices("train")
    # The first shift that is one: two columns to the left, two rows up.
    moved = shifted.indices("train")[len(train) :][: len(train)]
    before, after = scene.images(train), shifted.images(moved)
    torch.testing.assert_close(after[..., :-2, :-2], before[..., 2:, 2:])
    background = torch.tensor(scene.background).view(1, 3, 1, 1)
    torch.testing.assert_close(after[..., -2:, :], background.expand_as(after[..., -2:, :]))
    rays, old = shifted.cameras[moved].rays(), scene.cameras[train].rays()
    torch.testing.assert_close(rays.directions[:, :-2, :-2], old.directions[:, 2:, 2:])
    torch.testing.assert_close(rays.origins[:, :-2, :-2], old.origins[:, 2:, 2:])


def test_no_shift_is_the_scene_itself(scene: Scene) -> None:
    opaque = replace(scene, alpha=None)
    assert with_shifts(opaque, 1, factor=4) is opaque


def test_what_comes_into_a_picture_has_to_be_known(scene: Scene) -> None:
    assert is_shiftable(scene)
    assert not is_shiftable(replace(scene, alpha=None))
    with pytest.raises(InputError, match="has no alpha; `shifts` 2 moves objects with alpha or masks alone"):
        require_shiftable(replace(scene, alpha=None), 2, factor=4)
    ignored = torch.zeros_like(scene.pixels[:, :1], dtype=torch.bool)
    with pytest.raises(InputError, match="has ignored pixels"):
        require_shiftable(replace(scene, ignored=ignored), 2, factor=4)
    assert not is_shiftable(replace(scene, ignored=ignored))
