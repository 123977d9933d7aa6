"""Textures of a cube of two colours: what lies where on the surface, seen through the package's own mesh renderer."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from helpers.analytic_run import CENTER, LEFT, RIGHT, SCALE
from helpers.tiny import sphere_cameras
from latentfields.cameras import Cameras
from latentfields.errors import InputError
from latentfields.export.config import MeshConfig
from latentfields.export.mesh import export_mesh, write_textured_mesh
from latentfields.export.surface import Surface
from latentfields.export.texture import Unwrapped, paint, require_xatlas, unwrap
from latentfields.export.vertex_colors import blend_views, ray_tracer
from latentfields.latent_nerf.run import Run
from latentfields.scenes.objects.mesh_files import load_mesh
from latentfields.scenes.objects.rendering import MeshRenderer

RED, BLUE = np.array([0.9, 0.1, 0.1]), np.array([0.1, 0.1, 0.9])
SIDE = 128
needs_xatlas = pytest.mark.skipif(
    importlib.util.find_spec("xatlas") is None, reason="needs the extra `texture`"
)


def cube() -> Surface:
    """A cube of side 0.8, each side of 2 x 2 squares."""
    mesh = trimesh.creation.box((0.8, 0.8, 0.8)).subdivide()
    return Surface(np.array(mesh.vertices), np.array(mesh.faces, np.int32))


def hits(surface: Surface, cameras: Cameras) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Points (N, H, W, 3) that pixels see, and whether there are any."""
    rays = cameras.rays().flatten()
    found = ray_tracer(surface.vertices, surface.faces).run(
        rays.origins.numpy(), rays.directions.numpy(), output=True
    )
    distance = np.where(found["primID"] >= 0, found["tfar"], 0.0)
    points = rays.origins.numpy() + distance[:, None] * rays.directions.numpy()
    shape = (len(cameras), cameras.height, cameras.width)
    return points.reshape(*shape, 3).astype(np.float64), (found["primID"] >= 0).reshape(shape)


