"""Parts of pictures: they are those of the whole, every pixel counts as much, and steps cost what a part costs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from helpers.autoencoders import small_autoencoder
from helpers.tiny import TINY_FIT, TINY_GAUSSIANS
from helpers.unbounded_scene import ball_scene
from latentfields import FitConfig, preset
from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.autoencoders.receptive_field import receptive_field
from latentfields.latent_nerf.build import new_model
from latentfields.latent_nerf.config import APPROXIMATE_MARGIN
from latentfields.latent_nerf.crops import Crops, Window
from latentfields.latent_nerf.feature_trainer import new_trainer
from latentfields.latent_nerf.trainer import LatentNerfTrainer
from latentfields.scenes.scene import Scene

FACTOR, REACH = 4, 5
"""Of the autoencoder of these tests."""
KINDS: dict[str, FitConfig] = {
    "along rays": replace(TINY_FIT, subpixels=1),
    "four rays": TINY_FIT,
    "gaussians": replace(TINY_GAUSSIANS, subpixels=1),
    "four splats": TINY_GAUSSIANS,
    "both along rays": replace(TINY_FIT, space="both"),
    "both gaussians": replace(TINY_GAUSSIANS, space="both"),
}


@given(width=st.integers(1, 90), height=st.integers(1, 90), side=st.integers(1, 40), margin=st.integers(0, 9))
def test_every_latent_is_in_one_part(width: int, height: int, side: int, margin: int) -> None:
    crops = Crops(width, height, side=side, margin=margin)
    count = torch.zeros(height, width)
    for part in crops.parts:
        assert 0 < part.right - part.left <= side
        assert 0 < part.bottom - part.top <= side
        count[part.rows, part.columns] += 1
        assert (part.right - part.left) in (width // -(-width // side), -(-width // -(-width // side)))
    assert (count == 1).all()


def test_parts_are_drawn_evenly_and_rendered_with_what_is_around_them() -> None:
    crops = Crops(20, 10, side=10, margin=3)
    generator = torch.Generator().manual_seed(0)
    drawn = [crops.draw(generator) for _ in range(200)]
    left = [crop for crop in drawn if crop.kept == Window(0, 0, 10, 10)]
    assert 80 < len(left) < 120
    assert {crop.kept for crop in drawn} == {Window(0, 0, 10, 10), Window(10, 0, 20, 10)}
    assert {crop.rendered for crop in drawn} == {Window(0, 0, 13, 10), Window(7, 0, 20, 10)}


@pytest.mark.parametrize("side", [0, 20, 25])
def test_of_a_single_part_nothing_is_drawn(side: int) -> None:
    """Trainings of pictures that are not cut are the same as before there were parts."""
    generator = torch.Generator().manual_seed(0)
    before = generator.get_state()
    crop = Crops(20, 10, side=side, margin=3).draw(generator)
    assert (crop.kept, crop.rendered) == (Window(0, 0, 20, 10), None)
    assert torch.equal(generator.get_state(), before)


def test_windows_in_each_other_and_in_pixels() -> None:
    inner, outer = Window(5, 3, 9, 8), Window(2, 3, 12, 10)
    assert inner.within(outer) == Window(3, 0, 7, 5)
    assert inner.times(4) == Window(20, 12, 36, 32)
    values = torch.arange(200).view(10, 20)
    part = values[outer.rows, outer.columns][inner.within(outer).rows, inner.within(outer).columns]
    assert torch.equal(part, values[inner.rows, inner.columns])


def disturbed(config: FitConfig, *, space: Autoencoder) -> tuple[Scene, LatentNerfTrainer]:
    """A scene of 160x96 pixels, and its trainer, with weights that show something everywhere."""
    scene = large_scene()
    model = new_model(scene, space, config)
    generator = torch.Generator().manual_seed(1)
    for name, parameter in model.named_parameters():
        if not name.startswith("autoencoder."):
            parameter.data += 0.2 * torch.randn(parameter.shape, generator=generator)
    return scene, new_trainer(model, scene, config)


def large_scene(*, width: int = 160, height: int = 96) -> Scene:
    """The ball, its pictures enlarged: what they show does not matter."""
    scene = ball_scene(bounds="object")
    pixels = nn.functional.interpolate(scene.pixels.float(), size=(height, width)).to(torch.uint8)
    return replace(scene, pixels=pixels, cameras=scene.cameras.resized(width=width, height=height))


@torch.no_grad()
def parts_and_whole(kind: str, *, margin: int) -> list[tuple[Tensor, Tensor]]:
    """Pixels of every part of a picture, decoded with a margin and cut out of the whole picture."""
    config = KINDS[kind]
    scene, trainer = disturbed(config, space=small_autoencoder())
    model = trainer.model
    cameras = scene.cameras[:2]
    whole = model.decode(model.render_features(cameras).features)
    width, height = 160 // FACTOR, 96 // FACTOR
    found = []
    for part in Crops(width, height, side=14, margin=margin).parts:
        window = part.grown(margin, width=width, height=height)
        decoded = model.decode(model.render_features(cameras, window=window).features)
        inside, pixels = part.within(window).times(FACTOR), part.times(FACTOR)
        found.append((decoded[..., inside.rows, inside.columns], whole[..., pixels.rows, pixels.columns]))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_part_is_decoded_as_in_the_whole_picture(kind: str) -> None:
    space = small_autoencoder()
    reach = receptive_field(space.decode, channels=4, factor=FACTOR, device=space.device)
    assert reach == REACH
    projected = 2 if KINDS[kind].subpixels > 1 else 0
    found = parts_and_whole(kind, margin=REACH + projected)
    assert len(found) == 3 * 2
    for part, whole in found:
        assert whole.std() > 0.02
        torch.testing.assert_close(part, whole, atol=2e-4, rtol=0)
    # A latent less is too few.
    worse = [float((part - whole).abs().max()) for part, whole in parts_and_whole(kind, margin=REACH - 1)]
    assert max(worse) > 4e-4 or KINDS[kind].subpixels == 1
    none = [float((part - whole).abs().max()) for part, whole in parts_and_whole(kind, margin=0)]
    assert max(none) > 1e-2


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_step_renders_a_part_however_large_pictures_are(kind: str) -> None:
    sizes = {}
    for scale in (1, 2):
        scene = large_scene(width=120 * scale, height=120 * scale)
        config = replace(KINDS[kind].with_steps(supervision=1, alignment=9), crop=40)
        trainer = new_trainer(new_model(scene, small_autoencoder(), config), scene, config)
        sizes[scale] = {trainer.backward(index, index / 10).seen.features.shape[-2:] for index in range(1, 8)}
    margin = REACH + (2 if KINDS[kind].subpixels > 1 else 0)
    largest = 10 + 2 * margin
    assert all(max(size) <= largest for found in sizes.values() for size in found)
    assert sizes[1] & sizes[2]


def test_supervision_along_rays_looks_at_parts_and_that_of_gaussians_at_whole_pictures() -> None:
    for kind, expected in (("along rays", (10, 10)), ("four rays", (10, 10)), ("gaussians", (40, 24))):
        config = replace(KINDS[kind], crop=40)
        scene = large_scene(width=160, height=160 if expected == (10, 10) else 96)
        trainer = new_trainer(new_model(scene, small_autoencoder(), config), scene, config)
        seen = trainer.backward(0, 0.0).seen
        assert tuple(seen.features.shape[-2:]) == expected[::-1]


def test_the_losses_of_all_parts_are_that_of_the_whole_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the mean: parts are equally large, and equally likely."""
    config = replace(TINY_FIT, crop=40, alignment_objective="rgb", batch_images=1, subpixels=1)
    _, trainer = disturbed(replace(config, crop=0), space=small_autoencoder())
    monkeypatch.setattr(trainer, "_batch", lambda: torch.tensor([3]))
    # Without jitter, rays are those of the whole.
    render = trainer.model.render_features
    monkeypatch.setattr(
        trainer.model, "render_features", lambda cameras, generator, window: render(cameras, window=window)
    )
    steps: dict[str, Callable[[], tuple[Any, Tensor]]] = {
        "supervision": lambda: trainer._supervise(0.0),
        "alignment": trainer._align,
    }
    expected = {name: float(step()[1]) for name, step in steps.items()}
    gradient = trainer.model.field.planes.grad.clone()  # type: ignore[union-attr, operator]
    trainer.model.zero_grad()
    parts = Crops(40, 24, side=12, margin=REACH)
    found: dict[str, list[float]] = {name: [] for name in steps}
    for part in parts.parts:
        crop = type(parts.draw(torch.Generator()))(part, part.grown(REACH, width=40, height=24))
        drawn = type("Drawn", (), {"draw": lambda self, generator, crop=crop: crop})()
        trainer._supervision_crops = trainer._alignment_crops = drawn
        for name, losses in found.items():
            losses.append(float(steps[name]()[1]))
    assert len(parts.parts) == 4 * 2
    for name, losses in found.items():
        assert sum(losses) / len(losses) == pytest.approx(expected[name], rel=1e-4)
        assert max(losses) > 1.05 * min(losses)
    mean = trainer.model.field.planes.grad / len(parts.parts)  # type: ignore[union-attr, operator]
    torch.testing.assert_close(mean, gradient, atol=1e-5, rtol=1e-3)


