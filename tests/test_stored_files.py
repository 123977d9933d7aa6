"""Files that earlier versions wrote (`stored/`): they load, and give the pictures and settings that they gave then."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from latentfields import FitConfig, Run, evaluate_run, load_autoencoder, load_scene
from latentfields.autoencoders.config import AutoencoderRunConfig
from latentfields.config.typed_json import from_json, to_json, with_changes
from latentfields.correspondences.files import open_dataset
from latentfields.errors import InputError
from latentfields.fields.config import GaussiansConfig
from latentfields.files import read_json
from latentfields.fused_planes.collection import Collection
from latentfields.fused_planes.config import CollectionRunConfig
from latentfields.fused_planes.fit import add_to_collection
from latentfields.igae.config import IgaeRunConfig
from latentfields.latent_nerf.render import load_run_scene
from latentfields.latent_nerf.run import FitRunConfig
from latentfields.lrf.decoder.config import DecoderRunConfig
from latentfields.lrf.encoder.config import EncoderRunConfig
from latentfields.scenes.scene import Scene
from latentfields.training.checkpoint import load_tensors
from latentfields.training.runs import CONFIG_FILE, claim_run, read_run, run_kind
from latentfields.viewer.source import Source, open_source

STORED = Path(__file__).parent / "stored"
FIELDS = {
    "runs/gaussians": "gaussians",
    "runs/instant-ngp": "instant-ngp",
    "runs/kplanes": "kplanes",
    "runs/older-kplanes": "kplanes",
    "runs/proposal": "triplane",
    "runs/rgb": "triplane",
    "runs/tensorf": "tensorf",
    "runs/vanilla": "vanilla",
}
"""Folders of runs, and their fields."""
FILES = {
    "files/older-triplane.safetensors": "runs/older-triplane",
    "files/proposal.safetensors": "runs/proposal",
    "files/rgb.safetensors": "runs/rgb",
}
"""Portable scene files, and the runs that they were written of, of which one is not kept."""
AUTOENCODERS = (
    "autoencoders/linear",
    "autoencoders/patch",
    "autoencoders/variational",
    "trainings/align-decoder/autoencoder",
    "trainings/autoencoder/autoencoder",
    "trainings/finetune-3d/autoencoder",
    "trainings/finetune-encoder/autoencoder",
)
COLLECTION_PICTURES = Path("collections/pictures.safetensors")
LATENTS = ":latents"
LATENT_SCENES = ("trainings/finetune-3d", "trainings/older-finetune-3d")


@pytest.fixture(autouse=True)
def stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths in the files are relative to their folder, and the viewer decoded in single precision."""
    monkeypatch.chdir(STORED)
    monkeypatch.setattr("latentfields.latent_nerf.looking.uses_bfloat16", lambda *_: False)


@pytest.fixture(scope="module")
def sphere() -> Scene:
    return load_scene(STORED / "scenes" / "sphere")


@pytest.fixture(scope="module")
def pictures() -> dict[str, Tensor]:
    """Pictures that version 0.1.0 made of each file, by its path: `viewed`, `latent_scene_view` and `decoded`.

    Under the path and `LATENTS`, the latents, before they are decoded.
    """
    return {name: tensor.float() for name, tensor in load_tensors(STORED / "pictures.safetensors")[0].items()}


def rendered(path: str, scene: Scene) -> Tensor:
    """The first test view of a run."""
    return Run.load(path).render(scene.cameras[scene.indices("test")[:1]])


def viewed(path: str, scene: Scene) -> tuple[Tensor, Tensor]:
    """The same in the viewer, and what it is decoded from: latents, or colours."""
    (shown,) = opened(path).scenes
    image, view = shown.render(scene.cameras[scene.indices("test")[:1]])
    return image, view.features


def decoded(path: str, scene: Scene) -> tuple[Tensor, Tensor]:
    """The first test view through an autoencoder, and its latents."""
    autoencoder = load_autoencoder(path)
    latents = autoencoder.encode_batches(scene.images(scene.indices("test")[:1]))
    return autoencoder.decode_batches(latents), latents


def opened(path: str, cache: Path | None = None) -> Source:
    return open_source(Path(path), scene=None, cache=cache, device=torch.device("cpu"))


def latent_scene_view(path: str, cache: Path) -> tuple[Tensor, Tensor]:
    """The first training view of the second latent scene, in the viewer, and its latents."""
    shown = opened(path, cache).scenes[1]
    image, view = shown.render(shown.cameras[[0]])
    return image, view.features


