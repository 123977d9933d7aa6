"""What is shown, against slow and obvious computations of the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from helpers.tiny import RADIUS, SIZE, sphere_cameras
from latentfields.cameras import Cameras
from latentfields.pages.pictures import LatentProjection, to_pixels
from latentfields.rendering.rendering import Rendering
from latentfields.scenes.reading import Bounds
from latentfields.viewer.frames import (
    BEHIND_ALL,
    Choice,
    draw,
    kinds,
    nearest_view,
    padded_to,
    surface_depth,
)


class Sphere:
    """A `ViewedScene` of closed form: a sphere whose features are its distance and its height in the picture."""

    name = "sphere"
    has_images = True
    bounds: Bounds = "object"

    def __init__(self, *, factor: int, channels: int | None, has_colors: bool = False) -> None:
        self.factor, self.channels, self.has_colors = factor, channels, has_colors
        self.cameras = sphere_cameras(9)
        self.view_names: Sequence[str] = [f"view-{index}" for index in range(9)]
        self.error = 0.1

    @property
    def projection(self) -> LatentProjection:
        return LatentProjection.fit(self.render(self.cameras)[1].features)

    def images(self, indices: Tensor) -> Tensor:
        return self.render(self.cameras[indices])[0] + self.error

    def render(self, cameras: Cameras) -> tuple[Tensor, Rendering]:
        grid = cameras.resized(width=cameras.width // self.factor, height=cameras.height // self.factor)
        rays = grid.rays()
        half_b = (rays.origins * rays.directions).sum(-1)
        square = half_b**2 - rays.origins.square().sum(-1) + RADIUS**2
        depth = torch.where(square > 0, -half_b - square.clamp(min=0).sqrt(), 5.0)[:, None]
        opacity = (square > 0).float()[:, None]
        features = torch.cat([depth - 2, opacity, 1 - opacity, 0 * depth], dim=1)
        image = 0.2 + 0.5 * torch.nn.functional.interpolate(opacity, scale_factor=self.factor).expand(
            -1, 3, -1, -1
        )
        return image, Rendering(features, opacity, depth)

    def render_colors(self, cameras: Cameras) -> tuple[Tensor, Rendering]:
        image, seen = Sphere(factor=1, channels=None).render(cameras)
        return 0.5 * image, seen

    def geometry(self, cameras: Cameras) -> Rendering:
        return Sphere(factor=1, channels=None).render(cameras)[1]


@pytest.fixture
def latent() -> Sphere:
    return Sphere(factor=4, channels=4)


def test_latents_are_offered_only_where_there_are_any(latent: Sphere) -> None:
    assert kinds(latent) == ("RGB", "Latent components", "Latent channel", "Depth", "Error")
    assert kinds(Sphere(factor=1, channels=None)) == ("RGB", "Depth", "Error")


def test_colours_beside_latents_are_the_image_and_the_decoded_ones_another(latent: Sphere) -> None:
    both = Sphere(factor=4, channels=4, has_colors=True)
    assert kinds(both) == (
        "RGB",
        "Decoded latents",
        "Latent components",
        "Latent channel",
        "Depth",
        "Error",
    )
    camera = both.cameras[[2]]
    colors, decoded = (draw(both, camera, Choice(kind), aspect=1.0) for kind in ("RGB", "Decoded latents"))
    np.testing.assert_array_equal(colors.pixels, to_pixels(both.render_colors(camera)[0])[0])
    np.testing.assert_array_equal(decoded.pixels, draw(latent, camera, Choice("RGB"), aspect=1.0).pixels)
    # Depth is as fine as the colours, and errors are theirs.
    depth = draw(both, camera, Choice("Depth"), aspect=1.0)
    assert depth.pixels.shape == (SIZE, SIZE, 3)
    assert not depth.cells
    fine = draw(Sphere(factor=1, channels=None), camera, Choice("Depth"), aspect=1.0)
    np.testing.assert_array_equal(depth.pixels, fine.pixels)
    assert (
        draw(both, camera, Choice("Error"), aspect=1.0).note
        != draw(latent, camera, Choice("Error"), aspect=1.0).note
    )


def test_the_image(latent: Sphere) -> None:
    camera = latent.cameras[[2]]
    frame = draw(latent, camera, Choice("RGB"), aspect=1.0)
    np.testing.assert_array_equal(frame.pixels, to_pixels(latent.render(camera)[0])[0])
    assert not frame.cells


def test_components_and_channels_are_squares_of_one_colour(latent: Sphere) -> None:
    camera = latent.cameras[[2]]
    features = latent.render(camera)[1].features
    components = draw(latent, camera, Choice("Latent components"), aspect=1.0)
    assert components.cells
    assert components.pixels.shape == (SIZE, SIZE, 3)
    np.testing.assert_array_equal(components.pixels[1::4, 3::4], latent.projection.pixels(features)[0])
    for channel in range(4):
        frame = draw(latent, camera, Choice("Latent channel", channel), aspect=1.0)
        grey = (features[0, channel] / 6 + 0.5).clamp(0, 1)
        for corner in (frame.pixels[::4, ::4], frame.pixels[3::4, 3::4]):
            np.testing.assert_allclose(corner, 255 * grey[..., None].expand(-1, -1, 3), atol=0.5)


def test_depth_is_white_beside_the_surface_and_red_where_it_is_nearest(latent: Sphere) -> None:
    frame = draw(latent, latent.cameras[[2]], Choice("Depth"), aspect=1.0)
    assert (frame.pixels[0, 0] == 255).all()
    # As fine as the picture, though latents are coarser, and with what its colours mean.
    assert not frame.cells
    fine = draw(Sphere(factor=1, channels=None), latent.cameras[[2]], Choice("Depth"), aspect=1.0)
    np.testing.assert_array_equal(frame.pixels, fine.pixels)
    assert frame.note.startswith("red at 2.")
    red, _, blue = frame.pixels[SIZE // 2, SIZE // 2].astype(int)
    assert red > blue + 50


@pytest.mark.parametrize("factor", [1, 4])
def test_depth_for_hiding_is_along_the_optical_axis(factor: int) -> None:
    scene = Sphere(factor=factor, channels=4)
    camera = scene.cameras[[4]].resized(width=64, height=48)
    depth = surface_depth(scene.render(camera)[1], camera)
    assert depth.shape == (48, 64)
    assert abs(float(depth[23:25, 31:33].mean()) - (3 - RADIUS)) < 0.05
    assert (depth[0] == BEHIND_ALL).all()
    # The points at this depth lie on the sphere.
    rows, columns = np.nonzero(depth < BEHIND_ALL)
    local = (
        torch.stack(
            [
                torch.from_numpy(columns + 0.5 - 32).float() / camera.focal[0, 0],
                -torch.from_numpy(rows + 0.5 - 24).float() / camera.focal[0, 1],
                -torch.ones(len(rows)),
            ],
            dim=-1,
        )
        * torch.from_numpy(depth[rows, columns])[:, None]
    )
    points = local @ camera.camera_to_world[0, :3, :3].T + camera.centers
    distance = points.norm(dim=-1)
    assert float((distance - RADIUS).abs().median()) < 0.01 * factor
    expected = scene.render(camera)[1].opacity.mean()
    assert abs(len(rows) / depth.size - float(expected)) < 0.05


def test_the_nearest_view_is_the_one_itself_and_minds_the_direction() -> None:
    cameras = sphere_cameras(20)
    assert [nearest_view(cameras, cameras[[index]]) for index in range(20)] == list(range(20))
    away = sphere_cameras(1)
    turned = away.camera_to_world.clone()
    turned[:, :3, [0, 2]] *= -1
    both = Cameras(
        torch.cat([turned, away.camera_to_world]),
        away.focal.repeat(2, 1),
        away.principal.repeat(2, 1),
        away.width,
        away.height,
    )
    assert nearest_view(both, away) == 1


def test_errors_are_of_the_nearest_training_view(latent: Sphere) -> None:
    near = latent.cameras[[5]].resized(width=80, height=40)
    frame = draw(latent, near, Choice("Error"), aspect=2.0)
    assert frame.depth is None
    assert frame.note == "view-5: 20.00 dB, error x4"
    assert frame.pixels.shape == (SIZE, 2 * SIZE, 3)
    inside = frame.pixels[:, SIZE // 2 : SIZE // 2 + SIZE]
    assert (inside == inside[0, 0]).all()
    assert (frame.pixels[:, : SIZE // 2] == 24).all()
    latent.error = 0.0
    exact = draw(latent, near, Choice("Error"), aspect=2.0)
    assert exact.note.startswith("view-5: 100.00 dB")
    assert exact.pixels[:, SIZE // 2 : SIZE // 2 + SIZE].max() <= 4


@pytest.mark.parametrize(
    ("aspect", "shape"), [(1.0, (20, 20)), (2.0, (20, 40)), (0.5, (40, 20)), (1.49, (20, 30))]
)
def test_pictures_are_padded_on_two_sides(aspect: float, shape: tuple[int, int]) -> None:
    white = np.full((20, 20, 3), 255, dtype=np.uint8)
    padded = padded_to(white, aspect=aspect)
    assert padded.shape == (*shape, 3)
    assert int((padded == 255).all(-1).sum()) == 400
