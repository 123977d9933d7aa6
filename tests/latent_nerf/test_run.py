"""A run that is loaded again sees the scene and the autoencoder that it was fitted to and with, or says so."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import latentfields
from helpers.tiny import TINY_FIT, sphere_cameras
from latentfields.autoencoders import diffusers_codec
from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.autoencoders.load import load_autoencoder
from latentfields.config.typed_json import from_json, to_json
from latentfields.errors import ArgumentError, InputError
from latentfields.files import read_json
from latentfields.latent_nerf.evaluate import evaluate_run, summary_lines
from latentfields.latent_nerf.fit import fit_folder
from latentfields.latent_nerf.render import load_run_scene
from latentfields.latent_nerf.report import run_label
from latentfields.latent_nerf.run import FitRunConfig, Run
from latentfields.latent_nerf.scene_cameras import SceneCameras
from latentfields.scenes.load import load_scene
from latentfields.scenes.reading import Masks, Reading
from latentfields.scenes.scene import Scene
from latentfields.training.checkpoint import load_tensors, save_tensors

QUICK = TINY_FIT.with_steps(supervision=2, alignment=2)
SKIPPED = {"latents", "against_autoencoded", "autoencoder"}


def fit(scene: Scene, autoencoder: Autoencoder | None, out: Path) -> Run:
    return latentfields.fit(scene, autoencoder, out=out, config=QUICK)


def stored_scores(run: Path) -> Any:
    return read_json(run / "metrics.json")["test"]


def with_masks(folder: Path) -> None:
    """Masks that hide the lower half of every picture."""
    names = [picture.name for picture in folder.glob("*/*.png")]
    mask = Image.new("L", (32, 32), 0)
    mask.paste(255, (0, 0, 32, 16))
    (folder / "masks").mkdir()
    for name in names:
        mask.save(folder / "masks" / name)


def in_another_format(folder: Path) -> None:
    """The first views as Nerfstudio's format, too, with another field of view: which is not looked for first."""
    frames = [
        {"file_path": f"train/r_{view}.png", "transform_matrix": pose.tolist()}
        for view, pose in enumerate(sphere_cameras(12).camera_to_world)
    ]
    about = {"fl_x": 60.0, "fl_y": 60.0, "cx": 16.0, "cy": 16.0, "w": 32, "h": 32, "frames": frames}
    (folder / "transforms.json").write_text(json.dumps(about))


def opaque(folder: Path) -> None:
    """Pictures without alpha: cameras alone say what the normalised frame is."""
    for picture in folder.glob("*/*.png"):
        Image.open(picture).convert("RGB").save(picture)