class Levelled(nn.Module):
    """A decoder that looks at whole pictures."""

    def __init__(self, decoder: nn.Module) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, latents: Tensor) -> Tensor:
        out: Tensor = self.decoder(latents - latents.mean(dim=(2, 3), keepdim=True))
        return out


@pytest.mark.parametrize("margin", ["exact", "approximate"])
def test_decoders_of_whole_pictures_are_given_them_unless_asked_otherwise(
    margin: str, caplog: pytest.LogCaptureFixture
) -> None:
    space = small_autoencoder()
    space.codec.decoder = Levelled(space.codec.decoder_module())  # type: ignore[attr-defined]
    scene = large_scene()
    config = replace(TINY_FIT, crop=40, crop_margin=margin, subpixels=1)  # type: ignore[arg-type]
    with caplog.at_level(logging.INFO):
        trainer = new_trainer(new_model(scene, space, config), scene, config)
    said = "The decoder of small looks at a whole picture"
    assert any(said in message for message in caplog.messages) is (margin == "exact")
    crops = trainer._alignment_crops
    assert len(crops.parts) == (1 if margin == "exact" else 4 * 3)
    assert crops.margin == (0 if margin == "exact" else APPROXIMATE_MARGIN)
    # Supervision needs no decoder.
    assert len(trainer._supervision_crops.parts) == 4 * 3


