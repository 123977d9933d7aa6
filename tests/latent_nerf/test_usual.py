"""What is fitted where nobody names a field: by what the scene is, alike in the command line, Python and fleets."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from helpers.corner_scene import corner_cameras, write_colmap_scene
from latentfields import UsualFit, fit, fit_fleet, preset
from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.cli.fit import Fit
from latentfields.cli.fleet import Fleet
from latentfields.cli.main import main, parse
from latentfields.errors import ArgumentError, InputError
from latentfields.latent_nerf.config import FitConfig, Space, StageConfig
from latentfields.latent_nerf.fit import as_usual, at_usual_size, fit_folder
from latentfields.latent_nerf.run import FitRunConfig
from latentfields.latent_nerf.usual import HABITS, SIDE_ON_GPU, usual_side
from latentfields.rendering.config import SplattingConfig
from latentfields.scenes.load import load_scene, scene_kind
from latentfields.scenes.reading import Reading
from latentfields.scenes.scene import Scene
from latentfields.training.workers import LocalWorkers

FEW = {"supervision": {"steps": 2}, "alignment": {"steps": 1}, "batch_images": 1}
FEW_FLAGS = ("--supervision.steps", "2", "--alignment.steps", "1", "--batch-images", "1")
"""The same, as changes and as flags."""


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_colmap_scene(tmp_path_factory.mktemp("usual") / "corner", corner_cameras(9, width=64))


def recorded(run: Path) -> Any:
    return json.loads((run / "config.json").read_text())["fit"]


def test_what_is_usual_is_what_was_measured() -> None:
    assert {kind: habit.space for kind, habit in HABITS.items()} == {"object": "latent", "capture": "both"}
    for space in ("latent", "rgb", "both"):
        assert HABITS["object"].fields[space] == "kplanes"
        assert HABITS["capture"].fields[space] == "gaussians"
    assert {kind: usual_side(kind, device="cpu") for kind in HABITS} == {"object": 1600, "capture": 512}
    assert {kind: habit.steps for kind, habit in HABITS.items()} == {"object": None, "capture": (700, 700)}
    assert {usual_side(kind, device="cuda") for kind in HABITS} == {SIDE_ON_GPU} == {1600}


def test_objects_are_fitted_to_latents_on_a_grid_that_moves() -> None:
    usual, smooth = UsualFit(), preset(space="rgb").field
    moving = replace(preset(), alignment_grid="shifted", field=smooth)
    assert usual.of("object", colors=False, factor=2) == replace(
        moving, subpixels=1, batch_images=1, crop=128
    )
    assert usual.of("object", colors=False, factor=4) == replace(moving, subpixels=2, batch_images=1)
    assert usual.of("object", colors=False, factor=8) == replace(moving, subpixels=2, batch_images=4)
    assert usual.of("object", colors=False, factor=16) == replace(moving, subpixels=4, batch_images=4)
    assert usual.of("object", colors=False) == moving
    assert usual.of("object", colors=True) == preset(space="rgb").in_one_stage()
    both = UsualFit("both").of("object", colors=False, factor=4)
    assert both == replace(preset(space="both"), subpixels=2, batch_images=1, alignment_grid="shifted")
    # Where the decoder stays, what is learnt by heart of one grid stays, too.
    none = UsualFit(changes={"alignment_kind": "none"}).of("object", colors=False, factor=8)
    assert none == replace(preset(), alignment_kind="none")
    scene = UsualFit(changes={"alignment_kind": "scene"}).of("object", colors=False, factor=8)
    assert scene == replace(preset(), alignment_kind="scene", alignment_grid="shifted")


def test_earlier_versions_fitted_every_scene_on_a_grid_that_stays() -> None:
    usual = UsualFit()
    assert usual.as_earlier(colors=False, factor=4) == replace(preset(), subpixels=1)
    assert usual.as_earlier(colors=False, factor=8) == usual.as_earlier(colors=False) == preset()
    assert usual.as_earlier(colors=True) == preset(space="rgb").in_one_stage()
    assert usual.as_earlier(colors=False, factor=2) == replace(preset(), subpixels=1)
    few = UsualFit(changes={"batch_images": 3}).as_earlier(colors=False, factor=4)
    assert few == replace(preset(), subpixels=1, batch_images=3)


def test_captures_are_fitted_with_gaussians() -> None:
    usual = UsualFit()

    def captured(space: Space) -> FitConfig:
        config = preset("gaussians", space=space)
        return replace(
            config,
            subpixels=2,
            supervision=StageConfig(700, 1.0),
            alignment=StageConfig(700, 0.3),
            decoder_learning_rate=4e-4,
            alignment_grid="shifted",
        )

    rgb = replace(captured("rgb"), subpixels=preset("gaussians").subpixels).in_one_stage()
    rgb = replace(rgb, supervision=StageConfig(1400, 1.0), alignment_grid="fixed")
    assert usual.of("capture", colors=True) == rgb
    assert usual.of("capture", colors=False, factor=4) == captured("both")
    latent = replace(captured("latent"), sampling=SplattingConfig(blur=0.1))
    assert UsualFit("latent").of("capture", colors=False, factor=8) == latent
    # A prior judges latents of objects.
    aligned = preset().alignment.steps
    few = replace(preset().with_steps(supervision=150, alignment=aligned), alignment_kind="none")
    assert usual.of("capture", colors=False, factor=8, prior=True) == few


def test_changes_are_on_top_and_must_fit() -> None:
    changed = UsualFit(changes={"seed": 3, "supervision": {"steps": 5}, "subpixels": 2})
    config = changed.of("capture", colors=False, factor=4)
    assert (config.seed, config.supervision.steps, config.subpixels) == (3, 5, 2)
    usual = UsualFit().of("capture", colors=False, factor=4)
    assert config == replace(usual, seed=3, subpixels=2, supervision=replace(usual.supervision, steps=5))
    with pytest.raises(InputError, match="unknown field 'sed'"):
        UsualFit(changes={"sed": 3}).of("object", colors=True)


def with_masks(folder: Path) -> Reading:
    (folder / "masks").mkdir()
    for picture in (folder / "images").iterdir():
        mask = np.zeros((48, 64), np.uint8)
        mask[8:40, 8:56] = 255
        Image.fromarray(mask).save(folder / "masks" / picture.name)
    return Reading()


def ignoring_masks(folder: Path) -> Reading:
    with_masks(folder)
    return Reading(masks="ignore")


def with_alpha(folder: Path, *, opaque: bool = False) -> Reading:
    for picture in (folder / "images").iterdir():
        image = Image.open(picture).convert("RGBA")
        if not opaque:
            image.putalpha(Image.fromarray(np.pad(np.full((40, 56), 255, np.uint8), 4)))
        image.save(picture)
    return Reading()


def with_an_opaque_channel(folder: Path) -> Reading:
    return with_alpha(folder, opaque=True)


def without_points(folder: Path) -> Reading:
    (folder / "sparse" / "points3D.txt").write_text("")
    return Reading()


@pytest.mark.parametrize(
    ("made", "kind"),
    [
        (lambda folder: Reading(), "capture"),
        (lambda folder: Reading(bounds="object"), "object"),
        (lambda folder: Reading(bounds="scene"), "capture"),
        (with_masks, "object"),
        (ignoring_masks, "capture"),
        (with_alpha, "object"),
        (with_an_opaque_channel, "capture"),
        (without_points, "object"),
    ],
)
def test_the_kind_of_a_folder_is_that_of_its_scene(
    tmp_path: Path, made: Callable[[Path], Reading], kind: str
) -> None:
    folder = write_colmap_scene(tmp_path / "corner", corner_cameras(9, width=64))
    reading = made(folder)
    assert scene_kind(folder, reading) == kind
    scene = load_scene(folder, masks=reading.masks, bounds=reading.bounds)
    assert scene.kind == kind


def test_a_rendered_object_is_one(scene_folder: Path, scene: Scene) -> None:
    assert scene_kind(scene_folder, Reading()) == scene.kind == "object"


def left_open(*arguments: str) -> UsualFit | None:
    command = parse(["fit", "a", *arguments])
    assert isinstance(command, Fit)
    return command.left_open()


def test_options_that_name_no_field_leave_it_to_the_scene(tmp_path: Path) -> None:
    assert left_open() == UsualFit()
    assert left_open("--out", "runs/x", "--seconds", "3", "--size=64") == UsualFit()
    assert left_open("--space", "rgb") == UsualFit("rgb")
    # What is asked for wins, also where it is what would have been taken for an object.
    usual = preset()
    steps = str(usual.supervision.steps)
    assert left_open("--supervision.steps", steps, "--batch-images", str(usual.batch_images)) == UsualFit(
        changes={"supervision": {"steps": usual.supervision.steps}, "batch_images": usual.batch_images}
    )
    assert left_open("--alignment", "scene", "--alignment.steps=7") == UsualFit(
        changes={"alignment_kind": "scene", "alignment": {"steps": 7}}
    )
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"space": "both", "seed": 4, "alignment": {"steps": 9}}))
    assert left_open("--settings", str(settings), "--alignment.learning-rate-factor", "0.25") == UsualFit(
        "both", {"seed": 4, "alignment": {"steps": 9, "learning_rate_factor": 0.25}}
    )
    command = parse(["fleet", "a", "b", "--seed", "5"])
    assert isinstance(command, Fleet)
    assert command.left_open() == UsualFit(changes={"seed": 5})


@pytest.mark.parametrize(
    "arguments",
    [
        ("--field", "kplanes"),
        ("--field=gaussians",),
        ("--preset", "small"),
        ("--sampler", "grid"),
        ("--field.features", "8"),
        ("--sampling.samples", "8"),
        ("--field", "gaussians", "--densification", "mcmc"),
    ],
)
def test_options_that_name_a_field_or_something_of_it_leave_nothing_open(arguments: tuple[str, ...]) -> None:
    assert left_open(*arguments) is None


def test_settings_of_a_field_leave_nothing_open(tmp_path: Path) -> None:
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"field": {"features": 8}}))
    assert left_open("--settings", str(settings)) is None


@pytest.mark.slow
def test_command_python_and_fleet_record_the_same_choice(
    capture: Path,
    scene_folder: Path,
    autoencoder_folder: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.INFO, logger="latentfields")
    monkeypatch.setattr("latentfields.latent_nerf.report.write_run_report", lambda *_, **__: tmp_path)
    flags = ("--autoencoder", str(autoencoder_folder), *FEW_FLAGS)
    main(["fit", str(capture), "--out", str(tmp_path / "command"), *flags])
    chosen = recorded(tmp_path / "command")
    assert (chosen["space"], chosen["field"]["kind"], chosen["subpixels"]) == ("both", "gaussians", 2)
    said = f"corner: fits gaussians to colours and latents of {autoencoder_folder}, rays per latent: 4; 2 + 1 steps"
    assert said in [record.getMessage() for record in caplog.records]

    asked = UsualFit(changes=FEW)
    fit(capture, autoencoder_folder, out=tmp_path / "python", config=asked)
    fit(load_scene(capture), autoencoder_folder, out=tmp_path / "memory", config=asked)
    scenes = [capture, scene_folder]
    fleet = fit_fleet(
        scenes, autoencoder_folder, out=tmp_path / "fleet", config=asked, engine=LocalWorkers(1)
    )
    metrics = json.loads((tmp_path / "fleet" / "corner" / "metrics.json").read_text())["test"]
    assert fleet.fits[0].psnr == metrics["colors"]["mean"]["psnr"] != metrics["images"]["mean"]["psnr"]
    for run in ("python", "memory", "fleet/corner"):
        assert recorded(tmp_path / run) == chosen
    # Each scene of a fleet has its own.
    assert recorded(tmp_path / "fleet" / scene_folder.name)["field"]["kind"] == "kplanes"


def test_what_contradicts_a_choice_is_refused(
    capture: Path, scene: Scene, autoencoder: Autoencoder, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    with pytest.raises(ArgumentError, match="space: is 'rgb' beside `config`, whose space is 'both'"):
        fit(scene, None, out=out, space="rgb", config=UsualFit("both"))
    with pytest.raises(ArgumentError, match="space: is 'latent' with no `autoencoder`"):
        fit(capture, None, out=out, config=UsualFit("latent"))
    with pytest.raises(ArgumentError, match="field: is 'kplanes' beside `config`"):
        fit(scene, None, out=out, field="kplanes", config=UsualFit())
    assert not out.exists()


def test_a_run_that_was_begun_with_another_choice_goes_on(
    capture: Path, autoencoder_folder: Path, tmp_path: Path
) -> None:
    def config(fit: FitConfig) -> FitRunConfig:
        return FitRunConfig(
            scene=capture,
            autoencoder=str(autoencoder_folder),
            size=64,
            seconds=None,
            fit=fit,
            reading=Reading(),
        )

    earlier = UsualFit(changes=FEW).as_earlier(colors=False, factor=4)
    fit_folder(config(earlier), out=tmp_path / "run")
    asked = UsualFit(changes=FEW)
    # From Python as well.
    again = fit(capture, autoencoder_folder, out=tmp_path / "run", config=asked)
    assert again.config.fit == earlier
    assert as_usual(config(earlier), asked, out=tmp_path / "run").fit == earlier
    later = as_usual(config(earlier), asked, out=tmp_path / "other").fit
    assert later == as_usual(config(earlier), asked, out=None).fit
    assert later.field.kind == "gaussians"


def test_captures_are_shrunk_to_what_a_processor_can_do(
    capture: Path, scene_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    habits = {
        kind: replace(habit, side_on_cpu=side)
        for (kind, habit), side in zip(HABITS.items(), (60, 24), strict=True)
    }
    monkeypatch.setattr("latentfields.latent_nerf.usual.HABITS", habits)
    fits = UsualFit(changes=FEW).of("object", colors=True)
    config = FitRunConfig(scene=capture, autoencoder=None, size=None, seconds=None, fit=fits)
    with pytest.warns(
        UserWarning, match="are shrunk to 24 along their longer side; the size full keeps them"
    ):
        assert at_usual_size(config, out=tmp_path / "run", device="cpu").size == 24
    assert at_usual_size(replace(config, scene=scene_folder), out=tmp_path / "run", device="cpu").size is None
    with pytest.warns(UserWarning, match="are shrunk to 24"):
        run = fit(capture, None, out=tmp_path / "run", config=UsualFit(changes=FEW))
    assert max(run.frame.width, run.frame.height) == 24
