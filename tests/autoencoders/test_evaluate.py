from pathlib import Path
from typing import Any

import pytest
import torch

from helpers.photo_files import write_photos
from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.autoencoders.evaluate import evaluate_autoencoder, reconstruction_scores, summary_lines
from latentfields.errors import InputError
from latentfields.scenes.scene import Scene


def evaluate(name: Path, **changes: Any) -> dict[str, dict[str, float]]:
    options: dict[str, Any] = {
        "photos": (),
        "scenes": (),
        "pattern": "*",
        "limit": None,
        "size": 32,
        "codec_photos": (),
    }
    return evaluate_autoencoder(str(name), **(options | changes))


def test_scores_are_those_of_the_reconstructions(autoencoder: Autoencoder, scene: Scene) -> None:
    images = scene.images(torch.arange(5))
    scores = reconstruction_scores(autoencoder, images)
    decoded = autoencoder.decode_batches(autoencoder.encode_batches(images))
    psnr = -10 * torch.log10((decoded - images).square().mean(dim=(1, 2, 3)))
    assert scores["psnr"] == pytest.approx(float(psnr.mean()), abs=1e-3)
    assert scores["ssim"] < 1
    assert scores["ms_gmsd"] > 0


def test_photographs_and_scenes_are_scored_apart_and_beside_the_linear_codec(
    autoencoder_folder: Path, scene_folder: Path, tmp_path: Path
) -> None:
    photos = write_photos(tmp_path / "photos")
    scores = evaluate(autoencoder_folder, photos=(photos,), scenes=(scene_folder,), codec_photos=(photos,))
    assert set(scores) == {"photos", "scenes", "photos, linear codec", "scenes, linear codec"}
    # The autoencoder is the linear codec of the scene's training views: best there, not on photographs.
    assert scores["scenes"]["psnr"] > scores["scenes, linear codec"]["psnr"]
    assert scores["photos"]["psnr"] < scores["photos, linear codec"]["psnr"]


def test_patterns_and_limits_choose_files(autoencoder_folder: Path, tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos")
    everything = evaluate(autoencoder_folder, photos=(photos,))
    assert evaluate(autoencoder_folder, photos=(photos,), limit=2) != everything
    assert evaluate(autoencoder_folder, photos=(photos,), pattern="photo_[01].png") == evaluate(
        autoencoder_folder, photos=(photos,), limit=2
    )
    with pytest.raises(InputError, match=r"no photograph matches 'x\*'"):
        evaluate(autoencoder_folder, photos=(photos,), pattern="x*")


@pytest.mark.parametrize(("size", "problem"), [(30, "multiple of 4"), (8, "at least 16"), (0, "at least 16")])
def test_sizes_that_cannot_be_scored(
    autoencoder_folder: Path, scene_folder: Path, size: int, problem: str
) -> None:
    with pytest.raises(InputError, match=f"size: is {size}; .*{problem}"):
        evaluate(autoencoder_folder, scenes=(scene_folder,), size=size)


@pytest.mark.parametrize("limit", [0, -1])
def test_limits_that_leave_nothing(autoencoder_folder: Path, scene_folder: Path, limit: int) -> None:
    with pytest.raises(InputError, match=f"limit: is {limit}; expected at least 1"):
        evaluate(autoencoder_folder, scenes=(scene_folder,), limit=limit)


def test_nothing_to_score(autoencoder_folder: Path) -> None:
    with pytest.raises(InputError, match="name at least one folder"):
        evaluate(autoencoder_folder)


def test_summaries() -> None:
    scores = {"photos": {"psnr": 25.12345, "ssim": 0.5}}
    (line,) = summary_lines(scores)
    assert line.split() == ["photos", "psnr", "25.12", "ssim", "0.5"]


def test_images_go_where_the_autoencoder_is(autoencoder: Autoencoder) -> None:
    """To the device `meta`, which refuses tensors of any other; its results cannot be looked at."""
    elsewhere = autoencoder.clone().to("meta")
    with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor"):
        reconstruction_scores(elsewhere, torch.rand(2, 3, 32, 32))
