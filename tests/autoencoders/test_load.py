import json
import sys
from pathlib import Path
from typing import Any

import pytest

from latentfields.autoencoders import load
from latentfields.autoencoders.autoencoder import STATISTICS_FILE, Autoencoder
from latentfields.autoencoders.load import load_autoencoder, packaged_autoencoders
from latentfields.autoencoders.patch import CONFIG_FILE
from latentfields.errors import InputError


@pytest.fixture
def folder(autoencoder: Autoencoder, tmp_path: Path) -> Path:
    autoencoder.save(tmp_path / "mine")
    return tmp_path / "mine"


@pytest.fixture
def packaged(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(load, "packaged_autoencoders", lambda: {"house": folder})
    return folder


def refusal(name: str | Path) -> str:
    with pytest.raises(InputError) as caught:
        load_autoencoder(name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_loads_ready_for_inference(folder: Path) -> None:
    loaded = load_autoencoder(folder)
    assert loaded.name == str(folder)
    assert loaded.has_statistics
    assert not loaded.codec.training  # type: ignore[attr-defined]
    assert (loaded.channels, loaded.factor) == (8, 4)
    assert load_autoencoder(str(folder)).statistics == loaded.statistics


def test_packaged_names_come_first(packaged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "house").mkdir()
    assert load_autoencoder("house").name == "house"


def test_every_packaged_autoencoder_loads() -> None:
    for name, path in packaged_autoencoders().items():
        loaded = load_autoencoder(name)
        assert loaded.has_statistics, path
        assert loaded.name == name


@pytest.mark.parametrize("name", ["hose", "no such name", "a/b/c", "../nowhere/x/y"])
def test_unknown_names_say_what_there_is(packaged: Path, name: str) -> None:
    message = refusal(name)
    assert message.startswith(f"{name}: no such autoencoder")
    assert "packaged: 'house'; or give a folder, or the Hub id" in message


def test_a_folder_without_configuration(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"{tmp_path}: has no {CONFIG_FILE}; expected an autoencoder's folder"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "malformed JSON"),
        ("[1]", "field '_class_name' is missing"),
        ("{}", "field '_class_name' is missing"),
        ('{"_class_name": 3}', "field '_class_name' is missing"),
        (
            '{"_class_name": "UNet"}',
            "'_class_name' is 'UNet'; expected one of PatchAutoencoder, AutoencoderKL",
        ),
        ('{"_class_name": "PatchAutoencoder", "channels": []}', "field 'channels'"),
    ],
)
def test_damaged_configurations_name_the_file(folder: Path, text: str, problem: str) -> None:
    (folder / CONFIG_FILE).write_text(text)
    message = refusal(folder)
    assert message.startswith(f"{folder / CONFIG_FILE}: ")
    assert problem in message


@pytest.mark.parametrize(
    ("statistics", "problem"),
    [
        ({"mean": [0.0] * 8, "std": [1.0] * 7}, "latent std should be a list of 8 numbers"),
        ({"mean": [0.0] * 9, "std": [1.0] * 8}, "latent mean should be a list of 8 numbers"),
        ({"mean": [0.0] * 8}, "latent std should be a list of 8 numbers"),
        ({"mean": "none", "std": [1.0] * 8}, "latent mean should be a list of 8 numbers"),
        ({"mean": [None] * 8, "std": [1.0] * 8}, "latent mean should be a list of 8 numbers"),
        ({"mean": [float("nan")] * 8, "std": [1.0] * 8}, "latent mean should be a list of 8 numbers"),
        ({"mean": [0.0] * 8, "std": [1.0] * 7 + [0.0]}, "latent std should be positive"),
        ({"mean": [0.0] * 8, "std": [1.0] * 7 + [-1.0]}, "latent std should be positive"),
        ([], "latent mean should be a list of 8 numbers"),
    ],
)
def test_damaged_statistics_name_the_file(folder: Path, statistics: Any, problem: str) -> None:
    (folder / STATISTICS_FILE).write_text(json.dumps(statistics))
    message = refusal(folder)
    assert message.startswith(f"{folder / STATISTICS_FILE}: ")
    assert problem in message


def test_without_statistics_they_are_left_open(folder: Path) -> None:
    (folder / STATISTICS_FILE).unlink()
    loaded = load_autoencoder(folder)
    assert not loaded.has_statistics
    assert loaded.statistics.mean == (0.0,) * 8


def test_hub_ids_without_diffusers_say_what_to_install(
    packaged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    message = refusal("someone/vae")
    assert "pip install 'latentfields[diffusers]'" in message
    assert "packaged: 'house'" in message