def of_33_pixels(folder: Path) -> None:
    """Pictures whose sides are no whole latents."""
    for picture in folder.glob("*/*.png"):
        Image.open(picture).resize((33, 33)).save(picture)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("prepare", "options", "change"),
    [
        (None, {"background": (0, 0, 0)}, None),
        (None, {}, lambda scene: replace(scene, background=(0.2, 0.4, 0.6))),
        (with_masks, {"masks": "none"}, None),
        (with_masks, {"masks": "object"}, None),
        (with_masks, {"masks": "ignore"}, None),
        (in_another_format, {"format": "nerfstudio"}, None),
        (of_33_pixels, {}, None),
        (of_33_pixels, {}, lambda scene: scene.cropped_to_multiple(8)),
        (of_33_pixels, {"max_size": 25}, lambda scene: scene.cropped_to_multiple(8)),
        (opaque, {}, lambda scene: scene.resized(width=20, height=20)),
    ],
)
def test_a_scene_is_read_again_as_it_was(
    scene_folder: Path,
    autoencoder: Autoencoder,
    tmp_path: Path,
    prepare: Callable[[Path], None] | None,
    options: dict[str, Any],
    change: Callable[[Scene], Scene] | None,
) -> None:
    folder = shutil.copytree(scene_folder, tmp_path / "scene")
    if prepare is not None:
        prepare(folder)
    scene = load_scene(folder, **options)
    scene = scene if change is None else change(scene)
    fit(scene, autoencoder, tmp_path / "run")
    again = load_run_scene(Run.load(tmp_path / "run"))
    fitted = scene.cropped_to_multiple(autoencoder.factor)
    every = torch.arange(len(fitted))
    assert torch.equal(again.images(every), fitted.images(every))
    for name in ("camera_to_world", "focal", "principal"):
        assert torch.equal(getattr(again.cameras, name), getattr(fitted.cameras, name))
    run = Run.load(str(tmp_path / "run"))
    assert evaluate_run(run, autoencoder=autoencoder)["test"] == stored_scores(tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (lambda scene: replace(scene, pixels=scene.pixels.flip(-1), alpha=None), "other pixels"),
        (lambda scene: replace(scene, pixels=scene.pixels // 2), "other pixels"),
        (lambda scene: replace(scene, alpha=scene.alpha // 2), "other pixels"),
        (lambda scene: replace(scene, cameras=scene.cameras[torch.arange(15).flip(0)]), "other cameras"),
        (lambda scene: replace(scene, splits=scene.splits | {"test": torch.tensor([12])}), "other splits"),
        (
            lambda scene: replace(
                scene,
                pixels=scene.pixels[:14],
                alpha=scene.alpha[:14],
                cameras=scene.cameras[:14],
                splits={"train": torch.arange(12), "test": torch.arange(12, 14)},
                image_names=scene.image_names[:14],
            ),
            "14 views",
        ),
    ],
)
def test_a_scene_that_was_changed_in_memory_is_asked_for(
    scene: Scene, tmp_path: Path, change: Callable[[Scene], Scene], difference: str
) -> None:
    changed = change(scene)
    run = fit(changed, None, tmp_path / "run")
    wanted = r"other pixels|other cameras|other splits|15 views instead of 14"
    for see in (evaluate_run, load_run_scene):
        with pytest.raises(
            InputError, match=f"is not the scene that the run was fitted to: it has ({wanted})"
        ) as caught:
            see(Run.load(tmp_path / "run"))
        assert "evaluate_run(run, scene=...)" in str(caught.value)
        assert "\n" not in str(caught.value)
    assert evaluate_run(run, scene=changed)["test"] == stored_scores(tmp_path / "run")
    # The other way round: the folder's scene is fitted, the changed one is offered.
    original = fit(scene, None, tmp_path / "original")
    with pytest.raises(InputError, match=difference):
        evaluate_run(original, scene=changed)
    with pytest.raises(InputError, match="is given beside `scene_folder`"):
        evaluate_run(original, scene=scene, scene_folder=tmp_path)


def test_another_scene_is_not_taken_for_the_one_that_a_finished_run_is_of(
    scene: Scene, tmp_path: Path
) -> None:
    fit(scene, None, tmp_path / "run")
    fit(scene, None, tmp_path / "run")
    with pytest.raises(InputError, match="other pixels"):
        fit(replace(scene, pixels=scene.pixels // 2), None, tmp_path / "run")


def test_another_decoder_of_jpeg_is_no_other_scene(scene: Scene, tmp_path: Path) -> None:
    run = fit(scene, None, tmp_path / "run")
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(-1, 2, scene.pixels.shape, generator=generator)
    noisy = replace(scene, pixels=(scene.pixels.int() + noise).clamp(0, 255).to(torch.uint8))
    moved = replace(scene, cameras=replace(scene.cameras, focal=scene.cameras.focal * (1 + 1e-6)))
    assert run.check_scene(noisy) is noisy
    assert run.check_scene(moved) is moved


def test_runs_of_earlier_versions_load(
    scene: Scene, autoencoder: Autoencoder, autoencoder_folder: Path, tmp_path: Path
) -> None:
    named = autoencoder.clone()
    named.name = str(autoencoder_folder)
    fit(scene, named, tmp_path / "run")
    file, config = tmp_path / "run" / "model.safetensors", tmp_path / "run" / "config.json"
    tensors, metadata = load_tensors(file)
    assert metadata.pop("fingerprint") is not None
    save_tensors(file, tensors, metadata)
    settings = read_json(config)
    assert settings.pop("reading")["bounds"] == "auto"
    config.write_text(json.dumps(settings))
    assert evaluate_run(Run.load(tmp_path / "run"))["test"] == stored_scores(tmp_path / "run")
    # The same command finds it finished.
    assert fit(scene, named, tmp_path / "run").frame.fingerprint is None


@pytest.fixture
def never_on_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(name: str) -> None:
        raise AssertionError(f"the Hub was asked for {name}")

    monkeypatch.setattr(diffusers_codec, "load_diffusers", asked)


@pytest.mark.usefixtures("never_on_the_hub")
def test_an_autoencoder_that_was_changed_in_memory_is_asked_for(
    scene: Scene, autoencoder: Autoencoder, autoencoder_folder: Path, tmp_path: Path
) -> None:
    changed = autoencoder.clone()
    changed.name = str(autoencoder_folder)
    with torch.no_grad():
        next(changed.codec.decoder_module().parameters()).mul_(1.1)
    run = fit(scene, changed, tmp_path / "run")
    with pytest.raises(
        InputError, match="linear: has other weights than the autoencoder that the run was fitted"
    ):
        evaluate_run(run)
    assert evaluate_run(run, autoencoder=changed)["test"] == stored_scores(tmp_path / "run")


@pytest.mark.slow
@pytest.mark.usefixtures("never_on_the_hub")
def test_the_folder_of_an_autoencoder_is_found_from_everywhere_and_may_move(
    scene_folder: Path, autoencoder_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    shutil.copytree(autoencoder_folder, tmp_path / "nets" / "mine")
    monkeypatch.chdir(tmp_path)
    config = FitRunConfig(scene=scene_folder, autoencoder="nets/mine", size=None, seconds=None, fit=QUICK)
    for _ in range(2):  # The second time, the run is found finished.
        run = fit_folder(config, out=tmp_path / "run")
        assert run.config.autoencoder == str(tmp_path / "nets" / "mine")
    assert run_label(run) == "Latent NeRF (triplane, mine)"
    monkeypatch.chdir(tmp_path / "elsewhere")
    stored = stored_scores(tmp_path / "run")
    assert evaluate_run(Run.load(tmp_path / "run"))["test"] == stored
    file = tmp_path / "scene.safetensors"
    run.write_file(file, SceneCameras.of(load_run_scene(run)))
    (tmp_path / "nets" / "mine").rename(tmp_path / "moved")
    for path in (tmp_path / "run", file):
        scores = evaluate_run(Run.load(path))
        assert scores["test"] == {group: stored[group] for group in stored.keys() - SKIPPED}
        assert "say with `autoencoder` where it is now" in summary_lines(scores)[-1]
        scores = evaluate_run(Run.load(path), autoencoder=tmp_path / "moved")
        assert scores["test"] == stored
        assert not any("autoencoder" in note for note in scores["notes"])
        with pytest.raises(InputError, match="base: has other weights"):
            evaluate_run(Run.load(path), autoencoder="base")
        with pytest.raises(InputError, match="nowhere: no such autoencoder"):
            evaluate_run(Run.load(path), autoencoder=str(tmp_path / "nowhere"))


@pytest.mark.usefixtures("never_on_the_hub")
@pytest.mark.parametrize("name", [Path("q5/decoder"), "./decoder", "../decoder", "/decoder"])
def test_folders_that_are_gone_are_not_looked_for_on_the_hub(name: str | Path) -> None:
    with pytest.raises(InputError, match="decoder: no such autoencoder"):
        load_autoencoder(name)


@pytest.mark.usefixtures("never_on_the_hub")
def test_a_run_needs_the_folder_of_its_decoder(
    scene: Scene, autoencoder: Autoencoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fit(scene, autoencoder, Path("run"))
    shutil.rmtree(tmp_path / "run" / "decoder")
    with pytest.raises(
        InputError, match="run/decoder: there is no such folder; expected the run's autoencoder"
    ):
        Run.load("run")


def test_an_autoencoder_is_of_no_use_for_a_run_in_rgb(scene: Scene, tmp_path: Path) -> None:
    run = fit(scene, None, tmp_path / "run")
    with pytest.raises(InputError, match=r"autoencoder: is of no use for .*run, which was fitted in RGB"):
        evaluate_run(run, autoencoder="base")


@pytest.mark.parametrize(
    ("about", "problem"),
    [
        (
            {"kind": "igae"},
            "is a run of `autoencoder finetune-3d`, whose scenes `latentfields view` shows; expected",
        ),
        (
            {"kind": "autoencoder"},
            "is a run of `autoencoder train`; expected a run of `latentfields fit`",
        ),
        (
            {"scenes": [], "fit": {}, "training": {}},  # Written by an earlier version, without a kind.
            "is a run of `lrf align-decoder`; expected a run of `latentfields fit`",
        ),
        ({"kind": "other"}, "is a run of the kind 'other'; expected a run of `latentfields fit`"),
        ([], "field 'top level' should be an object"),
    ],
)
def test_runs_of_other_commands_are_told_apart(tmp_path: Path, about: Any, problem: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps(about))
    with pytest.raises(InputError, match=problem):
        Run.load(tmp_path)


def test_a_size_of_nothing_names_its_option(scene_folder: Path, tmp_path: Path) -> None:
    config = FitRunConfig(
        scene=scene_folder, autoencoder=None, size=0, seconds=None, fit=replace(QUICK, space="rgb")
    )
    with pytest.raises(InputError, match=r"^size: is 0; expected at least 1$"):
        fit_folder(config, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_readings_of_earlier_versions(tmp_path: Path) -> None:
    """They had a switch where masks have a meaning now."""
    meanings: dict[bool, Masks] = {True: "object", False: "none"}
    for stored, masks in meanings.items():
        about = {"format": "nerfstudio", "use_masks": stored, "background": [0.0, 0.5, 1.0]}
        reading = from_json(Reading, about, source=tmp_path)
        earlier = Reading.earlier()
        assert (earlier.bounds, earlier.points) == ("object", "listed")
        assert reading == replace(earlier, format="nerfstudio", masks=masks, background=(0.0, 0.5, 1.0))
        assert from_json(Reading, to_json(reading), source=tmp_path) == reading
    with pytest.raises(InputError, match="field 'masks' is None; expected one of object, ignore, none"):
        from_json(Reading, {"use_masks": "yes"}, source=tmp_path)


def test_a_run_renders_where_it_is_asked_to(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit(scene, None, tmp_path / "run")
    with pytest.raises(ArgumentError, match=r"^device: is 'abacus'; expected auto or one of "):
        Run.load(tmp_path / "run", device="abacus")
    assert Run.load(tmp_path / "run", device="cpu").model.device == torch.device("cpu")
    monkeypatch.setattr("latentfields.latent_nerf.run.choose_device", torch.device)
    run = Run.load(tmp_path / "run", device="meta")
    assert {tensor.device.type for tensor in run.model.state_dict().values()} == {"meta"}
