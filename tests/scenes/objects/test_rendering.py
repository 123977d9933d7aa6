import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from helpers.mesh_samples import BLUE, RED, camera_at, cube, glowing, mesh_of, quad, sphere, world_points
from latentfields.cameras import Cameras
from latentfields.scenes.objects.meshes import Material, Mesh, concatenate
from latentfields.scenes.objects.placement import sphere_cameras
from latentfields.scenes.objects.rendering import MeshRenderer, RenderedView

ABOVE = camera_at((0.0, 0.0, 1.0))


def render(mesh: Mesh, camera: Cameras = ABOVE, samples: int = 3) -> RenderedView:
    (view,) = MeshRenderer(mesh).render(camera, samples=samples)
    return view


def test_sphere_has_the_analytic_silhouette_and_depth() -> None:
    radius, size = 0.4, 96
    camera = camera_at((0.3, -1.0, 0.6), size=size)
    distance = float(camera.centers.norm())
    view = render(sphere(radius, subdivisions=5), camera)
    focal = float(camera.focal[0, 0])
    outline = focal * radius / math.sqrt(distance**2 - radius**2)
    assert view.rgba[..., 3].sum() / 255 == pytest.approx(math.pi * outline**2, rel=0.005)
    rows, columns = np.mgrid[0:size, 0:size] + 0.5
    from_center = np.hypot(rows - size / 2, columns - size / 2)
    assert (view.rgba[from_center < outline - 1, 3] == 255).all()
    assert (view.rgba[from_center > outline + 1, 3] == 0).all()
    # The nearer root of |t d - c|^2 = r^2 along each ray, times its cosine to the axis.
    cosine = 1 / np.sqrt(1 + (from_center / focal) ** 2)
    along = distance * cosine
    inside = from_center < outline - 2
    expected = (along - np.sqrt(np.clip(along**2 - distance**2 + radius**2, 0, None))) * cosine
    np.testing.assert_allclose(view.depth[inside], expected[inside], atol=2e-3)
    assert np.isinf(view.depth[from_center > outline + 1]).all()


def test_depth_of_a_cube_lies_on_its_faces() -> None:
    half = 0.25
    cameras = sphere_cameras(6, distance=1.3, size=48, field_of_view=45.0, seed=3)
    for index, view in enumerate(MeshRenderer(cube(half)).render(cameras, samples=1)):
        points = world_points(cameras[index : index + 1], view.depth)
        assert len(points) > 100
        np.testing.assert_allclose(np.abs(points).max(axis=1), half, atol=2e-6)


def test_pixels_reproject_between_views() -> None:
    cameras = sphere_cameras(8, distance=1.3, size=64, field_of_view=45.0, seed=1)
    directions = cameras.centers / cameras.centers.norm(dim=1, keepdim=True)
    # Two views of neighbouring directions share most of the surface.
    second = int(torch.topk(directions @ directions[0], 2).indices[1])
    views = list(MeshRenderer(cube(0.25)).render(cameras, samples=1))
    points = world_points(cameras[:1], views[0].depth)
    # On a convex body a point is seen exactly when its face is turned to the camera.
    face = np.abs(points).argmax(axis=1)
    outwards = np.sign(points[np.arange(len(points)), face])
    to_camera = cameras.centers[second].numpy() - points
    points = points[outwards * to_camera[np.arange(len(points)), face] > 0.1]
    positions, depth = cameras[second : second + 1].project(torch.from_numpy(points).float())
    compared = 0
    for (x, y), z in zip((positions[0] - 0.5).tolist(), depth[0].tolist(), strict=True):
        column, row = math.floor(x), math.floor(y)
        patch = 1 / views[second].depth[row : row + 2, column : column + 2]
        # On a plane inverse depth is linear in the image: skip points beside an edge of the cube.
        if patch.min() == 0 or abs(patch[0, 0] + patch[1, 1] - patch[0, 1] - patch[1, 0]) > 1e-5:
            continue
        fx, fy = x - column, y - row
        inverse = (patch[0] * (1 - fy) + patch[1] * fy) @ [1 - fx, fx]
        assert 1 / inverse == pytest.approx(z, abs=2e-5)
        compared += 1
    assert compared > 100


@pytest.mark.parametrize(("samples", "tolerance"), [(1, 0.25), (2, 0.1), (3, 0.1)])
def test_pictures_have_no_pixel_offset(samples: int, tolerance: float) -> None:
    cameras = sphere_cameras(4, distance=1.3, size=128, field_of_view=49.13, seed=0)
    center = (0.2, -0.1, 0.15)
    positions, _ = cameras.project(torch.tensor([center]))
    rows, columns = np.mgrid[0:128, 0:128] + 0.5
    ball = sphere(0.03, center=center)
    for expected, view in zip(
        positions[:, 0], MeshRenderer(ball).render(cameras, samples=samples), strict=True
    ):
        weight = view.rgba[..., 3] / view.rgba[..., 3].sum()
        assert (weight * columns).sum() == pytest.approx(float(expected[0]), abs=tolerance)
        assert (weight * rows).sum() == pytest.approx(float(expected[1]), abs=tolerance)


def test_texture_keeps_its_colours_and_its_orientation() -> None:
    texture = np.zeros((64, 64, 4), np.uint8)
    blocks = {(0, 0): (200, 10, 30), (0, 1): (20, 180, 60), (1, 0): (90, 90, 250), (1, 1): (240, 220, 40)}
    for (row, column), color in blocks.items():
        texture[32 * row : 32 * row + 32, 32 * column : 32 * column + 32] = (*color, 255)
    material = Material(color=(0, 0, 0, 1), emission=(1, 1, 1), emission_texture=texture)
    view = render(quad(material))
    for (row, column), color in blocks.items():
        pixel = view.rgba[24 + 16 * row, 24 + 16 * column]
        assert pixel.tolist() == [*color, 255]


