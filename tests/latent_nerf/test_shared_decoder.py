"""Runs that leave the decoder of a packaged autoencoder as it is name it; all others have a copy."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from helpers.tiny import TINY_FIT
from latentfields import fit
from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.autoencoders.load import load_autoencoder
from latentfields.errors import InputError
from latentfields.export.scene_file import export_scene
from latentfields.latent_nerf.config import AlignmentKind
from latentfields.latent_nerf.evaluate import evaluate_run
from latentfields.latent_nerf.run import Run
from latentfields.latent_nerf.scene_cameras import SceneCameras
from latentfields.latent_nerf.shared_decoder import SharedDecoder
from latentfields.scenes.scene import Scene
from latentfields.training.checkpoint import load_tensors, save_tensors

CONFIG = replace(
    TINY_FIT.with_steps(supervision=2, alignment=2), alignment_kind="scene", statistics="scene", subpixels=1
)


@pytest.fixture(scope="module")
def packaged() -> Autoencoder:
    return load_autoencoder("base-f4")


@pytest.fixture(scope="module")
def shared(scene: Scene, packaged: Autoencoder, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return fit(scene, packaged, out=tmp_path_factory.mktemp("runs") / "shared", config=CONFIG)


def test_a_run_names_the_decoder_that_it_shares_and_renders_with_it(shared: Run, scene: Scene) -> None:
    assert not (shared.folder / "decoder").exists()
    assert json.loads((shared.folder / "decoder.json").read_text())["autoencoder"] == "base-f4"
    loaded = Run.load(shared.folder)
    assert loaded.shared_decoder == shared.shared_decoder
    cameras = scene.cameras[scene.indices("test")]
    assert torch.equal(loaded.render(cameras), shared.render(cameras))
    stored = json.loads((shared.folder / "metrics.json").read_text())["test"]["images"]["mean"]["psnr"]
    assert evaluate_run(loaded, scene=scene)["test"]["images"]["mean"]["psnr"] == pytest.approx(stored)


def test_a_scene_file_has_the_fingerprint_and_no_copy(shared: Run, scene: Scene, tmp_path: Path) -> None:
    file = export_scene(shared, SceneCameras.of(scene), out=tmp_path / "scene.safetensors").file
    tensors, metadata = load_tensors(file)
    assert not any(name.startswith("autoencoder/") for name in tensors)
    assert shared.shared_decoder is not None
    assert metadata["shared_decoder"]["weights"] == shared.shared_decoder.weights
    loaded = Run.load(file)
    cameras = scene.cameras[scene.indices("test")]
    assert torch.equal(loaded.render(cameras), shared.render(cameras))
    # And again, from the file.
    again = export_scene(loaded, SceneCameras.of(scene), out=tmp_path / "again.safetensors").file
    assert again.read_bytes() == file.read_bytes()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"autoencoder": "base-f3", "weights": "0" * 64},
            "needs the decoder of the packaged autoencoder 'base-f3', which this vers",
        ),
        ({"weights": "0" * 64}, "needs the decoder of the packaged autoencoder 'base-f4' as it was then"),
        ({"statistics": {"mean": [0.0], "std": [1.0]}}, "statistics of latents are not those of the 4 chan"),
        ({"statistics": {"mean": [0.0] * 4, "std": [0.0] * 4}}, "statistics of latents are not those of the"),
        ({"statistics": None}, "shared_decoder.statistics"),
    ],
)
def test_another_decoder_is_refused_in_one_line(
    shared: Run, scene: Scene, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    file = export_scene(shared, SceneCameras.of(scene), out=tmp_path / "scene.safetensors").file
    tensors, metadata = load_tensors(file)
    save_tensors(file, tensors, metadata | {"shared_decoder": metadata["shared_decoder"] | changes})
    with pytest.raises(InputError, match=message):
        Run.load(file)


def test_weights_that_have_another_name_by_now_are_found(shared: Run, scene: Scene, tmp_path: Path) -> None:
    file = export_scene(shared, SceneCameras.of(scene), out=tmp_path / "scene.safetensors").file
    tensors, metadata = load_tensors(file)
    for name in ("igae-f4", "gone"):
        needed = metadata["shared_decoder"] | {"autoencoder": name}
        save_tensors(file, tensors, metadata | {"shared_decoder": needed})
        cameras = scene.cameras[scene.indices("test")]
        assert torch.equal(Run.load(file).render(cameras), shared.render(cameras))


@pytest.mark.parametrize("kind", ["none", "scene", "full"])
def test_a_decoder_that_moved_or_is_not_packaged_is_copied(
    packaged: Autoencoder, kind: AlignmentKind
) -> None:
    config = replace(CONFIG, alignment_kind=kind)
    assert (SharedDecoder.of(packaged, config) is None) == (kind == "full")
    elsewhere = packaged.clone()
    elsewhere.name = "/somewhere/base-f4"
    assert SharedDecoder.of(elsewhere, config) is None
    changed = packaged.clone()
    with torch.no_grad():
        next(changed.decoder_parameters()).add_(1e-3)
    assert SharedDecoder.of(changed, config) is None
