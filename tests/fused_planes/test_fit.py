"""Collections are fitted, added to, killed and gone on with; what is frozen keeps every byte."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from helpers.collections_data import COLLECTION, LIGHT
from latentfields.autoencoders.load import load_autoencoder
from latentfields.errors import InputError
from latentfields.fused_planes import trainer
from latentfields.fused_planes.collection import Collection
from latentfields.fused_planes.config import CollectionConfig
from latentfields.fused_planes.fit import add_to_collection, fit_collection
from latentfields.training.loop import LoopConfig

EVERY_STEP = LoopConfig(checkpoint_seconds=0.0)


def scenes(data: Path, *numbers: int) -> list[Path]:
    return [data / "scenes" / f"mug-{number}" for number in numbers]


def contents(folder: Path) -> dict[str, bytes]:
    """All files, without times."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix in (".safetensors", ".json") and path.name != "metrics.json"
    }


@contextmanager
def killed_at(monkeypatch: pytest.MonkeyPatch, steps: int) -> Iterator[None]:
    """Let the training end by KeyboardInterrupt after so many steps, as a kill would: nothing is saved."""
    left = [steps]
    step = trainer.PhaseTrainer.step

    def counted(self: trainer.PhaseTrainer, index: int, progress: float) -> dict[str, float]:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return step(self, index, progress)

    with monkeypatch.context() as patch:
        patch.setattr(trainer.PhaseTrainer, "step", counted)
        yield


def test_a_collection_is_a_folder_of_small_files(fitted: Path) -> None:
    collection = Collection.open(fitted, device="cpu")
    assert collection.names() == ["mug-0", "mug-1", "mug-2"]
    assert len(collection) == 3
    assert "mug-1" in collection
    assert "mug-3" not in collection
    metrics = json.loads((fitted / "metrics.json").read_text())
    assert metrics["phases"]["warmup"]["steps"] == 9
    assert metrics["phases"]["joint"]["steps"] == 4
    assert set(metrics["objects"]) == {"mug-0", "mug-1", "mug-2"}
    assert not (fitted / "work").exists()
    assert not list(fitted.rglob("checkpoint.safetensors"))
    page = (fitted / "report.html").read_text()
    assert "mug-2" in page
    assert page.count("Held-out views, mug-2: truth") == page.count("Held-out views, mug-2: rendered") > 0


def test_a_finished_collection_is_not_trained_again(fitted: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "mugs"
    shutil.copytree(fitted, out)
    before = contents(out)
    fit_collection(
        scenes(data, 0, 1, 2), autoencoder=data / "base", out=out, training=COLLECTION, device="cpu"
    )
    assert contents(out) == before


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 4, 10, 12], ids=["first", "warm-up", "joint", "joint, later"])
def test_killed_and_resumed_equals_uninterrupted(
    fitted: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    def fit() -> Collection:
        return fit_collection(
            scenes(data, 0, 1, 2),
            autoencoder=data / "base",
            out=tmp_path / "mugs",
            training=COLLECTION,
            device="cpu",
            loop=LoopConfig(checkpoint_seconds=0.0 if steps % 2 else 1e9),
        )

    with killed_at(monkeypatch, steps), pytest.raises(KeyboardInterrupt):
        fit()
    fit()
    found, expected = contents(tmp_path / "mugs"), contents(fitted)
    assert {name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name)} == set()


def test_a_decoder_that_moves_is_the_collections_own(fitted: Path, data: Path) -> None:
    mine, start = load_autoencoder(fitted / "autoencoder"), load_autoencoder(data / "base")
    changed = [
        name
        for name, tensor in mine.state_dict().items()
        if not torch.equal(tensor, start.state_dict()[name])
    ]
    assert changed
    assert {tensor.data_ptr() for tensor in mine.decoder_parameters()} >= {
        mine.state_dict()[name].data_ptr() for name in changed
    }
    assert mine.statistics == start.statistics


