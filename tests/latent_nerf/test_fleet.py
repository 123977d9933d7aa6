"""Many scenes: what is fitted, what is passed over, what is reported, and that each run is what `fit` writes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from helpers.fleets import KILLED_AT, fit_scene_killed_once
from helpers.tiny import TINY_FIT, write_sphere_scene
from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.autoencoders.fingerprint import space_hash
from latentfields.autoencoders.load import load_autoencoder
from latentfields.errors import ArgumentError, InputError
from latentfields.latent_nerf import fleet as fleet_module
from latentfields.latent_nerf.fit import fit as fit_alone
from latentfields.latent_nerf.fit import fit_folder
from latentfields.latent_nerf.fleet import Fleet, fit_fleet
from latentfields.latent_nerf.run import FitRunConfig, Run
from latentfields.scenes.reading import Reading
from latentfields.training.loop import Interrupted
from latentfields.training.ray_cluster import RayCluster
from latentfields.training.workers import Engine, Inline, LocalWorkers

CONFIG = TINY_FIT.with_steps(supervision=4, alignment=2)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """As workers have it: sums over several threads are rounded otherwise."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scenes, and one whose file of poses is damaged."""
    folder = tmp_path_factory.mktemp("many") / "scenes"
    for name in ("first", "second"):
        write_sphere_scene(folder / name, views=6)
    (folder / "third").mkdir()
    (folder / "third" / "transforms_train.json").write_text("{")
    return folder


def fleet(scenes: Path, autoencoder: Path, out: Path, engine: Engine | None = None, **options: Any) -> Fleet:
    return fit_fleet(scenes, autoencoder, out=out, config=CONFIG, engine=engine or Inline(), **options)


@pytest.fixture(scope="module")
def done(
    scenes: Path, autoencoder_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Fleet]:
    out = tmp_path_factory.mktemp("fleet") / "runs"
    return out, fleet(scenes, autoencoder_folder, out)


@pytest.fixture
def gone_on_with(done: tuple[Path, Fleet], tmp_path: Path) -> Path:
    """A copy of that fleet's folder, for tests that write into it; as deep, as configurations say where scenes are."""
    return Path(shutil.copytree(done[0], tmp_path / "runs"))


def test_bad_scenes_are_reported_and_the_others_are_fitted(done: tuple[Path, Fleet], scenes: Path) -> None:
    out, found = done
    assert [Path(fit.run) for fit in found.fits] == [out / "first", out / "second"]
    (failure,) = found.failed
    assert failure.scene == str(scenes / "third")
    assert "transforms_train.json: is not valid JSON" in failure.problem
    assert failure.attempts == 1
    assert not (out / "third").exists()
    assert json.loads((out / "fleet.json").read_text()) == json.loads(json.dumps(found.to_json()))
    for fit in found.fits:
        metrics = json.loads((Path(fit.run) / "metrics.json").read_text())
        assert fit.psnr == metrics["test"]["images"]["mean"]["psnr"]
        assert fit.bytes > (Path(fit.run) / "model.safetensors").stat().st_size


def test_the_page_shows_every_scene_and_what_is_wrong(done: tuple[Path, Fleet]) -> None:
    out, found = done
    page = (out / "fleet.html").read_text()
    for text in ("2 scenes fitted, 1 could not be", "first", "second", "is not valid JSON", "mean"):
        assert text in page
    assert page.count("data:image/png") == 4
    fitted, failed = found.tables()
    assert [row[0] for row in fitted.rows] == ["first", "second", "mean"]
    assert float(fitted.rows[2][1]) == pytest.approx(found.psnr, abs=0.01)
    assert len(failed.rows) == 1


def test_a_run_of_many_is_that_of_one(
    done: tuple[Path, Fleet], scenes: Path, autoencoder_folder: Path, tmp_path: Path
) -> None:
    out, _ = done
    alone = FitRunConfig(scenes / "first", str(autoencoder_folder), None, None, CONFIG, Reading())
    # Beside the others, as configurations say where scenes are from there.
    fit_folder(alone, out=out / "alone")
    for file in ("config.json", "model.safetensors", "decoder/diffusion_pytorch_model.safetensors"):
        if (out / "alone" / file).exists():
            assert (out / "alone" / file).read_bytes() == (out / "first" / file).read_bytes(), file
    assert (out / "alone" / "model.safetensors").is_file()
    shutil.rmtree(out / "alone")


