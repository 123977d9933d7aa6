from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from helpers.photo_files import write_photos
from helpers.pipelines import TOKENS, WIDTH, tiny_vae, write_pipeline
from latentfields.cli.main import main
from latentfields.errors import InputError
from latentfields.priors import pipelines
from latentfields.priors.compatibility import SHARES, unet_disturbance
from latentfields.priors.pipelines import TextCondition


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One with random weights; embeddings stand for a text encoder's."""

    def encoded(name: str, texts: Sequence[str]) -> TextCondition:
        return TextCondition(torch.ones(len(texts), TOKENS, WIDTH))

    monkeypatch.setattr(pipelines, "encode_texts", encoded)
    return write_pipeline(tmp_path / "pipeline")


@pytest.mark.slow
def test_its_own_autoencoder_disturbs_nothing_and_another_one_does(
    pipeline: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = write_photos(tmp_path / "photos")
    same = unet_disturbance(pipeline / "vae", str(pipeline), photos=photos, size=32, limit=3, device="cpu")
    assert [one.share for one in same] == list(SHARES)
    assert [one.ratio for one in same] == [1.0] * len(SHARES)
    louder = tiny_vae()
    with torch.no_grad():
        louder.encoder.conv_out.weight.mul_(30)
    louder.save_pretrained(tmp_path / "louder")
    other = unet_disturbance(
        tmp_path / "louder", str(pipeline), photos=photos, size=32, limit=3, device="cpu"
    )
    assert all(one.own == first.own for one, first in zip(other, same, strict=True))
    assert all(abs(one.ratio - 1) > 1e-3 for one in other)
    arguments = ["--unet", str(pipeline), "--photos", str(photos), "--device", "cpu"]
    main(["autoencoder", "score", str(pipeline / "vae"), *arguments])
    assert "ratio" in capsys.readouterr().out


def test_what_does_not_fit_is_refused(pipeline: Path, autoencoder_folder: Path, tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos")
    with pytest.raises(InputError, match=r"unet: is .*, for 4 channels of factor 4; .* has 8 of factor 4"):
        unet_disturbance(autoencoder_folder, str(pipeline), photos=photos)
    with pytest.raises(InputError, match="photos: is empty"):
        unet_disturbance(autoencoder_folder, str(pipeline), photos=())
    with pytest.raises(InputError, match="size: is 30; expected a multiple of 4"):
        unet_disturbance(pipeline / "vae", str(pipeline), photos=photos, size=30)