@pytest.mark.slow
def test_a_packaged_autoencoder_that_stays_is_named(data: Path, tmp_path: Path) -> None:
    frozen = replace(
        COLLECTION,
        size=64,
        warmup=replace(COLLECTION.warmup, epochs=0.4),
        joint=replace(COLLECTION.joint, epochs=0.0),
    )
    collection = fit_collection(scenes(data, 0, 1), out=tmp_path / "c", training=frozen, device="cpu")
    assert (tmp_path / "c" / "decoder.json").is_file()
    assert not (tmp_path / "c" / "autoencoder").exists()
    assert collection.shared_nbytes() == (tmp_path / "c" / "shared.safetensors").stat().st_size
    assert collection.run("mug-0").config.autoencoder == "base"


def copied(fitted: Path, tmp_path: Path) -> Collection:
    return Collection.open(shutil.copytree(fitted, tmp_path / "mugs"), device="cpu")


def test_adding_an_object_changes_no_byte_of_what_was_there(fitted: Path, data: Path, tmp_path: Path) -> None:
    collection = copied(fitted, tmp_path)
    before = contents(collection.folder)
    cameras = collection.views().cameras[:2]
    picture = collection.run("mug-0").render(cameras)
    collection = add_to_collection(collection, scenes(data, 3), device="cpu")
    assert collection.names() == ["mug-0", "mug-1", "mug-2", "mug-3"]
    after = contents(collection.folder)
    assert {name for name in after if before.get(name) != after[name]} == {
        name for name in after if name.endswith("mug-3.safetensors")
    }
    assert torch.equal(collection.run("mug-0").render(cameras), picture)
    assert not (collection.folder / "additions").exists()


def test_added_objects_begin_as_the_mean_of_those_that_are_there(
    fitted: Path, data: Path, tmp_path: Path
) -> None:
    collection = copied(fitted, tmp_path)
    items = [collection.object(name) for name in collection.names()]
    still = replace(
        COLLECTION,
        latent=replace(
            COLLECTION.latent, epochs=0.4, micro_learning_rate=0.0, coefficients_learning_rate=0.0
        ),
        align=replace(COLLECTION.align, epochs=0.0),
    )
    added = add_to_collection(collection, scenes(data, 3), training=still, device="cpu").object("mug-3")
    for name in ("micro", "weights", "bias"):
        mean = torch.stack([getattr(item, name) for item in items]).mean(dim=0)
        torch.testing.assert_close(getattr(added, name), mean)
    collection.remove("mug-3")
    noise = replace(still, start="noise")
    added = add_to_collection(collection, scenes(data, 3), training=noise, device="cpu").object("mug-3")
    assert (added.micro - torch.stack([item.micro for item in items]).mean(dim=0)).abs().mean() > 0.01