def test_points_count_where_the_part_shows_them() -> None:
    config = replace(TINY_FIT, crop=40, point_depth_weight=1.0, subpixels=1)
    scene, trainer = disturbed(config, space=small_autoencoder())
    chosen = torch.tensor([0, 5])
    with torch.no_grad():
        seen = trainer.model.render_features(scene.cameras[trainer.train_indices[chosen]])
    whole, cell = Window(0, 0, 40, 24), (FACTOR, FACTOR)
    expected = float(trainer._point_depth_loss(seen, chosen, None, cell=cell))
    assert float(trainer._point_depth_loss(seen, chosen, whole, cell=cell)) == expected > 0
    known, total, count = trainer._sightings, 0.0, 0
    assert known is not None
    places = (known.positions[(known.views[:, None] == chosen).any(dim=1)] / FACTOR).long()
    for part in Crops(40, 24, side=10, margin=0).parts:
        inside = (places >= torch.tensor([part.left, part.top])).all(1) & (
            places < torch.tensor([part.right, part.bottom])
        ).all(1)
        cut = replace(seen, depth=seen.depth[..., part.rows, part.columns])
        total += int(inside.sum()) * float(trainer._point_depth_loss(cut, chosen, part, cell=cell))
        count += int(inside.sum())
    assert count == len(places)
    assert total / count == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", ["along rays", "gaussians"])
