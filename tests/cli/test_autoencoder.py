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


@pytest.mark.parametrize(
    ("options", "blocks", "channels"), [(["--blocks", "9"], 9, 8), (["--channels", "9"], 6, 9)]
)
def test_grow_writes_the_same_function_with_more_to_learn_with(
    options: list[str], blocks: int, channels: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "large"
    line = ["autoencoder", "grow", "igae-f4", *options, "--out", str(out)]
    parse(line).run()
    assert capsys.readouterr().out.strip() == str(out)
    before, after = load_autoencoder("igae-f4"), load_autoencoder(out)
    stored = json.loads((out / "config.json").read_text())
    assert (stored["blocks"], stored["channels"]) == ([blocks], channels)
    assert after.has_statistics == (channels == before.channels)
    if after.has_statistics:
        assert after.statistics == before.statistics
    images = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        latents, grown = before.codec.encode(images)[0], after.codec.encode(images)[0]
        torch.testing.assert_close(grown[:, :8], latents, rtol=0, atol=1e-6)
        torch.testing.assert_close(after.codec.decode(grown), before.codec.decode(latents), rtol=0, atol=1e-6)
        if after.has_statistics:
            normalised = before.encode(images)
            assert torch.equal(after.encode(images), normalised)
            assert torch.equal(after.decode(normalised), before.decode(normalised))
    with pytest.raises(InputError, match="exists already; choose another folder"):
        parse(line).run()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--blocks", "1"], "blocks: are .*at least"),
        (["--blocks", "9", "9"], "blocks: are .*one number per level"),
        (["--channels", "7"], "channels: are 7; expected at least 8"),
        ([], "blocks: are not given, nor channels; expected more of either"),
    ],
    ids=["fewer blocks", "levels", "fewer channels", "neither"],
)
def test_grow_refuses_what_is_not_larger(options: list[str], problem: str, tmp_path: Path) -> None:
    out = tmp_path / "large"
    with pytest.raises(InputError, match=problem):
        parse(["autoencoder", "grow", "igae-f4", *options, "--out", str(out)]).run()
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