def test_finished_runs_are_passed_over_and_half_ones_go_on(
    done: tuple[Path, Fleet], gone_on_with: Path, scenes: Path, autoencoder_folder: Path
) -> None:
    out = gone_on_with
    written = (out / "second" / "model.safetensors").stat().st_mtime_ns
    expected = (out / "first" / "model.safetensors").read_bytes()
    for file in ("model.safetensors", "metrics.json"):
        (out / "first" / file).unlink()
    found = fleet(scenes, autoencoder_folder, out)
    assert [fit.psnr for fit in found.fits] == [fit.psnr for fit in done[1].fits]
    assert (out / "second" / "model.safetensors").stat().st_mtime_ns == written
    assert (out / "first" / "model.safetensors").read_bytes() == expected
    log = [json.loads(line) for line in (out / "first" / "log.jsonl").read_text().splitlines()]
    assert log[-1]["step"] == CONFIG.total_steps


def test_other_settings_are_another_fleet(gone_on_with: Path, scenes: Path, autoencoder_folder: Path) -> None:
    other = CONFIG.with_steps(supervision=5, alignment=2)
    both = [scenes / "first", scenes / "second"]
    found = fit_fleet(both, autoencoder_folder, out=gone_on_with, config=other, engine=Inline())
    assert not found.fits
    assert len(found.failed) == 2
    assert (
        "holds a run with other settings (fit.supervision.steps: 4 there, 5 now)" in found.failed[0].problem
    )


def test_a_strict_fleet_fits_nothing_where_a_file_is_wrong(
    scenes: Path, autoencoder_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="is not valid JSON"):
        fleet(scenes, autoencoder_folder, tmp_path / "runs", strict=True)
    assert not (tmp_path / "runs").exists()


def test_reports_are_written_where_they_are_asked_for(
    gone_on_with: Path, scenes: Path, autoencoder_folder: Path
) -> None:
    out = gone_on_with
    assert not (out / "first" / "report.html").exists()
    shutil.rmtree(out / "second")
    fit_fleet(scenes / "first", autoencoder_folder, out=out, config=CONFIG, engine=Inline(), reports=True)
    assert (out / "first" / "report.html").is_file()