@pytest.mark.parametrize("crop", [0, 40])
def test_a_moved_grid_is_compared_with_the_pixels_that_it_lies_on(
    kind: str, crop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cameras see along the rays of these pixels, and what decodes to these pixels has no loss."""
    config = replace(KINDS[kind], crop=crop, alignment_grid="shifted", batch_images=1)
    scene, trainer = disturbed(config, space=small_autoencoder())
    train = trainer.train_indices[3]
    monkeypatch.setattr(trainer, "_batch", lambda: torch.tensor([3]))
    picture = trainer.pictures.images(torch.tensor([3]))
    rays = scene.cameras[train : train + 1].rays().directions
    model, seen = trainer.model, trainer.model.render_features
    corners, counted = set(), torch.zeros(96, 160)

    def rendered(cameras: Any, *, generator: torch.Generator, window: Window | None) -> Any:
        left, top = (scene.cameras.principal[train] - cameras.principal[0]).round().int().tolist()
        assert cameras.width == 160 - FACTOR * bool(left)
        assert cameras.height == 96 - FACTOR * bool(top)
        inside = rays[:, top : top + cameras.height, left : left + cameras.width]
        torch.testing.assert_close(cameras.rays().directions, inside)
        shown.append(((left, top), window or Window(0, 0, cameras.width // FACTOR, cameras.height // FACTOR)))
        corners.add((left, top))
        return seen(cameras, generator=generator, window=window)

    def decoded(features: Tensor) -> Tensor:
        (left, top), window = shown[-1]
        pixels = window.times(FACTOR).moved(left, top)
        counted[pixels.rows, pixels.columns] += 1
        # What is looked at hangs on the features, of which gradients are taken.
        return picture[..., pixels.rows, pixels.columns] + 0 * features.mean()

    shown: list[tuple[tuple[int, int], Window]] = []
    monkeypatch.setattr(model, "render_features", rendered)
    monkeypatch.setattr(trainer, "_decode", decoded)
    for _ in range(60):
        assert float(trainer._align()[1]) == 0
    assert len(corners) > 12
    assert corners <= {(left, top) for left in range(FACTOR) for top in range(FACTOR)}
    # But for the outermost, which few grids reach, every pixel is looked at.
    assert (counted[FACTOR:-FACTOR, FACTOR:-FACTOR] > 0).all()


def test_a_grid_that_stays_draws_nothing_and_one_latent_is_not_moved() -> None:
    """Trainings with the papers' grid are those of earlier versions."""
    _, trainer = disturbed(TINY_FIT, space=small_autoencoder())
    before = trainer.generator.get_state()
    assert trainer._grid_corner() == (0, 0)
    assert torch.equal(trainer.generator.get_state(), before)
    scene = large_scene(width=FACTOR, height=96)
    config = replace(TINY_FIT, alignment_grid="shifted")
    trainer = new_trainer(new_model(scene, small_autoencoder(), config), scene, config)
    corners = [trainer._grid_corner() for _ in range(30)]
    assert {left for left, _ in corners} == {0}
    assert {top for _, top in corners} == {0, 1, 2, 3}


def test_points_are_looked_at_where_a_moved_grid_shows_them() -> None:
    config = replace(TINY_FIT, point_depth_weight=1.0, subpixels=1)
    scene, trainer = disturbed(config, space=small_autoencoder())
    known, chosen = trainer._sightings, torch.tensor([0])
    assert known is not None
    with torch.no_grad():
        seen = trainer.model.render_features(scene.cameras[trainer.train_indices[chosen]])
    for left, top in ((0, 0), (3, 0), (1, 2)):
        depth = 1 + torch.rand(24 - bool(top), 40 - bool(left), generator=torch.Generator().manual_seed(left))
        errors = []
        for position, distance, view in zip(known.positions, known.distances, known.views, strict=True):
            column, row = (position[0] - left) // FACTOR, (position[1] - top) // FACTOR
            if view == 0 and 0 <= column < depth.shape[1] and 0 <= row < depth.shape[0]:
                errors.append(float((depth[int(row), int(column)] / distance).log().abs()))
        assert errors
        found = trainer._point_depth_loss(
            replace(seen, depth=depth[None, None]), chosen, None, cell=(FACTOR, FACTOR), corner=(left, top)
        )
        assert float(found) == pytest.approx(sum(errors) / len(errors), rel=1e-5)


def test_pictures_of_the_papers_are_not_cut() -> None:
    assert preset("kplanes", "paper").crop == 0
    assert preset("gaussians", "paper").crop == 0
    assert preset("kplanes").crop == 256
