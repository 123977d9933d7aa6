"""Objects as files: what is written is what is read, and what does not fit is one line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from helpers.collections_data import PLANES
from latentfields.errors import InputError
from latentfields.fused_planes.objects import (
    CollectionObject,
    ObjectHeader,
    object_names,
    object_path,
    read_object,
    read_weights,
    write_object,
)
from latentfields.latent_nerf.build import SceneFrame
from latentfields.latent_nerf.places import ScenePlaces

FRAME = SceneFrame(
    near=0.1, far=3.0, width=32, height=32, learn_background=False, world_to_scene=torch.eye(4).tolist()
)


def made(name: str, *, seed: int = 0) -> CollectionObject:
    generator = torch.Generator().manual_seed(seed)
    header = ObjectHeader(name, Path("scenes") / name, ScenePlaces(Path("/scenes"), None), FRAME)
    return CollectionObject(
        header=header,
        micro=torch.randn(3, 8, 8, 2, generator=generator),
        weights=torch.randn(2, generator=generator),
        bias=torch.randn((), generator=generator),
        hull=torch.rand(8**3, generator=generator) < 0.3,
    )


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    item = made("a mug")
    write_object(tmp_path, item)
    found = read_object(tmp_path, "a mug", PLANES)
    assert found.header == item.header
    for name in ("micro", "weights", "bias", "hull"):
        assert torch.equal(getattr(found, name), getattr(item, name)), name
    assert torch.equal(read_weights(tmp_path, "a mug"), item.weights)
    assert list(object_names(tmp_path)) == ["a mug"]


def test_the_hull_takes_a_fraction_of_its_bits(tmp_path: Path) -> None:
    empty = replace(made("ball"), hull=torch.ones(8**3, dtype=torch.bool))
    write_object(tmp_path, empty)
    with safe_open(object_path(tmp_path, "ball"), framework="pt") as handle:
        assert handle.get_tensor("hull").numel() < 8**3 / 16


def test_halfway_is_the_mean() -> None:
    first, second = made("first"), made("second", seed=1)
    middle = first.towards(second, 0.5)
    torch.testing.assert_close(middle.micro, (first.micro + second.micro) / 2)
    torch.testing.assert_close(middle.weights, (first.weights + second.weights) / 2)
    assert torch.equal(middle.hull, first.hull | second.hull)
    assert torch.equal(first.towards(second, 0.0).weights, first.weights)
    assert torch.equal(first.towards(second, 1.0).micro, second.micro)


@pytest.mark.parametrize("name", ["", "..", "../shared", "a/b", ".hidden"])
def test_names_lead_nowhere_else(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="has no object"):
        object_path(tmp_path, name)


def test_an_absent_object_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no object 'mug'; see latentfields collection list"):
        read_object(tmp_path, "mug", PLANES)


DAMAGES: dict[str, tuple[dict[str, Tensor], str]] = {
    "weights": ({"weights": torch.zeros(3)}, "tensor 'weights': expected finite numbers"),
    "micro": ({"micro": torch.full((3, 8, 8, 2), float("nan"))}, "tensor 'micro': expected finite numbers"),
    "hull": ({"hull": torch.zeros(4, dtype=torch.uint8)}, "tensor 'hull': expected the packed hull"),
    "hull's type": ({"hull": torch.zeros(4)}, "tensor 'hull': expected bytes"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_does_not_fit_is_one_line(tmp_path: Path, damage: str) -> None:
    write_object(tmp_path, made("mug"))
    path = object_path(tmp_path, "mug")
    with safe_open(path, framework="pt") as handle:
        tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
        metadata = handle.metadata()
    changes, problem = DAMAGES[damage]
    save_file(tensors | changes, path, metadata=metadata)
    with pytest.raises(InputError, match=problem) as caught:
        read_object(tmp_path, "mug", PLANES)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_files_of_something_else_are_refused(tmp_path: Path) -> None:
    path = object_path(tmp_path, "mug")
    path.parent.mkdir(parents=True)
    save_file({"a": torch.zeros(1)}, path, metadata={"json": json.dumps({"format": "another"})})
    with pytest.raises(InputError, match="is no object of a collection"):
        read_object(tmp_path, "mug", PLANES)
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match="not a readable"):
        read_object(tmp_path, "mug", PLANES)
    with pytest.raises(InputError, match="not a readable"):
        read_weights(tmp_path, "mug")