def check_same(image: Tensor, expected: Tensor) -> None:
    """Equal but for the rounding of another machine, and not by being empty."""
    torch.testing.assert_close(image, expected, rtol=1e-4, atol=1e-3)
    assert expected.std() > 0.01


def check_both(found: tuple[Tensor, Tensor], pictures: Mapping[str, Tensor], path: str) -> None:
    check_same(found[0], pictures[path])
    check_same(found[1], pictures[path + LATENTS])


def check_kept(now: Any, stored: Any, where: str = "config") -> None:
    """Every stored setting is there now, with its value; `now` may have more, which had no name then."""
    if isinstance(stored, Mapping):
        for name, value in stored.items():
            assert name in now, f"{where}.{name}"
            check_kept(now[name], value, f"{where}.{name}")
    else:
        assert now == stored, where


@pytest.mark.parametrize("path", FIELDS)
def test_a_run_renders_as_it_did(path: str, sphere: Scene, pictures: dict[str, Tensor]) -> None:
    check_same(rendered(path, sphere), pictures[path])


@pytest.mark.parametrize("path", FIELDS)
def test_the_settings_of_a_run_are_kept(path: str) -> None:
    run = Run.load(path)
    check_kept(run.to_json(), read_json(Path(path) / "config.json"))
    assert run.config.fit.field.kind == FIELDS[path]
    assert isinstance(run.config, FitRunConfig)
    assert run.config.scene == Path("scenes/sphere")


def test_gaussians_of_earlier_runs_saw_whole_views_at_the_rates_of_latents() -> None:
    fit = Run.load("runs/gaussians").config.fit
    assert isinstance(fit.field, GaussiansConfig)
    assert (fit.field.low_resolution_share, fit.field.colors_factor) == (0, 1)
    assert to_json(fit)["field"]["low_resolution_share"] == 0
    now = replace(fit, field=replace(fit.field, low_resolution_share=0.5, colors_factor=0.4))
    assert from_json(FitConfig, to_json(now), source=Path("config.json")) == now
    # Settings are no files of earlier versions.
    asked = {"field": {"kind": "gaussians", "initial": 7}}
    assert with_changes(FitConfig(), asked, source=Path("asked.json")).field == GaussiansConfig(initial=7)


@pytest.mark.slow
@pytest.mark.parametrize("path", FIELDS)
def test_a_run_scores_as_it_did(path: str) -> None:
    """Which also finds its scene and its autoencoder to be those that it was fitted to and with."""
    now, then = evaluate_run(Run.load(path)), read_json(Path(path) / "metrics.json")
    assert now["test"].keys() == then["test"].keys()
    for group, scores in then["test"].items():
        for measure, value in scores["mean"].items():
            assert now["test"][group]["mean"][measure] == pytest.approx(value, rel=1e-3, abs=1e-3), measure


@pytest.mark.slow
@pytest.mark.parametrize("path", FIELDS)
def test_the_viewer_shows_a_run(path: str, sphere: Scene, pictures: dict[str, Tensor]) -> None:
    source = opened(path)
    (shown,) = source.scenes
    assert source.title == f"sphere ({FIELDS[path]})"
    assert len(shown.cameras) == len(sphere.indices("train"))
    check_both(viewed(path, sphere), pictures, path)


