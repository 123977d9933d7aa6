"""Which views colour which vertices, in scenes small enough to say by hand."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from latentfields.cameras import Cameras, look_at
from latentfields.export import vertex_colors
from latentfields.export.surface import Surface

SLACK = 0.01
RED, GREEN = torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 0.0])


def blend_views(
    surface: Surface, cameras: Cameras, images: torch.Tensor, *, slack: float
) -> NDArray[np.uint8]:
    opacity = torch.ones(len(images), 1, 4, 4)
    return vertex_colors.blend_views(surface, cameras, images, opacity, slack=slack)


def square(center: tuple[float, float, float], half_side: float) -> Surface:
    """A square that looks up."""
    corners = np.array([(-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0)], dtype=np.float64)
    faces = np.array([(0, 1, 2), (0, 2, 3)], np.int32)
    return Surface(np.array(center) + half_side * corners, faces)


def joined(first: Surface, second: Surface) -> Surface:
    faces = np.concatenate([first.faces, second.faces + np.int32(len(first.vertices))])
    return Surface(np.concatenate([first.vertices, second.vertices]), faces)


def camera(eye: tuple[float, float, float]) -> Cameras:
    return Cameras(
        camera_to_world=look_at(torch.tensor([eye]).float(), torch.zeros(3), torch.tensor([0.0, 1.0, 0.0])),
        focal=torch.full((1, 2), 16.0),
        principal=torch.full((1, 2), 8.0),
        width=16,
        height=16,
    )


def both(first: Cameras, second: Cameras) -> Cameras:
    return Cameras(
        camera_to_world=torch.cat([first.camera_to_world, second.camera_to_world]),
        focal=torch.cat([first.focal, second.focal]),
        principal=torch.cat([first.principal, second.principal]),
        width=16,
        height=16,
    )


def flat_images(*colors: torch.Tensor) -> torch.Tensor:
    return torch.stack([color[:, None, None].expand(3, 16, 16) for color in colors])


def test_a_hidden_vertex_does_not_take_the_colour_of_what_hides_it() -> None:
    ground, lid = square((0, 0, 0), 0.3), square((0, 0, 1), 0.4)
    views = both(camera((0, 0, 4)), camera((0, -4, 0.7)))
    colors = blend_views(joined(ground, lid), views, flat_images(RED, GREEN), slack=SLACK)
    # The lid is seen by both, nearly only from above; the ground from the side only.
    assert (colors[4:, 0] > 250).all()
    assert colors[:4].tolist() == [[0, 255, 0]] * 4


def test_views_from_behind_and_pictures_that_end_before_do_not_count() -> None:
    surface = square((0, 0, 0), 0.3)
    below = camera((0, 0, -4))
    assert blend_views(surface, below, flat_images(RED), slack=SLACK).tolist() == [[128, 128, 128]] * 4
    wide = square((0, 0, 0), 3.0)
    assert blend_views(wide, camera((0, 0, 4)), flat_images(RED), slack=SLACK).tolist() == [[128] * 3] * 4


def test_a_straight_view_counts_more_than_a_slanted_one() -> None:
    surface = square((0, 0, 0), 0.3)
    straight, slanted = camera((0, 0, 4)), camera((0, -4 * 0.5**0.5, 4 * 0.5**0.5))
    colors = blend_views(surface, both(straight, slanted), flat_images(RED, GREEN), slack=SLACK)
    # cos(45 degrees)^4 is a quarter: 4 to 1, but for perspective.
    share = colors[:, 0] / colors[:, :2].sum(1)
    np.testing.assert_allclose(share.mean(), 0.8, atol=0.02)


def test_unseen_vertices_take_the_colours_of_their_neighbours() -> None:
    # A strip of four vertices pairs of which the picture shows the first pair only.
    x = np.array([-0.5, 0.5, 6.0, 12.0])
    vertices = np.array([(a, b, 0.0) for a in x for b in (-0.3, 0.3)])
    faces = np.array(
        [f for i in range(3) for f in ((2 * i, 2 * i + 2, 2 * i + 1), (2 * i + 1, 2 * i + 2, 2 * i + 3))],
        np.int32,
    )
    colors = blend_views(Surface(vertices, faces), camera((0, 0, 4)), flat_images(GREEN), slack=SLACK)
    assert colors.tolist() == [[0, 255, 0]] * 8


def test_colours_are_looked_up_between_pixel_centres() -> None:
    surface = square((0, 0, 0), 0.25)
    ramp = ((torch.arange(16) + 0.5) / 16).expand(1, 3, 16, 16)
    colors = blend_views(surface, camera((0, 0, 4)), ramp, slack=SLACK)
    # x = 0.25 at a distance of 4 is one pixel right of the middle.
    np.testing.assert_allclose(colors[:, 0] / 255, 0.5 + surface.vertices[:, 0] / 4, atol=0.003)


def test_a_view_with_background_beside_the_vertex_only_counts_alone() -> None:
    surface, views = square((0, 0, 0), 0.3), both(camera((0, 0, 4)), camera((0, 0, 5)))
    opacity = torch.ones(2, 1, 4, 4)
    opacity[0, 0, 1:3, 1:3] = 0
    images = flat_images(RED, GREEN)
    colors = vertex_colors.blend_views(surface, views, images, opacity, slack=SLACK)
    assert (colors[:, 1] > 250).all()
    alone = vertex_colors.blend_views(surface, views[:1], images[:1], opacity[:1], slack=SLACK)
    assert alone.tolist() == [[255, 0, 0]] * 4