@pytest.mark.slow
@pytest.mark.parametrize("steps", [2, 5])
def test_an_addition_that_was_killed_goes_on(
    fitted: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    whole = copied(fitted, tmp_path / "whole")
    add_to_collection(whole, scenes(data, 3), device="cpu", loop=EVERY_STEP)
    killed = copied(fitted, tmp_path / "killed")
    # Where its scenes are, seen from the collection's folder, is part of an object.
    shutil.move(whole.folder, tmp_path / "kept")
    shutil.move(killed.folder, whole.folder)
    with killed_at(monkeypatch, steps), pytest.raises(KeyboardInterrupt):
        add_to_collection(whole.folder, scenes(data, 3), device="cpu", loop=EVERY_STEP)
    again = add_to_collection(whole.folder, scenes(data, 3), device="cpu", loop=EVERY_STEP)
    assert contents(again.folder) == contents(tmp_path / "kept")
    # The same command once more finds its work done.
    add_to_collection(whole.folder, scenes(data, 3), device="cpu")
    assert contents(again.folder) == contents(tmp_path / "kept")


@pytest.mark.slow
def test_shared_parts_move_where_that_is_asked_for(fitted: Path, data: Path, tmp_path: Path) -> None:
    collection = copied(fitted, tmp_path)
    before = contents(collection.folder)
    trained = replace(
        COLLECTION, shared="trained", align=replace(COLLECTION.align, decoder_learning_rate=1e-3)
    )
    after = contents(add_to_collection(collection, scenes(data, 3), training=trained, device="cpu").folder)
    changed = {name for name in after if before.get(name) not in (None, after[name])}
    assert changed == {"shared.safetensors", "autoencoder/model.safetensors"}


@pytest.mark.slow
@pytest.mark.parametrize("config", [COLLECTION, LIGHT], ids=["planes", "weights alone"])
def test_collections_of_colours(data: Path, tmp_path: Path, config: CollectionConfig) -> None:
    collection = fit_collection(
        scenes(data, 0, 1), autoencoder=None, out=tmp_path / "c", training=config, device="cpu"
    )
    run = collection.run("mug-0")
    assert run.config.fit.space == "rgb"
    images = run.render(collection.views().cameras[:1])
    assert images.shape == (1, 3, 32, 32)
    assert images.std() > 0
    collection = add_to_collection(collection, scenes(data, 2), device="cpu")
    assert len(collection) == 3


@pytest.mark.slow
def test_objects_of_weights_alone_are_a_thousand_bytes(data: Path, tmp_path: Path) -> None:
    collection = fit_collection(
        scenes(data, 0, 1), autoencoder=data / "base", out=tmp_path / "c", training=LIGHT, device="cpu"
    )
    assert collection.object("mug-1").micro.shape == (3, 8, 8, 0)
    assert collection.nbytes("mug-1") < 1500


@pytest.mark.slow
def test_training_makes_objects_better(data: Path, tmp_path: Path) -> None:
    scores = []
    for epochs in (0.4, 20.0):
        config = replace(
            COLLECTION,
            warmup=replace(COLLECTION.warmup, epochs=epochs),
            joint=replace(COLLECTION.joint, epochs=epochs / 2),
        )
        out = tmp_path / str(epochs)
        fit_collection(scenes(data, 0, 1), autoencoder=data / "base", out=out, training=config, device="cpu")
        scores.append(json.loads((out / "metrics.json").read_text())["held_out_psnr"])
    assert scores[1] > scores[0] + 1.0


BAD: Mapping[str, tuple[dict[str, Any], str]] = {
    "no scenes": ({"scenes": []}, "scenes: name at least one scene"),
    "a size": (
        {"training": replace(COLLECTION, size=30)},
        "size: is 30; expected a multiple of the factor 4",
    ),
    "epochs": (
        {
            "training": replace(
                COLLECTION,
                warmup=replace(COLLECTION.warmup, epochs=0.0),
                joint=replace(COLLECTION.joint, epochs=0.0),
            )
        },
        "warmup.epochs: is 0",
    ),
    "rays": (
        {"training": replace(COLLECTION, planes=replace(COLLECTION.planes, subpixels=3))},
        "planes.subpixels: is 3; expected 1 or an even number",
    ),
    "an autoencoder": ({"autoencoder": "nothing"}, "nothing: no such autoencoder"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_and_leaves_nothing(data: Path, tmp_path: Path, name: str) -> None:
    changes, problem = BAD[name]
    given: dict[str, Any] = {
        "scenes": scenes(data, 0, 1),
        "autoencoder": data / "base",
        "training": COLLECTION,
        "device": "cpu",
    }
    with pytest.raises(InputError, match=problem) as caught:
        fit_collection(**given | changes, out=tmp_path / "c")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "c").exists()


def test_two_scenes_of_one_name_are_refused(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data / "scenes" / "mug-0", tmp_path / "mug-0")
    with pytest.raises(InputError, match="has the same name as"):
        fit_collection([*scenes(data, 0), tmp_path / "mug-0"], autoencoder=data / "base", out=tmp_path / "c")


def test_objects_that_are_there_and_other_sizes_are_refused(fitted: Path, data: Path, tmp_path: Path) -> None:
    collection = copied(fitted, tmp_path)
    before = contents(collection.folder)
    with pytest.raises(InputError, match="has an object 'mug-1' already"):
        add_to_collection(collection, scenes(data, 1))
    with pytest.raises(InputError, match="planes: is not that of"):
        add_to_collection(collection, scenes(data, 3), training=LIGHT)
    assert contents(collection.folder) == before