def colours_at(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Red where x + y/2 is positive, blue elsewhere: no edge of any chart."""
    return np.where((points[..., :1] + points[..., 1:2] / 2) > 0, RED, BLUE)


def pictures(surface: Surface, cameras: Cameras) -> tuple[Tensor, Tensor]:
    """What the cameras see, (N, 3, H, W), and how much of it (N, 1, H, W)."""
    points, hit = hits(surface, cameras)
    images = np.where(hit[..., None], colours_at(points), 1.0)
    return (
        torch.from_numpy(images).float().movedim(-1, 1),
        torch.from_numpy(hit).float()[:, None],
    )


def fine(cameras: Cameras) -> Cameras:
    return cameras.resized(width=96, height=96)


@pytest.fixture(scope="module")
def painted() -> tuple[Surface, Unwrapped, NDArray[np.uint8]]:
    surface, cameras = cube(), fine(sphere_cameras(24))
    images, opacity = pictures(surface, cameras)
    colors = blend_views(surface, cameras, images, opacity, slack=0.02)
    unwrapped = unwrap(surface, side=SIDE)
    texture = paint(surface, unwrapped, colors, cameras, images, opacity, slack=0.02, side=SIDE)
    return surface, unwrapped, texture


@needs_xatlas
def test_triangles_keep_their_order_and_lie_in_the_square(
    painted: tuple[Surface, Unwrapped, NDArray[np.uint8]],
) -> None:
    surface, unwrapped, texture = painted
    assert texture.shape == (SIDE, SIDE, 3)
    assert np.array_equal(unwrapped.source[unwrapped.faces], surface.faces)
    assert unwrapped.uv.min() >= 0
    assert unwrapped.uv.max() <= 1
    corners = unwrapped.uv[unwrapped.faces]
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    areas = 0.5 * np.abs(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0])
    assert areas.min() > 0
    assert areas.sum() > 0.3, "most of the square is used"


@needs_xatlas
@pytest.mark.parametrize("suffix", [".glb", ".obj"])
def test_a_cube_of_two_colours_is_seen_as_such(
    painted: tuple[Surface, Unwrapped, NDArray[np.uint8]], tmp_path: Path, suffix: str
) -> None:
    surface, unwrapped, texture = painted
    file = tmp_path / f"cube{suffix}"
    write_textured_mesh(file, surface, unwrapped, texture, up=np.array([0.0, 0.0, 1.0]))
    assert sorted(path.name for path in tmp_path.iterdir()) == (
        ["cube.glb"] if suffix == ".glb" else ["cube.mtl", "cube.obj", "cube.png"]
    )
    mesh = load_mesh(file, up="y" if suffix == ".glb" else "z")
    cameras = fine(sphere_cameras(5))[2:]
    checked = 0
    for index, view in enumerate(MeshRenderer(mesh).render(cameras, samples=1)):
        points, hit = hits(surface, cameras[index])
        # Light is the renderer's own; which channel is brighter is the texture's. Texels have a size.
        clear = hit[0] & (view.rgba[..., 3] == 255) & (np.abs(points[0][..., :2] @ [1, 0.5]) > 0.02)
        red = view.rgba[..., 0] > 2.0 * view.rgba[..., 2]
        blue = view.rgba[..., 2] > 2.0 * view.rgba[..., 0]
        expected = colours_at(points[0])[..., 0] > 0.5
        assert (np.where(expected, red, blue)[clear]).mean() > 0.995
        checked += int(clear.sum())
    assert checked > 3000


@needs_xatlas
def test_texels_beside_charts_continue_them(
    painted: tuple[Surface, Unwrapped, NDArray[np.uint8]],
) -> None:
    texture = painted[2].reshape(-1, 3).astype(int)
    assert (np.abs(texture[:, 0] - texture[:, 2]) > 100).mean() > 0.9, "nothing is left black"


@needs_xatlas
def test_what_no_view_shows_has_the_colours_around_it() -> None:
    surface, cameras = cube(), fine(sphere_cameras(24))
    above = cameras[cameras.centers[:, 2] > 0.5]
    images, opacity = pictures(surface, above)
    colors = np.tile(np.array([0, 255, 0], np.uint8), (len(surface.vertices), 1))
    unwrapped = unwrap(surface, side=64)
    texture = paint(surface, unwrapped, colors, above, images, opacity, slack=0.02, side=64)
    green = (texture == [0, 255, 0]).all(axis=-1).mean()
    assert 0.08 < green < 0.3, "the side below, one of six"


@needs_xatlas
def test_a_run_is_exported_with_its_texture(sphere_run: Run, tmp_path: Path) -> None:
    options = MeshConfig(resolution=24, threshold=50.0, views=10, texture=64)
    summary = export_mesh(sphere_run, sphere_run.views, out=tmp_path / "ball.obj", options=options)
    assert summary.texture == 64
    with Image.open(tmp_path / "ball.png") as picture:
        texture = np.asarray(picture.convert("RGB")) / 255
    mesh = load_mesh(tmp_path / "ball.obj", up="z")
    columns = (mesh.uv[:, 0] * 64).astype(int).clip(0, 63)
    rows = ((1 - mesh.uv[:, 1]) * 64).astype(int).clip(0, 63)
    distance = (mesh.vertices - CENTER.numpy()) * SCALE
    for side, colour in ((distance[:, 0] < -0.1, LEFT), (distance[:, 0] > 0.1, RIGHT)):
        np.testing.assert_allclose(np.median(texture[rows, columns][side], axis=0), colour, atol=0.03)


def test_a_ply_has_no_texture_and_a_missing_library_is_named(
    sphere_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "xatlas", None)
    with pytest.raises(
        InputError, match=r"texture: needs xatlas; install it with: pip install 'latentfields\[texture\]'"
    ):
        require_xatlas()
    monkeypatch.setitem(sys.modules, "xatlas", sys)
    with pytest.raises(InputError, match=r"texture: is asked for in .*m\.ply; expected a file that ends in"):
        export_mesh(sphere_run, sphere_run.views, out=tmp_path / "m.ply", options=MeshConfig(texture=64))
    assert not list(tmp_path.iterdir())
