"""What a latent NeRF renders, before any training."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from helpers.tiny import TINY_FIT
from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.cameras import Cameras
from latentfields.errors import ArgumentError
from latentfields.fields.config import VanillaConfig
from latentfields.latent_nerf import model as model_module
from latentfields.latent_nerf.build import new_model
from latentfields.latent_nerf.config import FitConfig
from latentfields.latent_nerf.model import LatentNerf
from latentfields.latent_nerf.subpixel import SubpixelProjection
from latentfields.rendering.grid_sampler import GridSampler
from latentfields.rendering.rendering import Rendering
from latentfields.scenes.scene import Scene

PAPER = replace(TINY_FIT, subpixels=1)


def nerf(scene: Scene, autoencoder: Autoencoder | None, config: FitConfig) -> LatentNerf:
    model = new_model(scene, autoencoder, config)
    assert isinstance(model, LatentNerf)
    return model


def emptied(model: LatentNerf) -> LatentNerf:
    assert isinstance(model.sampler, GridSampler)
    model.sampler.grid.density.zero_()
    return model


def test_latents_are_rendered_on_the_grid_of_the_autoencoder(scene: Scene, autoencoder: Autoencoder) -> None:
    model = nerf(scene, autoencoder, PAPER)
    cameras = scene.cameras[torch.tensor([0, 3])]
    seen = model.render_features(cameras)
    assert seen.features.shape == (2, 8, 8, 8)
    assert seen.opacity.shape == seen.depth.shape == (2, 1, 8, 8)
    # One ray through the centre of every latent: row 2, column 5 is at pixel (22, 10).
    ray = cameras.rays_at(torch.tensor([[22.0, 10.0]]).expand(2, 1, 2)).flatten()
    expected = model.render_rays(ray)
    torch.testing.assert_close(seen.features[:, :, 2, 5], expected.features, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(seen.depth[:, 0, 2, 5], expected.depth, atol=1e-5, rtol=1e-4)


def test_pixels_are_rendered_one_by_one_in_rgb(scene: Scene) -> None:
    model = nerf(scene, None, replace(TINY_FIT, space="rgb"))
    assert model.factor == 1
    images, seen = model.render(scene.cameras[:2])
    assert seen.features.shape == (2, 3, 32, 32)
    assert torch.equal(images, seen.features.clamp(0, 1))
    ray = scene.cameras[:2].rays_at(torch.tensor([[7.5, 20.5]]).expand(2, 1, 2)).flatten()
    torch.testing.assert_close(seen.features[:, :, 20, 7], model.render_rays(ray).features, atol=1e-5, rtol=0)


def test_where_nothing_is_the_background_is_seen(scene: Scene, autoencoder: Autoencoder) -> None:
    model = emptied(nerf(scene, autoencoder, PAPER))
    images, seen = model.render(scene.cameras[:1])
    with torch.no_grad():
        white = autoencoder.background_latent((1.0, 1.0, 1.0))
        expected = autoencoder.decode(white.view(1, 8, 1, 1).expand(1, 8, 8, 8)).clamp(0, 1)
    torch.testing.assert_close(seen.features, white.view(1, 8, 1, 1).expand_as(seen.features))
    torch.testing.assert_close(images, expected)
    assert (seen.opacity == 0).all()
    rgb = emptied(nerf(replace(scene, background=(0.2, 0.4, 0.6)), None, replace(TINY_FIT, space="rgb")))
    assert rgb.render(scene.cameras[:1])[0][0, :, 9, 9].tolist() == pytest.approx([0.2, 0.4, 0.6])


def test_several_rays_per_latent_start_as_their_mean(scene: Scene, autoencoder: Autoencoder) -> None:
    model = nerf(scene, autoencoder, replace(TINY_FIT, subpixels=2))
    cameras = scene.cameras[:1]
    fine = model.render_rays(cameras.resized(width=16, height=16).rays().flatten())
    pooled = fine.features.view(8, 2, 8, 2, 8).mean(dim=(1, 3)).permute(2, 0, 1)
    seen = model.render_features(cameras)
    torch.testing.assert_close(seen.features[0], pooled, atol=1e-5, rtol=1e-4)
    opacity = fine.opacity.view(8, 2, 8, 2).mean(dim=(1, 3))
    torch.testing.assert_close(seen.opacity[0, 0], opacity, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("subpixels", [2, 4])
def test_the_projection_learns_from_its_first_step(subpixels: int) -> None:
    torch.manual_seed(0)
    projection = SubpixelProjection(5, subpixels=subpixels, width=7)
    features = torch.randn(2, 5, 3 * subpixels, 4 * subpixels)
    out = projection(features)
    torch.testing.assert_close(out, torch.nn.functional.avg_pool2d(features, subpixels))
    out.square().sum().backward()
    assert projection.mix.weight.grad is not None
    assert projection.mix.weight.grad.abs().max() > 0


def test_batches_and_chunks_do_not_change_the_picture(
    scene: Scene, autoencoder: Autoencoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = nerf(scene, autoencoder, TINY_FIT)
    cameras = scene.cameras[:5]
    images, seen = model.render(cameras)
    monkeypatch.setattr(model_module, "RAYS_PER_CHUNK", 100)
    again, seen = model.render(cameras, batch_size=2)
    torch.testing.assert_close(again, images, atol=1e-4, rtol=0)
    torch.testing.assert_close(seen.features, seen.features, atol=1e-4, rtol=0)
    torch.testing.assert_close(seen.depth, seen.depth, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("grids", "error"), [(1, 1.5), (2, 0.5), (4, 0.0)])
def test_several_grids_of_latents_make_a_ramp_of_stairs(
    scene: Scene, autoencoder: Autoencoder, monkeypatch: pytest.MonkeyPatch, grids: int, error: float
) -> None:
    """Each latent is its place on the picture, and decoded flat: as far off as a pixel is from the middle of it."""
    model, (camera, factor) = nerf(scene, autoencoder, PAPER), (scene.cameras[:1], autoencoder.factor)

    def places(seen: Cameras, **_: object) -> Rendering:
        left, top = (camera.principal - seen.principal)[0].tolist()
        columns = left + factor * (torch.arange(seen.width // factor) + 0.5)
        rows = top + factor * (torch.arange(seen.height // factor) + 0.5)
        features = torch.stack(torch.meshgrid(columns, rows, indexing="xy"))[None] / 64 + 0.1
        return Rendering(features, features[:, :1], features[:, :1])

    def flat(features: Tensor) -> Tensor:
        return features.repeat_interleave(factor, dim=2).repeat_interleave(factor, dim=3)

    monkeypatch.setattr(model, "render_features", places)
    monkeypatch.setattr(model, "decode", flat)
    images, seen = model.render(camera, grids=grids)
    pixels = torch.arange(32) + 0.5
    ramp = torch.stack(torch.meshgrid(pixels, pixels, indexing="xy"))[None] / 64 + 0.1
    assert float((images - ramp).abs().max()) == pytest.approx(error / 64, abs=1e-6)
    assert seen.features.shape == (1, 2, 8, 8)


@pytest.mark.parametrize(
    ("grids", "problem"), [(0, "expected at least 1"), (3, "expected a divisor of the pixels per latent")]
)
def test_grids_begin_at_whole_pixels(
    scene: Scene, autoencoder: Autoencoder, grids: int, problem: str
) -> None:
    with pytest.raises(ArgumentError, match=f"grids: is {grids}; {problem}"):
        nerf(scene, autoencoder, PAPER).render(scene.cameras[:1], grids=grids)


def test_colours_have_no_grid_to_move(scene: Scene) -> None:
    model = nerf(scene, None, replace(TINY_FIT, space="rgb"))
    with pytest.raises(ArgumentError, match="grids: is 2, but colours are not decoded; expected 1"):
        model.grid_corners(2)


def test_the_state_of_the_scene_is_all_but_the_autoencoder(scene: Scene, autoencoder: Autoencoder) -> None:
    first = nerf(scene, autoencoder, TINY_FIT)
    second = nerf(scene, autoencoder, replace(TINY_FIT, seed=1))
    state = {name: value.clone() for name, value in first.scene_state().items()}
    assert not any(name.startswith("autoencoder") for name in state)
    cameras = scene.cameras[:1]
    assert not torch.equal(first.render(cameras)[0], second.render(cameras)[0])
    second.load_scene_state(state)
    assert torch.equal(first.render(cameras)[0], second.render(cameras)[0])


def test_a_model_depends_on_its_seed_alone(scene: Scene, autoencoder: Autoencoder) -> None:
    torch.manual_seed(5)
    drawn = torch.rand(1)
    torch.manual_seed(5)
    first = nerf(scene, autoencoder, TINY_FIT)
    assert torch.equal(torch.rand(1), drawn), "the global generator is left alone"
    second = nerf(scene, autoencoder, TINY_FIT)
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_what_no_training_view_shows_is_empty_and_what_they_show_is_not(
    scene: Scene, autoencoder: Autoencoder
) -> None:
    model = nerf(scene, autoencoder, TINY_FIT)
    scale = float(scene.world_to_scene[0, 0])
    center = scene.world_to_scene[:3, 3]
    directions = torch.nn.functional.normalize(torch.randn(500, 3), dim=-1)
    sphere = center + 0.8 * scale * directions
    assert isinstance(model.sampler, GridSampler)
    assert model.sampler.grid.occupied(sphere).all()
    # The corners of the box lie outside of every outline of a sphere.
    corners = 0.98 * torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 3)
    assert not model.sampler.grid.occupied(corners).any()


def test_opaque_photographs_have_a_background_to_learn(scene: Scene, autoencoder: Autoencoder) -> None:
    opaque = replace(scene, alpha=None)
    assert isinstance(nerf(opaque, autoencoder, PAPER).background, torch.nn.Parameter)
    assert not isinstance(nerf(scene, autoencoder, PAPER).background, torch.nn.Parameter)


def test_a_vanilla_nerf_starts_with_thick_fog_where_a_hull_says_what_is_empty(scene: Scene) -> None:
    config = replace(TINY_FIT, space="rgb", field=VanillaConfig(hull_density_shift=2.5))
    inside: Any = nerf(scene, None, config).field.density_output
    everywhere: Any = nerf(replace(scene, alpha=None), None, config).field.density_output
    torch.testing.assert_close(inside.bias, everywhere.bias + 2.5)
    assert torch.equal(inside.weight, everywhere.weight)
