"""The factor of an autoencoder, as its files say it before anything is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from latentfields.autoencoders.config import stored_factor
from latentfields.autoencoders.load import load_autoencoder, packaged_autoencoders


@pytest.mark.parametrize("name", packaged_autoencoders())
def test_the_factor_of_packaged_ones_is_that_of_the_network(name: str) -> None:
    assert stored_factor(name) == load_autoencoder(name).factor


@pytest.mark.parametrize(
    ("config", "factor"),
    [
        ({"block_out_channels": [128, 256, 512, 512]}, 8),
        ({"block_out_channels": None, "encoder_block_out_channels": [64, 64, 64]}, 4),
        ({"patch": 2, "widths": [8, 8]}, 4),
        ({"patch": "large", "widths": [8]}, None),
        ({}, None),
        ([], None),
    ],
)
def test_that_of_a_folder_is_what_its_file_says(tmp_path: Path, config: object, factor: int | None) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert stored_factor(str(tmp_path)) == factor
    (tmp_path / "pipeline" / "vae").mkdir(parents=True)
    (tmp_path / "config.json").rename(tmp_path / "pipeline" / "vae" / "config.json")
    assert stored_factor(str(tmp_path / "pipeline")) == factor


def test_hub_ids_and_damaged_files_say_nothing(tmp_path: Path) -> None:
    assert stored_factor("OWNER/NAME") is None
    (tmp_path / "config.json").write_text("{")
    assert stored_factor(str(tmp_path)) is None
