"""From settings to a run folder: what is refused, what is kept, and that dying late costs nothing."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from helpers.tiny import TINY_FIT
from latentfields import FitConfig, fit
from latentfields.autoencoders.autoencoder import Autoencoder, LatentStatistics
from latentfields.errors import InputError
from latentfields.fields.config import TriPlaneConfig
from latentfields.files import read_json
from latentfields.latent_nerf import fit as fit_module
from latentfields.latent_nerf.fit import at_usual_size, bounds_line, fit_folder
from latentfields.latent_nerf.places import ScenePlaces
from latentfields.latent_nerf.run import FitRunConfig, Run
from latentfields.rendering.config import GridSamplingConfig
from latentfields.scenes.load import load_scene
from latentfields.scenes.reading import Reading
from latentfields.scenes.scene import Scene
from latentfields.training.loop import read_log

QUICK = TINY_FIT.with_steps(supervision=3, alignment=2)


def changed(option: str, value: Any) -> FitConfig:
    """`QUICK` with one option, written as on the command line, set to another value."""
    config: FitConfig = with_value(QUICK, option.removeprefix("--").replace("-", "_"), value)
    return config


def with_value(config: Any, path: str, value: Any) -> Any:
    """A nested dataclass with the value at `path`, as in `field.resolution`, replaced."""
    outer, _, inner = path.partition(".")
    return replace(config, **{outer: with_value(getattr(config, outer), inner, value) if inner else value})


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("supervision.steps", -1),
        ("alignment.steps", -3),
        ("supervision.learning_rate_factor", -0.1),
        ("field.optimizer.final_learning_rate", float("nan")),
        ("field.resolution", 1),
        ("field.features", 0),
        ("field.hidden", 0),
        ("field.planes_learning_rate", float("inf")),
        ("sampling.samples", 0),
        ("sampling.bins", 0),
        ("sampling.grid_resolution", 0),
        ("sampling.grid_every", 0),
        ("decoder_learning_rate", -1.0),
        ("batch_images", 0),
        ("batch_rays", 0),
        ("subpixels", 0),
        ("subpixels", 3),
        ("subpixels", -2),
        ("subpixel_width", 0),
    ],
)
def test_settings_out_of_range_are_named(
    scene: Scene, autoencoder: Autoencoder, tmp_path: Path, option: str, value: float
) -> None:
    with pytest.raises(InputError, match=f"^{option}: is {value}; expected") as caught:
        fit(scene, autoencoder, out=tmp_path / "run", config=changed(option, value))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_no_steps_at_all_and_no_time_are_refused(
    scene: Scene, autoencoder: Autoencoder, tmp_path: Path
) -> None:
    nothing = QUICK.with_steps(supervision=0, alignment=0)
    with pytest.raises(InputError, match="expected at least one step"):
        fit(scene, autoencoder, out=tmp_path / "run", config=nothing)
    for seconds in (0.0, -1.0, float("nan")):
        with pytest.raises(InputError, match=r"seconds: is .*; expected more than 0"):
            fit(scene, autoencoder, out=tmp_path / "run", config=QUICK, seconds=seconds)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("supervision", "alignment"), [(0, 3), (3, 0)])
def test_a_stage_may_be_left_out(
    scene: Scene, autoencoder: Autoencoder, tmp_path: Path, supervision: int, alignment: int
) -> None:
    config = QUICK.with_steps(supervision=supervision, alignment=alignment)
    fit(scene, autoencoder, out=tmp_path / "run", config=config)
    stored = read_json(tmp_path / "run" / "metrics.json")
    assert bool(stored["after_supervision"]) == bool(alignment)


def test_small_settings_work(scene: Scene, autoencoder: Autoencoder, tmp_path: Path) -> None:
    assert isinstance(QUICK.field, TriPlaneConfig)
    assert isinstance(QUICK.sampling, GridSamplingConfig)
    config = replace(
        QUICK,
        field=replace(QUICK.field, resolution=2, features=1, hidden=1),
        sampling=replace(QUICK.sampling, samples=1, bins=1, grid_resolution=1, grid_every=1, grid_warmup=0),
        batch_images=100,
        subpixels=1,
    )
    run = fit(scene, autoencoder, out=tmp_path / "run", config=config)
    assert run.render(scene.cameras[:1]).isfinite().all()


def test_images_are_cropped_to_whole_latents(scene: Scene, autoencoder: Autoencoder, tmp_path: Path) -> None:
    odd = scene.resized(width=30, height=30)
    run = fit(odd, autoencoder, out=tmp_path / "run", config=QUICK)
    assert (run.frame.width, run.frame.height) == (28, 28)
    assert run.render(odd.cropped_to_multiple(4).cameras[:1]).shape == (1, 3, 28, 28)
    with pytest.raises(InputError, match="cameras: are 30x30; expected multiples of the factor 4"):
        run.render(odd.cameras[:1])


@pytest.mark.parametrize("size", [2, 12])
def test_images_too_small_are_refused_before_any_training(
    scene: Scene, autoencoder: Autoencoder, tmp_path: Path, size: int
) -> None:
    with pytest.raises(InputError, match=r"images of \d+x\d+"):
        fit(scene.resized(width=size, height=size), autoencoder, out=tmp_path / "run", config=QUICK)
    assert not (tmp_path / "run").exists()


def test_an_autoencoder_without_statistics_gets_those_of_the_scene_and_stays_as_it_was(
    scene: Scene, autoencoder: Autoencoder, tmp_path: Path
) -> None:
    bare = Autoencoder(autoencoder.codec, None, name="bare")
    run = fit(scene, bare, out=tmp_path / "run", config=QUICK)
    assert not bare.has_statistics
    assert bare.statistics.mean == (0.0,) * 8
    fitted = Run.load(run.folder).model.autoencoder
    assert fitted is not None
    images = scene.images(scene.indices("train"))
    assert fitted.statistics.mean == pytest.approx(bare.measure_statistics(images).mean, abs=1e-6)


def test_statistics_of_the_scene_can_be_asked_for_and_are_reloaded(
    scene: Scene, autoencoder: Autoencoder, tmp_path: Path
) -> None:
    own = LatentStatistics((3.0,) * 8, (20.0,) * 8)
    far_off = autoencoder.clone()
    far_off.set_statistics(own)
    fit(scene, far_off, out=tmp_path / "run", config=replace(QUICK, statistics="scene"))
    fitted = Run.load(tmp_path / "run").model.autoencoder
    assert fitted is not None
    expected = far_off.measure_statistics(scene.images(scene.indices("train")))
    assert fitted.statistics.std == pytest.approx(expected.std, rel=1e-5)
    assert far_off.statistics == own


@pytest.mark.slow
@pytest.mark.parametrize("late", ["evaluate_model", "write_metrics", "Run.save"])
def test_dying_after_the_training_costs_nothing(
    scene: Scene, autoencoder: Autoencoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: str
) -> None:
    fit(scene, autoencoder, out=tmp_path / "straight", config=QUICK)

    def die(*_: object, **__: object) -> None:
        raise RuntimeError("the process died here")

    with monkeypatch.context() as patch:
        if late == "Run.save":
            patch.setattr(Run, "save", die)
        else:
            patch.setattr(fit_module, late, die)
        with pytest.raises(RuntimeError, match="died here"):
            fit(scene, autoencoder, out=tmp_path / "resumed", config=QUICK)
    fit(scene, autoencoder, out=tmp_path / "resumed", config=QUICK)
    for name in ("model.safetensors", "decoder/model.safetensors"):
        assert (tmp_path / "straight" / name).read_bytes() == (tmp_path / "resumed" / name).read_bytes()
    straight, resumed = (read_json(tmp_path / name / "metrics.json") for name in ("straight", "resumed"))
    assert straight["test"] == resumed["test"]
    assert straight["after_supervision"] == resumed["after_supervision"]


@pytest.mark.slow
def test_a_time_limit_is_shared_by_both_stages(
    scene: Scene, autoencoder: Autoencoder, tmp_path: Path
) -> None:
    config = TINY_FIT.with_steps(supervision=10_000, alignment=10_000)
    fit(scene, autoencoder, out=tmp_path / "run", config=config, seconds=1.5)
    stored = read_json(tmp_path / "run" / "metrics.json")
    assert 1.5 <= stored["training_seconds"] < 30
    assert "test_psnr" in stored["after_supervision"]
    last = read_log(tmp_path / "run")[-1]
    assert last["stage"] == "alignment"
    assert last["step"] < 20_000


def test_the_folder_of_a_scene_is_all_that_is_needed(
    scene_folder: Path, autoencoder_folder: Path, tmp_path: Path
) -> None:
    config = FitRunConfig(
        scene=scene_folder, autoencoder=str(autoencoder_folder), size=16, seconds=None, fit=QUICK
    )
    run = fit_folder(config, out=tmp_path / "run")
    assert (run.frame.width, run.frame.height) == (16, 16)
    places = ScenePlaces.of(scene_folder, tmp_path / "run")
    assert Run.load(tmp_path / "run").config == replace(config, places=places)


def test_opaque_photographs_can_be_fitted(scene: Scene, autoencoder: Autoencoder, tmp_path: Path) -> None:
    opaque = replace(scene, alpha=None)
    before = autoencoder.background_latent((1.0, 1.0, 1.0))
    run = fit(opaque, autoencoder, out=tmp_path / "run", config=replace(QUICK, subpixels=1))
    loaded = Run.load(run.folder)
    assert isinstance(loaded.model.background, torch.nn.Parameter)
    assert not torch.equal(loaded.model.background, before)


@pytest.mark.slow
@pytest.mark.parametrize("finished", [True, False])
def test_in_rgb_space_it_is_one_fit_however_its_steps_are_divided(
    scene_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finished: bool
) -> None:
    """Earlier versions divided the steps of fits in RGB space, which has one stage, as those of others."""

    def config(supervision: int, alignment: int) -> FitRunConfig:
        steps = replace(QUICK, space="rgb").with_steps(supervision=supervision, alignment=alignment)
        return FitRunConfig(scene=scene_folder, autoencoder=None, size=32, seconds=None, fit=steps)

    out = tmp_path / "run"
    if not finished:
        monkeypatch.setattr(fit_module, "evaluate_model", die)
        with pytest.raises(RuntimeError, match="died"):
            fit_folder(config(3, 2), out=out)
        monkeypatch.undo()
    else:
        fit_folder(config(3, 2), out=out)
    begun = (out / "config.json").read_bytes()
    fit_folder(config(5, 0), out=out)
    assert (out / "config.json").read_bytes() == begun
    assert read_log(out)[-1]["step"] == 5
    with pytest.raises(InputError, match="other settings"):
        fit_folder(config(6, 0), out=out)


def die(*_: object) -> None:
    raise RuntimeError("died")


def test_a_fit_says_what_its_field_covers(
    scene: Scene, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="latentfields")
    fit(scene, None, out=tmp_path / "run", config=replace(QUICK, space="rgb"))
    (line,) = [record.getMessage() for record in caplog.records if "bounds" in record.getMessage()]
    assert (
        line
        == f"{scene.name}: bounds object (as pictures have alpha; no sparse points): the field covers a box"
    )
    capture = replace(scene, alpha=None, bounds="scene", points=torch.zeros(5, 3))
    assert bounds_line(capture).endswith(
        "bounds scene (no alpha; 5 sparse points, 0% outside of the box; 0% of cameras in it): the field covers all "
        "space, contracted"
    )
    asked = replace(capture, reading=Reading(bounds="scene"))
    assert "(as asked for; 5 sparse points, 0% " in bounds_line(asked)


def test_large_photographs_are_shrunk_unless_a_run_was_begun_with_others(
    scene_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = max(load_scene(scene_folder).size)
    config = FitRunConfig(scene=scene_folder, autoencoder=None, size=None, seconds=None, fit=QUICK)
    config = replace(config, fit=replace(QUICK, space="rgb").in_one_stage())
    assert at_usual_size(config, out=tmp_path / "run") == config
    fit_folder(config, out=tmp_path / "run")
    monkeypatch.setattr(fit_module, "usual_side", lambda *_, **__: side - 1)
    with pytest.warns(UserWarning, match=f"are shrunk to {side - 1} along their longer side; the size full"):
        assert at_usual_size(config, out=tmp_path / "other").size == side - 1
    assert at_usual_size(config, out=tmp_path / "run").size is None