def test_minified_texture_is_averaged_in_linear_light() -> None:
    texture = np.full((256, 256, 4), 255, np.uint8)
    texture[(np.indices((256, 256)).sum(axis=0) % 2 == 0), :3] = 0
    material = Material(color=(0, 0, 0, 1), emission=(1, 1, 1), emission_texture=texture)
    inner = render(quad(material), samples=1).rgba[28:36, 28:36, :3]
    # Half of the light is the sRGB byte 188; unfiltered sampling would give 0 and 255.
    assert np.abs(inner.astype(int) - 188).max() <= 1


def test_base_colour_multiplies_texture_factor_and_vertex_colour() -> None:
    texture = np.full((4, 4, 4), 255, np.uint8)
    plain = quad(Material(texture=texture))
    tinted = replace(
        quad(Material(texture=texture, color=(0.5, 1.0, 1.0, 1.0))),
        colors=np.tile(np.array([1.0, 0.5, 1.0, 1.0], np.float32), (4, 1)),
    )
    white, color = (render(mesh).rgba[32, 32, :3] / 255 for mesh in (plain, tinted))
    linear = ((color + 0.055) / 1.055) ** 2.4 / ((white + 0.055) / 1.055) ** 2.4
    np.testing.assert_allclose(linear, [0.5, 0.5, 1.0], atol=0.01)


def test_edges_are_averaged_premultiplied() -> None:
    view = render(quad(glowing(RED), half=0.2565), samples=4)
    edge = (view.rgba[..., 3] > 0) & (view.rgba[..., 3] < 255)
    assert edge.any()
    assert (view.rgba[view.rgba[..., 3] > 0][:, :3] == (255, 0, 0)).all()
    assert (view.rgba[view.rgba[..., 3] == 0] == 0).all()


def test_mask_cuts_holes_into_colour_and_depth() -> None:
    texture = np.full((8, 8, 4), 255, np.uint8)
    texture[:, :4, 3] = 100
    view = render(quad(Material(texture=texture, alpha_mode="mask", alpha_cutoff=0.5)))
    assert (view.rgba[20:44, 18:28, 3] == 0).all()
    assert np.isinf(view.depth[20:44, 18:28]).all()
    assert (view.rgba[20:44, 36:46, 3] == 255).all()
    np.testing.assert_allclose(view.depth[20:44, 36:46], 1.0, atol=1e-6)


def test_opaque_materials_ignore_alpha() -> None:
    texture = np.zeros((4, 4, 4), np.uint8)
    assert render(quad(Material(texture=texture))).rgba[32, 32, 3] == 255


@pytest.mark.parametrize(("alpha", "depth"), [(0.75, 0.9), (0.25, 1.0)])
def test_blended_surfaces_let_light_through(alpha: float, depth: float) -> None:
    both = concatenate("both", [quad(glowing(BLUE)), quad(glowing(RED, alpha=alpha), z=0.1)])
    view = render(both)
    expected = [255 * (1.055 * share ** (1 / 2.4) - 0.055) for share in (alpha, 1 - alpha)]
    assert view.rgba[32, 32, 3] == 255
    np.testing.assert_allclose(view.rgba[32, 32, [0, 2]], expected, atol=1)
    assert view.depth[32, 32] == pytest.approx(depth, abs=1e-5)


def test_a_lone_blended_surface_keeps_its_colour() -> None:
    view = render(quad(glowing(RED, alpha=0.25)))
    assert view.rgba[32, 32].tolist() == [255, 0, 0, 64]
    assert np.isinf(view.depth).all()


def test_surfaces_are_lit_alike_whatever_their_winding() -> None:
    mesh = quad(Material())
    turned = replace(mesh, faces=np.ascontiguousarray(mesh.faces[:, ::-1]))
    np.testing.assert_array_equal(render(mesh).rgba, render(turned).rgba)


def test_light_comes_from_above_and_is_fixed_in_the_world() -> None:
    above = render(quad(Material())).rgba[32, 32, 0]
    below = render(quad(Material()), camera_at((0.0, 0.0, -1.0))).rgba[32, 32, 0]
    assert above > below + 40
    slanted = render(quad(Material()), camera_at((0.5, 0.3, 0.9))).rgba[32, 32, 0]
    assert slanted == above


def test_smooth_normals_remove_facets() -> None:
    ball = sphere(0.4, subdivisions=2)
    flat = replace(ball, normals=np.zeros_like(ball.normals))
    reference = render(sphere(0.4, subdivisions=5)).rgba[20:44, 20:44, 0].astype(int)
    smooth, faceted = (
        np.abs(render(mesh).rgba[20:44, 20:44, 0].astype(int) - reference).mean() for mesh in (ball, flat)
    )
    assert smooth < 0.5 < faceted


def test_rendering_is_deterministic() -> None:
    cameras = sphere_cameras(2, distance=1.3, size=32, field_of_view=49.13, seed=5)
    first, second = (list(MeshRenderer(sphere(0.4)).render(cameras)) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        assert a.rgba.tobytes() == b.rgba.tobytes()
        assert a.depth.tobytes() == b.depth.tobytes()


def test_degenerate_faces_do_no_harm() -> None:
    mesh = mesh_of(
        [[-0.2, -0.2, 0], [0.2, -0.2, 0], [0.0, 0.2, 0], [0, 0, 0.1]], [[0, 1, 2], [3, 3, 3], [0, 0, 1]]
    )
    view = render(mesh)
    assert 0.02 < (view.rgba[..., 3] == 255).mean() < 0.2
