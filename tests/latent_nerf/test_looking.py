"""Pictures for someone who moves around: those of the whole decoder, of which less is asked."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from helpers.tiny import TINY_FIT
from latentfields.autoencoders.load import load_autoencoder
from latentfields.autoencoders.patch import PatchAutoencoder
from latentfields.devices import has_eight_bits
from latentfields.latent_nerf import looking
from latentfields.latent_nerf.build import new_model
from latentfields.latent_nerf.looking import Look, scaled_views, view_times
from latentfields.latent_nerf.model import LatentNerf
from latentfields.latent_nerf.scene_model import SceneModel
from latentfields.rendering.rendering import Rendering
from latentfields.scenes.scene import Scene

SIDE = 48
WHOLE, MIDDLE, CORNER = slice(0, SIDE), slice(20, 26), slice(0, 3)


@pytest.fixture
def model(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> SceneModel:
    """An untrained scene in a packaged space, looked at in float32."""
    for name in ("uses_bfloat16", "has_eight_bits"):
        monkeypatch.setattr(looking, name, lambda *_: False)
    return new_model(scene, load_autoencoder("base-f4"), replace(TINY_FIT, subpixels=1))


def seen(model: SceneModel, rows: slice, columns: slice) -> Rendering:
    """Latents of something, and of the background around it."""
    features = model.background[None, :, None, None].repeat(1, 1, SIDE, SIDE)
    opacity = torch.zeros(1, 1, SIDE, SIDE)
    opacity[..., rows, columns] = 1
    part = features[..., rows, columns]
    features[..., rows, columns] = torch.randn(part.shape, generator=torch.Generator().manual_seed(0))
    return Rendering(features, opacity, opacity)


def decoded_sizes(model: SceneModel, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Heights and widths of the latents that are decoded from now on."""
    sizes: list[tuple[int, ...]] = []
    decode = model.decode

    def counted(features: Tensor) -> Tensor:
        sizes.append(tuple(features.shape[-2:]))
        return decode(features)

    monkeypatch.setattr(model, "decode", counted)
    return sizes


@pytest.mark.parametrize(
    ("rows", "columns", "decoded"),
    [
        (MIDDLE, MIDDLE, (26, 26)),
        (CORNER, MIDDLE, (13, 26)),
        (slice(0, 0), slice(0, 0), (11, 11)),
        (WHOLE, WHOLE, (SIDE, SIDE)),
    ],
)
def test_around_what_is_seen_pictures_are_those_of_the_whole_decoder(
    model: SceneModel, rows: slice, columns: slice, decoded: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    rendering = seen(model, rows, columns)
    expected = model.decode(rendering.features)
    sizes = decoded_sizes(model, monkeypatch)
    with torch.no_grad():
        torch.testing.assert_close(Look(model).decode(rendering), expected, atol=2e-4, rtol=0)
    assert sizes[-1] == decoded


def test_decoders_that_know_of_borders_decode_whole_pictures(
    model: SceneModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert model.autoencoder is not None
    assert isinstance(model.autoencoder.codec, PatchAutoencoder)
    for module in model.autoencoder.codec.decoder.modules():
        if isinstance(module, nn.Conv2d):
            module.padding_mode = "zeros"
    rendering = seen(model, MIDDLE, MIDDLE)
    sizes = decoded_sizes(model, monkeypatch)
    with torch.no_grad():
        assert torch.equal(Look(model).decode(rendering), model.decode(rendering.features))
    assert sizes[-2:] == [(SIDE, SIDE)] * 2


@pytest.mark.parametrize("faster", ["uses_bfloat16", "has_eight_bits"])
def test_a_faster_decoder_changes_little(
    model: SceneModel, faster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if faster == "has_eight_bits" and not has_eight_bits(model.device):
        pytest.skip("no instructions for products of 8-bit integers")
    rendering = seen(model, MIDDLE, MIDDLE)
    monkeypatch.setattr(looking, faster, lambda *_: True)
    with torch.no_grad():
        error = Look(model).decode(rendering) - model.decode(rendering.features)
    assert 0 < float(error.square().mean().sqrt()) < 5e-3


@pytest.mark.parametrize("autoencoder", ["base-f4", None])
def test_fields_in_half_precision_change_little(
    scene: Scene, autoencoder: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(TINY_FIT, subpixels=1, space="rgb" if autoencoder is None else "latent")
    model = new_model(scene, None if autoencoder is None else load_autoencoder(autoencoder), config)
    for parameter in model.field.parameters() if isinstance(model, LatentNerf) else ():
        torch.nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(0))
    exact = model.render_features(scene.cameras[:1])
    for half in (False, True):
        monkeypatch.setattr(looking, "uses_bfloat16", lambda *_, half=half: half)
        found = Look(model).render_features(scene.cameras[:1])
        assert torch.equal(found.features, exact.features) is not half
        assert found.features.dtype == found.depth.dtype == torch.float32
        assert (found.features - exact.features).square().mean().sqrt() < 5e-3


def test_a_look_is_a_render(scene: Scene, model: SceneModel) -> None:
    for other in (model, new_model(scene, None, replace(TINY_FIT, space="rgb"))):
        images, rendering = Look(other)(scene.cameras[:2])
        expected, same = other.render(scene.cameras[:2])
        torch.testing.assert_close(images, expected, atol=2e-4, rtol=0)
        torch.testing.assert_close(rendering.features, same.features)


def test_views_are_timed_at_whole_latents(scene: Scene, model: SceneModel) -> None:
    cameras = scaled_views(model, scene.cameras[:2], 90)
    assert (cameras.width, cameras.height) == (88, 88)
    ticks = iter(range(100))
    times = view_times(model, cameras, clock=lambda: next(ticks) / 1000)
    assert (times.rendering, times.frame) == pytest.approx((1, 1))
    colours = new_model(scene, None, replace(TINY_FIT, space="rgb"))
    times = view_times(colours, scene.cameras[:1])
    assert times.rendering == times.frame > 0
