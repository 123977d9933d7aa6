"""`latentfields autoencoder train` and `evaluate`, inside this process."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from latentfields.autoencoders.load import load_autoencoder
from latentfields.cli.main import parse
from latentfields.errors import InputError


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(0)
    for index in range(3):
        small = Image.fromarray(generator.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        small.resize((48, 40), Image.Resampling.BICUBIC).save(folder / f"{index}.png")
    return folder


@pytest.mark.slow
def test_train_and_evaluate(
    photos: Path, scene_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    train = [
        "autoencoder",
        "train",
        "--out",
        str(out),
        "--photos",
        str(photos),
        "--scenes",
        str(scene_folder.parent),
        "--steps",
        "3",
        "--size",
        "32",
        "--photos-per-batch",
        "1",
        "--renders-per-batch",
        "1",
        "--architecture.channels",
        "4",
        "--architecture.widths",
        "8",
        "8",
        "--architecture.blocks",
        "1",
        "0",
    ]
    parse(train).run()
    assert capsys.readouterr().out.strip() == str(out / "autoencoder")
    parse(train).run()
    capsys.readouterr()
    score = ["autoencoder", "evaluate", str(out / "autoencoder"), "--size", "32"]
    parse([*score, "--photos", str(photos), "--codec-photos", str(photos), "--json"]).run()
    scores = json.loads(capsys.readouterr().out)
    assert set(scores) == {"photos", "photos, linear codec"}
    assert scores["photos"]["psnr"] > 10
    parse([*score, "--scenes", str(scene_folder), "--limit", "2"]).run()
    assert capsys.readouterr().out.startswith("scenes ")


def test_train_says_that_an_architecture_beside_a_start_has_no_effect(photos: Path, tmp_path: Path) -> None:
    train = [
        "autoencoder",
        "train",
        "--out",
        str(tmp_path / "run"),
        "--photos",
        str(photos),
        "--start",
        "base",
    ]
    with pytest.raises(InputError, match="architecture: is given beside `start`"):
        parse([*train, "--architecture.channels", "4"]).run()
    assert not (tmp_path / "run").exists()
    # Options at their defaults count as not given.
    parse([*train, "--architecture.patch", "4", "--size", "32", "--steps", "1"]).run()
    assert (tmp_path / "run" / "autoencoder").is_dir()


def test_deepen_writes_the_same_function_with_more_blocks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deep"
    line = ["autoencoder", "deepen", "igae-f4", "--blocks", "9", "--out", str(out)]
    parse(line).run()
    assert capsys.readouterr().out.strip() == str(out)
    before, after = load_autoencoder("igae-f4"), load_autoencoder(out)
    assert after.statistics == before.statistics
    assert json.loads((out / "config.json").read_text())["blocks"] == [9]
    images = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        latents = before.encode(images)
        assert torch.equal(after.encode(images), latents)
        assert torch.equal(after.decode(latents), before.decode(latents))
    with pytest.raises(InputError, match="exists already; choose another folder"):
        parse(line).run()


@pytest.mark.parametrize(
    ("blocks", "problem"),
    [(["1"], "at least"), (["9", "9"], "one number per level")],
    ids=["fewer", "levels"],
)
def test_deepen_refuses_what_is_not_deeper(blocks: list[str], problem: str, tmp_path: Path) -> None:
    out = tmp_path / "deep"
    with pytest.raises(InputError, match=f"blocks: are .*{problem}"):
        parse(["autoencoder", "deepen", "igae-f4", "--blocks", *blocks, "--out", str(out)]).run()
    assert not out.exists()


def test_halve_writes_half_of_the_bytes_and_nearly_the_same_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "half"
    line = ["autoencoder", "halve", "base-f4", "--out", str(out)]
    parse(line).run()
    assert capsys.readouterr().out.strip() == str(out)
    before, after = load_autoencoder("base-f4"), load_autoencoder(out)
    whole = sum(tensor.nbytes for tensor in before.parameters())
    assert (out / "model.safetensors").stat().st_size < 0.52 * whole
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    pictures = [a.decode_batches(a.encode_batches(images)) for a in (before, after)]
    torch.testing.assert_close(pictures[1], pictures[0], rtol=0, atol=5e-3)
    with pytest.raises(InputError, match="exists already; choose another folder"):
        parse(line).run()