def test_a_folder_without_scenes_is_reported_and_nothing_at_all_refused(
    gone_on_with: Path, scenes: Path, autoencoder_folder: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    found = fit_fleet([scenes, empty], autoencoder_folder, out=gone_on_with, config=CONFIG, engine=Inline())
    assert len(found.fits) == 2
    assert [failure.scene for failure in found.failed] == [str(empty), str(scenes / "third")]
    with pytest.raises(InputError, match="no scenes here"):
        fit_fleet(empty, autoencoder_folder, out=gone_on_with, config=CONFIG, engine=Inline())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "cuda:7"}, "device: is 'cuda:7'; expected auto or one of"),
        ({"device": "cuda:7", "engine": RayCluster()}, "device: is 'cuda:7'; expected auto, cpu, cuda"),
        ({"retries": -1}, "retries: is -1"),
        ({"space": "rgb"}, "space: is 'rgb' with an `autoencoder`"),
        ({"seconds": -1.0}, "seconds: is -1.0"),
        ({"field": "kplanes"}, "beside `config`"),
    ],
)
def test_unusable_settings_are_refused_at_once(
    scenes: Path, autoencoder_folder: Path, tmp_path: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        fit_fleet(scenes, autoencoder_folder, out=tmp_path / "runs", config=CONFIG, **options)  # type: ignore[arg-type]
    assert not (tmp_path / "runs").exists()


def test_two_scenes_of_one_name_are_refused(scenes: Path, autoencoder_folder: Path, tmp_path: Path) -> None:
    write_sphere_scene(tmp_path / "first", views=6)
    with pytest.raises(ArgumentError, match="has the same name as"):
        fit_fleet(
            [scenes / "first", tmp_path / "first"], autoencoder_folder, out=tmp_path / "runs", config=CONFIG
        )


def test_an_interruption_ends_the_fleet(
    scenes: Path, autoencoder_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise Interrupted(tmp_path, 3)

    monkeypatch.setattr("latentfields.latent_nerf.fleet.fit_folder", interrupt)
    with pytest.raises(Interrupted):
        fleet(scenes, autoencoder_folder, tmp_path / "runs")


@pytest.mark.slow
def test_other_processes_write_the_same_even_when_one_is_killed(
    done: tuple[Path, Fleet], scenes: Path, autoencoder_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_module, "fit_scene", fit_scene_killed_once)
    # Beside the first fleet, for the same paths in configurations.
    out = done[0].parent / "by-workers"
    found = fit_fleet(
        scenes,
        autoencoder_folder,
        out=out,
        config=CONFIG,
        engine=LocalWorkers(2),
        checkpoint_seconds=0,
    )
    assert (out / "first.killed").exists()
    assert [fit.psnr for fit in found.fits] == [fit.psnr for fit in done[1].fits]
    for name in ("first", "second"):
        for file in ("config.json", "model.safetensors"):
            assert (out / name / file).read_bytes() == (done[0] / name / file).read_bytes(), (name, file)
        assert f"{name} [latent]" in (out / "logs" / f"{name}.log").read_text()
    # The second attempt went on at the step that the first was killed in.
    assert f"{KILLED_AT}/{CONFIG.total_steps}" in (out / "logs" / "first.log").read_text()


@pytest.mark.slow
def test_a_cluster_writes_the_same(
    done: tuple[Path, Fleet], scenes: Path, autoencoder_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="needs Ray, the extra `cluster`")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")  # It keeps a token in the user's folder.
    out = done[0].parent / "by-cluster"
    found = fleet(scenes, autoencoder_folder, out, RayCluster())
    assert [fit.psnr for fit in found.fits] == [fit.psnr for fit in done[1].fits]
    assert len(found.failed) == 1
    for name in ("first", "second"):
        for file in ("config.json", "model.safetensors"):
            assert (out / name / file).read_bytes() == (done[0] / name / file).read_bytes(), (name, file)


def test_an_autoencoder_in_memory_is_kept_for_those_who_fit(
    scenes: Path, autoencoder: Autoencoder, tmp_path: Path
) -> None:
    mine = autoencoder.clone()
    found = fit_fleet(scenes / "first", mine, out=tmp_path, config=CONFIG, engine=Inline())
    assert space_hash(load_autoencoder(tmp_path / "autoencoder")) == space_hash(mine)
    run = fit_alone(scenes / "first", mine, out=tmp_path / "alone", config=CONFIG, device="cpu")
    (one,) = found.fits
    assert Run.load(one.run).model.state_dict().keys() == run.model.state_dict().keys()
    for name, tensor in Run.load(one.run).model.state_dict().items():
        assert torch.equal(tensor, run.model.state_dict()[name]), name
    with torch.no_grad():
        next(iter(mine.decoder_parameters())).add_(1.0)
    with pytest.raises(InputError, match="autoencoder: is another autoencoder than the one in memory"):
        fit_fleet(scenes / "first", mine, out=tmp_path, config=CONFIG, engine=Inline())


def test_an_autoencoder_in_memory_that_has_a_name_goes_by_it(
    scenes: Path, autoencoder_folder: Path, tmp_path: Path
) -> None:
    loaded = load_autoencoder(autoencoder_folder)
    fit_fleet(scenes / "first", loaded, out=tmp_path, config=CONFIG, engine=Inline())
    assert not (tmp_path / "autoencoder").exists()
    assert json.loads((tmp_path / "first" / "config.json").read_text())["autoencoder"] == str(
        autoencoder_folder.resolve()
    )
