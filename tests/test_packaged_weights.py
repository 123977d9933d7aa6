"""What the packaged autoencoders promise on their model cards, on objects that they were not trained on."""

import pytest
import torch

from latentfields.autoencoders.awareness import score_awareness
from latentfields.autoencoders.load import load_autoencoder
from latentfields.autoencoders.score import generated_scenes
from latentfields.measures.metrics import psnr
from latentfields.scenes.scene import Scene

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def scenes() -> tuple[Scene, ...]:
    return generated_scenes(objects=1, views=24, size=128)


@pytest.mark.parametrize(("name", "bound"), [("base", 30.0), ("base-f4", 31.0), ("igae", 27.0), ("igae-f4", 29.0)])
def test_unseen_objects_are_reconstructed(scenes: tuple[Scene, ...], name: str, bound: float) -> None:
    autoencoder = load_autoencoder(name)
    images = torch.cat([scene.images(torch.arange(len(scene))) for scene in scenes])
    decoded = autoencoder.decode_batches(autoencoder.encode_batches(images))
    assert float(psnr(decoded.clamp(0, 1), images).mean()) > bound


@pytest.mark.parametrize("name", ["base", "base-f4", "igae", "igae-f4"])
def test_latents_are_normalised(scenes: tuple[Scene, ...], name: str) -> None:
    autoencoder = load_autoencoder(name)
    assert autoencoder.has_statistics
    latents = autoencoder.encode_batches(scenes[0].images(torch.arange(len(scenes[0]))))
    assert 0.2 < float(latents.std()) < 2


def test_views_agree_better_in_the_space_of_the_3d_aware_one_and_errors_cost_less(
    scenes: tuple[Scene, ...],
) -> None:
    plain, aware = (score_awareness(load_autoencoder(name), list(scenes)) for name in ("base", "igae"))
    assert aware.latents.inconsistency < 0.75 * plain.latents.inconsistency
    assert aware.noise_psnr > plain.noise_psnr + 2