@pytest.mark.parametrize("path", FILES)
def test_a_scene_file_renders_as_its_run(path: str, sphere: Scene, pictures: dict[str, Tensor]) -> None:
    check_both(viewed(path, sphere), pictures, FILES[path])
    check_same(rendered(path, sphere), pictures[FILES[path]])
    (shown,) = opened(path).scenes
    assert not shown.has_images
    train = sphere.indices("train")
    torch.testing.assert_close(
        shown.cameras.camera_to_world, sphere.cameras[train].camera_to_world, rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("path", AUTOENCODERS)
def test_an_autoencoder_reconstructs_as_it_did(path: str, sphere: Scene, pictures: dict[str, Tensor]) -> None:
    check_both(decoded(path, sphere), pictures, path)
    statistics = read_json(Path(path) / "latent_statistics.json")
    check_kept(to_json(load_autoencoder(path).statistics), statistics)


def test_an_autoencoder_without_statistics_has_none() -> None:
    autoencoder = load_autoencoder("autoencoders/no-statistics")
    assert not autoencoder.has_statistics
    weights = load_autoencoder("trainings/autoencoder/autoencoder").codec.encoder_module().state_dict()
    for name, tensor in autoencoder.codec.encoder_module().state_dict().items():
        assert torch.equal(tensor, weights[name])


@pytest.mark.parametrize("path", LATENT_SCENES)
def test_the_viewer_shows_latent_scenes(path: str, pictures: dict[str, Tensor], tmp_path: Path) -> None:
    source = opened(path, tmp_path)
    assert [scene.name for scene in source.scenes] == ["mug-0", "mug-1"]
    check_both(latent_scene_view(path, tmp_path), pictures, path)


RUNS = {
    **dict.fromkeys(FIELDS, FitRunConfig),
    "trainings/align-decoder": DecoderRunConfig,
    "trainings/autoencoder": AutoencoderRunConfig,
    "trainings/finetune-3d": IgaeRunConfig,
    "trainings/older-finetune-3d": IgaeRunConfig,
    "trainings/finetune-encoder": EncoderRunConfig,
}
"""All folders of runs, and what describes them."""


@pytest.mark.parametrize("path", RUNS)
def test_the_description_of_a_run_is_kept(path: str) -> None:
    described: Any = read_run(RUNS[path], Path(path))
    check_kept(to_json(described), read_json(Path(path) / CONFIG_FILE))
    assert run_kind(Path(path)) == described.kind


@pytest.mark.parametrize("path", RUNS)
def test_a_run_is_found_to_be_the_same(path: str, tmp_path: Path) -> None:
    """So that it is resumed, also where its description has neither a kind nor settings that came later."""
    shutil.copy(Path(path) / CONFIG_FILE, tmp_path)
    described: Any = read_run(RUNS[path], Path(path))
    claim_run(tmp_path, described)
    part = "fit" if path in FIELDS else "training"
    other = replace(getattr(described, part), seed=77)
    with pytest.raises(InputError, match=r"other settings \(.*seed: 0 there, 77 now"):
        claim_run(tmp_path, replace(described, **{part: other}))


def test_correspondences_are_read() -> None:
    (scene,) = open_dataset(Path("correspondences"))
    assert (scene.name, scene.folder, scene.about["source"]) == ("corner", Path("scenes/corner"), "depth")
    assert (len(scene.images), len(scene), len(scene.points)) == (4, 6, 572)
    first = scene.fractions(0)[0]
    torch.testing.assert_close(first, torch.tensor(FIRST_POINT), rtol=0, atol=1e-4)


COLLECTIONS = {"collections/mugs": 2, "collections/colours": 0}
"""Collections, and the features that objects have of their own."""


@pytest.mark.parametrize("path", COLLECTIONS)
def test_the_objects_of_a_collection_render_as_they_did(path: str) -> None:
    collection = Collection.open(path, device="cpu")
    expected = {name: tensor.float() for name, tensor in load_tensors(COLLECTION_PICTURES)[0].items()}
    assert collection.names() == ["mug-0", "mug-1"]
    for name in collection.names():
        assert collection.object(name).micro.shape[-1] == COLLECTIONS[path]
        run = collection.run(name)
        # Their scenes are found from where the collection is now.
        scene = load_run_scene(run)
        check_same(run.render(scene.cameras[scene.indices("test")[:1]]), expected[f"{path}/{name}"])
    half = collection.between("mug-0", "mug-1", 0.5)
    check_same(half.render(collection.views().cameras[:1]), expected[f"{path}/between"])


@pytest.mark.parametrize("path", COLLECTIONS)
def test_a_collection_is_gone_on_with(path: str, tmp_path: Path) -> None:
    """Its settings are kept, and it takes objects of this version."""
    description = read_run(CollectionRunConfig, Path(path))
    check_kept(to_json(description), read_json(Path(path) / CONFIG_FILE))
    collection = Collection.open(shutil.copytree(path, tmp_path / "mugs"), device="cpu")
    collection.remove("mug-1")
    first = collection.object("mug-0").weights
    short = replace(
        collection.training,
        latent=replace(collection.training.latent, epochs=0.5),
        align=replace(collection.training.align, epochs=0.0),
    )
    collection = add_to_collection(collection, "scenes/mugs/mug-1", training=short, device="cpu")
    assert collection.names() == ["mug-0", "mug-1"]
    assert torch.equal(collection.object("mug-0").weights, first)


FIRST_POINT = [[0.04167, 0.05000], [0.05002, 0.06239]]
"""The first point of the first pair, in both images, as fractions of their sides."""
