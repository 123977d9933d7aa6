"""The commands of collections, from the first object to the exported one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from helpers.autoencoders import small_autoencoder
from helpers.igae_data import write_scenes
from latentfields.cli.main import main, parse
from latentfields.fused_planes.collection import Collection
from latentfields.fused_planes.config import PAPER, SMALL, TINY
from latentfields.latent_nerf.run import Run
from latentfields.viewer.source import collection_source

SIZES = (
    *("--preset", "tiny", "--size", "32", "--planes.resolution", "8", "--planes.base-planes", "2"),
    *("--planes.hidden", "8", "--warmup.epochs", "1", "--joint.epochs", "0.5", "--latent.epochs", "1"),
    *("--align.epochs", "0.5", "--device", "cpu"),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_scenes(folder / "scenes", count=4)
    small_autoencoder().save(folder / "base")
    return folder


@pytest.fixture(scope="module")
def fitted(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "mugs"
    scenes = [str(data / "scenes" / f"mug-{number}") for number in range(3)]
    main(["collection", "fit", *scenes, "--autoencoder", str(data / "base"), "--out", str(out), *SIZES])
    return out


@pytest.fixture
def collection(fitted: Path, tmp_path: Path) -> Path:
    return shutil.copytree(fitted, tmp_path / "mugs")


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as caught:
        main(["collection", *map(str, arguments)])
    assert caught.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize(("name", "preset"), [("tiny", TINY), ("small", SMALL), ("paper", PAPER)])
def test_a_preset_is_where_the_options_start(name: str, preset: object) -> None:
    command = parse(["collection", "fit", "scenes", "--out", "c", "--preset", name])
    assert command.command.training == preset  # type: ignore[attr-defined]


def test_add_list_and_remove(collection: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["collection", "add", str(collection), str(data / "scenes" / "mug-3"), "--device", "cpu"])
    assert "3 objects before, 4 now" in capsys.readouterr().out
    main(["collection", "list", str(collection), "--json"])
    listed = json.loads(capsys.readouterr().out)
    assert [item["name"] for item in listed["objects"]] == ["mug-0", "mug-1", "mug-2", "mug-3"]
    assert listed["shared_bytes"] > listed["objects"][0]["bytes"] > 0
    main(["collection", "list", str(collection), "--nearest", "mug-0", "--count", "2"])
    assert len(capsys.readouterr().out.splitlines()) == 2
    main(["collection", "remove", str(collection), "mug-1", "mug-3"])
    assert "2 objects left" in capsys.readouterr().out
    assert Collection.open(collection, device="cpu").names() == ["mug-0", "mug-2"]


def test_render_and_export(collection: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["collection", "render", str(collection), "mug-0", "--device", "cpu"])
    assert len(list((collection / "renders" / "mug-0").iterdir())) == 2
    out = tmp_path / "between"
    orbit = ("--views", "orbit", "--frames", "2", "--device", "cpu", "--out", str(out))
    main(["collection", "render", str(collection), "mug-0", "--between", "mug-2", *orbit])
    assert len(list(out.iterdir())) == 2
    main(
        ["collection", "export", str(collection), "mug-1", "--out", str(tmp_path / "run"), "--device", "cpu"]
    )
    capsys.readouterr()
    main(["evaluate", str(tmp_path / "run"), "--device", "cpu", "--json"])
    assert json.loads(capsys.readouterr().out).keys() >= {"images", "latents", "autoencoder"}
    assert Run.load(tmp_path / "run", device="cpu").config.fit.field.kind == "triplane"


def test_the_viewer_shows_an_object_its_nearest_and_what_is_between(fitted: Path) -> None:
    collection = Collection.open(fitted, device="cpu")
    source = collection_source(collection, "mug-1", nearest=1, between="mug-2", steps=2)
    assert [scene.name for scene in source.scenes] == [
        "mug-1",
        collection.nearest("mug-1", count=1)[0][0],
        "33% of the way to mug-2",
        "67% of the way to mug-2",
    ]
    pictures = [scene.render(scene.cameras[[0]])[0] for scene in source.scenes]
    assert all(picture.shape == (1, 3, 32, 32) for picture in pictures)
    assert not torch.equal(pictures[2], pictures[3])
    assert [scene.has_images for scene in source.scenes] == [True, True, False, False]


def test_mistakes_are_one_line(
    collection: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "has no object 'nothing'; nothing was removed" in refused(
        capsys, "remove", collection, "mug-0", "nothing"
    )
    assert "mug-0" in Collection.open(collection, device="cpu")
    assert "has an object 'mug-0' already" in refused(capsys, "add", collection, data / "scenes" / "mug-0")
    assert "is not a run; expected a folder with config.json, a collection of" in refused(
        capsys, "list", tmp_path
    )
    assert "scenes: name at least one" in refused(capsys, "fit", "--out", tmp_path / "c")
    assert "--joint.rgb-weight: is -1.0; expected at least 0" in refused(
        capsys, "fit", data / "scenes", "--out", tmp_path / "c", "--joint.rgb-weight", "-1"
    )
    assert not (tmp_path / "c").exists()
