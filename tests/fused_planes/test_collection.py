"""A finished collection: opened in no time whatever its size, read object by object, rendered as runs."""

from __future__ import annotations

import json
import shutil
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from helpers.collections_data import COLLECTION, LIGHT
from latentfields.config.typed_json import to_json
from latentfields.errors import InputError
from latentfields.fields.triplane import TriPlane
from latentfields.fused_planes.collection import Collection
from latentfields.fused_planes.fit import fit_collection
from latentfields.fused_planes.objects import object_path
from latentfields.latent_nerf.model import LatentNerf


@pytest.fixture
def own(fitted: Path, tmp_path: Path) -> Collection:
    """A collection that may be changed."""
    return Collection.open(shutil.copytree(fitted, tmp_path / "own"), device="cpu")


def test_the_baked_planes_are_the_fused_ones(collection: Collection) -> None:
    item, run = collection.object("mug-1"), collection.run("mug-1")
    assert isinstance(run.model, LatentNerf)
    assert isinstance(run.model.field, TriPlane)
    macro = sum((w * b for w, b in zip(item.weights, collection.shared.base, strict=True)), item.bias)
    assert isinstance(macro, torch.Tensor)
    torch.testing.assert_close(run.model.field.planes.detach(), torch.cat([item.micro, macro], dim=-1))
    assert not run.model.sampler.state_dict()["grid.density"][~item.hull].any()


@pytest.mark.slow
def test_an_object_renders_what_the_training_scored(collection: Collection) -> None:
    """Through its own density grid, which is made anew: nearly the same picture."""
    from latentfields.measures.metrics import psnr
    from latentfields.scenes.load import load_scene

    scores = json.loads((collection.folder / "metrics.json").read_text())["objects"]
    for name in collection.names():
        scene = load_scene(collection.object(name).header.scene)
        test = scene.indices("test")
        found = float(psnr(collection.run(name).render(scene.cameras[test]), scene.images(test)).mean())
        assert found == pytest.approx(scores[name], abs=0.3)


def test_objects_have_runs_of_their_own(collection: Collection) -> None:
    cameras = collection.views().cameras[:1]
    first, second = (collection.run(name).render(cameras) for name in ("mug-0", "mug-1"))
    assert not torch.equal(first, second)
    assert torch.equal(first, collection.run("mug-0").render(cameras))


def test_between_two_objects(collection: Collection) -> None:
    cameras = collection.views().cameras[:1]
    ends = [collection.run(name).render(cameras) for name in ("mug-0", "mug-1")]
    shown = [collection.between("mug-0", "mug-1", share).render(cameras) for share in (0.0, 0.5, 1.0)]
    # The ends are the objects, but for a hull that covers both.
    torch.testing.assert_close(shown[0], ends[0], atol=0.1, rtol=0.0)
    assert not torch.equal(shown[1], shown[0])
    with pytest.raises(InputError, match=r"share: is 2\.0; expected 0 to 1"):
        collection.between("mug-0", "mug-1", 2.0)


def test_the_nearest_by_weights(own: Collection) -> None:
    item = own.object("mug-0")
    for name, shift in (("near", 0.01), ("far", 5.0)):
        own.add(replace(item, header=replace(item.header, name=name), weights=item.weights + shift))
    found = own.nearest("mug-0", count=4)
    assert found[0][0] == "near"
    assert found[-1][0] == "far"
    assert found[0][1] == pytest.approx(0.01 * 2**0.5, rel=1e-3)
    assert "mug-0" not in dict(found)


def test_removing_one_leaves_the_others(own: Collection) -> None:
    before = {name: object_path(own.folder, name).read_bytes() for name in own.names()}
    own.remove("mug-1")
    assert own.names() == ["mug-0", "mug-2"]
    assert all(object_path(own.folder, name).read_bytes() == before[name] for name in own.names())
    with pytest.raises(InputError, match="has no object 'mug-1'; nothing was removed"):
        own.remove("mug-1")


def test_without_its_scene_an_object_is_seen_from_the_collections_cameras(own: Collection) -> None:
    item = own.object("mug-1")
    gone = Path("/nowhere/mug-1")
    header = replace(
        item.header, scene=gone, places=replace(item.header.places, absolute=gone, from_run=None)
    )
    own.add(replace(item, header=header))
    run = own.run("mug-1")
    assert run.views is not None
    assert len(run.views.cameras) == 8
    assert own.run("mug-0").views is None


@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [
        ("shared.safetensors", b"no", "not a readable safetensors file"),
        ("config.json", b"{}", "field"),
        ("metrics.json", None, "is not finished"),
    ],
)
def test_damaged_folders_are_one_line(
    own: Collection, file: str, content: bytes | None, problem: str
) -> None:
    path = own.folder / file
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(InputError, match=problem) as caught:
        Collection.open(own.folder, device="cpu")
    assert "\n" not in str(caught.value)


def test_sizes_of_another_collection_do_not_fit(own: Collection) -> None:
    path = own.folder / "config.json"
    config = json.loads(path.read_text())
    config["training"]["planes"]["base_planes"] = 3
    path.write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"shared\.safetensors: does not fit config\.json"):
        Collection.open(own.folder, device="cpu")


COUNT = 10_000


@pytest.mark.slow
def test_ten_thousand_objects_take_no_time_to_open(data: Path, tmp_path: Path) -> None:
    """Opening reads what is shared and no object; one object is found by its name alone."""
    small = fit_collection(
        [data / "scenes" / "mug-0"],
        autoencoder=data / "base",
        out=tmp_path / "c",
        training=replace(LIGHT, joint=replace(COLLECTION.joint, epochs=0.0)),
        device="cpu",
    )
    item = small.object("mug-0")
    metadata = {"format": "latentfields collection object 1"}
    for number in range(COUNT):
        name = f"object-{number:05d}"
        header = to_json(replace(item.header, name=name))
        path = object_path(small.folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        tensors = {"micro": item.micro, "bias": item.bias, "weights": item.weights + number}
        # As `write_object` does it, without waiting for the disk ten thousand times.
        tensors["hull"] = torch.zeros(1, dtype=torch.uint8)
        save_file(tensors, path, metadata={"json": json.dumps(metadata | {"object": header})})
    tracemalloc.start()
    begin = time.process_time()
    collection = Collection.open(small.folder, device="cpu")
    opened = time.process_time() - begin
    memory = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert opened < 1.0
    assert memory < 8 * 2**20
    assert len(collection) == COUNT + 1
    begin = time.process_time()
    assert "object-07777" in collection
    assert "object-77777" not in collection
    assert time.process_time() - begin < 0.05
    assert collection.nearest("mug-0", count=2)[0][0] == "object-00000"
    # Evenly spread over the folders: none of a million objects' would have more than some thousands.
    counts = [len(list(folder.iterdir())) for folder in (collection.folder / "objects").iterdir()]
    assert len(counts) == 256
    assert max(counts) < 3 * COUNT / 256
