"""Every command takes the same scenes, of every layout: folders, folders of them where it takes several, and shards."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from helpers.analytic_run import analytic_run
from helpers.layouts import LAYOUTS, SIZE, VIEWS, write_layouts
from latentfields.autoencoders import score
from latentfields.autoencoders.image_data import load_renders
from latentfields.autoencoders.load import load_autoencoder
from latentfields.bench.scenes import captured_scenes
from latentfields.cli.main import main
from latentfields.correspondences import make
from latentfields.correspondences.config import CorrespondenceConfig
from latentfields.errors import InputError
from latentfields.fused_planes.config import TINY as COLLECTION
from latentfields.fused_planes.fit import read_frames
from latentfields.igae.config import PRESETS
from latentfields.igae.data import require_data
from latentfields.igae.image_cache import cache_scenes
from latentfields.latent_nerf.config import FitConfig
from latentfields.latent_nerf.render import load_run_scene
from latentfields.latent_nerf.run import FitRunConfig
from latentfields.priors.config import PriorTrainingConfig
from latentfields.priors.data import load_data
from latentfields.scenes.scene import Scene
from latentfields.scenes.shards import writing_shard

pytestmark = pytest.mark.slow

NAMES = sorted(LAYOUTS)
TINY = replace(PRESETS["tiny"], size=16, ablation="no-preservation")
Command = Callable[[Sequence[Path], Path, pytest.MonkeyPatch], list[str]]
"""The part of a command that reads scenes: names of those in or below the roots; it may write into a folder."""


def train_or_evaluate(roots: Sequence[Path], work: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """`autoencoder train` and `evaluate`; images have no names, so the count stands for all."""
    count, rest = divmod(len(load_renders(tuple(roots), size=16)), VIEWS)
    assert rest == 0
    return [roots[0].name] if count == 1 else NAMES[:count]


def awareness(roots: Sequence[Path], work: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """`autoencoder score`, up to what needs depth maps, which not every layout can name."""
    taken: list[Scene] = []
    monkeypatch.setattr(score, "score_awareness", lambda autoencoder, scenes: taken.extend(scenes))
    score.score_autoencoder("base", scenes=roots, device="cpu")
    return [scene.name for scene in taken]


def finetune_3d(roots: Sequence[Path], work: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """`autoencoder finetune-3d`; `view` reads the scenes of its runs the same way."""
    require_data(TINY, roots, ())
    views = cache_scenes(roots, size=16, background=(1.0, 1.0, 1.0), grid_resolution=4, cache=work)
    return list(views.names)


def prior_train(roots: Sequence[Path], work: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """`prior train`, up to the training; scenes have classes for names, so the count stands for all."""
    config = PriorTrainingConfig(size=16)
    data = load_data(roots, load_autoencoder("base"), config, cache=work / "latents.safetensors")
    count = len(data.train.counts)
    return [roots[0].name] if count == 1 else NAMES[:count]


def collection_fit(roots: Sequence[Path], work: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """`collection fit` and `add`, up to their cache, which is that of `finetune-3d`."""
    frames = read_frames(roots, replace(COLLECTION, size=16), work)
    return [item.name for item in frames.objects]


def correspond(roots: Sequence[Path], work: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """`lrf correspond`, up to finding points."""
    monkeypatch.setattr(make, "_made", lambda folder, source, **_: folder.name)
    return [str(name) for name in make.correspond(roots, out=work, options=CorrespondenceConfig())]


def bench_lrf(roots: Sequence[Path], work: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """`bench lrf --scenes`."""
    return [scene.kind for scene in captured_scenes(roots, training=(), seeds=(0,), size=SIZE, factor=2)]


COMMANDS: list[Command] = [
    train_or_evaluate,
    awareness,
    finetune_3d,
    prior_train,
    collection_fit,
    correspond,
    bench_lrf,
]


@pytest.fixture(scope="module", params=["folders", "shard"])
def scenes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_layouts(tmp_path_factory.mktemp("layouts") / "scenes")
    if request.param == "folders":
        return folder
    path = folder.parent / "scenes.tar"
    with writing_shard(path) as shard:
        for name in NAMES:
            shard.add(name, folder / name)
    return path


@pytest.mark.parametrize("layout", NAMES)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_scene_of_every_layout_is_taken(
    command: Command, layout: str, scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command([scenes / layout], tmp_path, monkeypatch) == [layout]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_of_scenes_is_taken(
    command: Command, scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command([scenes], tmp_path / "whole", monkeypatch) == NAMES
    apart = [scenes / name for name in NAMES]
    assert command(apart, tmp_path / "apart", monkeypatch) == NAMES


@pytest.mark.parametrize("layout", NAMES)
def test_commands_of_one_scene_take_every_layout(layout: str, scenes: Path, tmp_path: Path) -> None:
    folder = scenes / layout
    config = FitRunConfig(scene=folder, autoencoder="base", size=None, seconds=None, fit=FitConfig())
    assert config.load_scene().name == layout
    # `evaluate`, `render`, `export` and `view` with --scene.
    assert load_run_scene(analytic_run(tmp_path), folder).name == layout


def test_a_folder_of_scenes_is_no_scene_but_its_scenes_are_named(scenes: Path) -> None:
    config = FitRunConfig(scene=scenes, autoencoder="base", size=None, seconds=None, fit=FitConfig())
    with pytest.raises(InputError, match=r"is a folder of scenes; expected one of them, such as .*/blender"):
        config.load_scene()


def test_the_command_line_takes_a_folder_of_every_layout(scenes: Path, tmp_path: Path) -> None:
    steps = ["--fit-steps", "1", "--steps", "1"]
    main(["lrf", "align-decoder", str(scenes), "--out", str(tmp_path / "run"), *steps])
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["scenes"] == len(NAMES)
