"""Meshes of a sphere in closed form, read back without the library that wrote them."""

from __future__ import annotations

import json
import struct
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import plyfile
import pytest
import torch
import trimesh
from numpy.typing import NDArray

from helpers.analytic_run import CENTER, DENSEST, LEFT, RADIUS, RIGHT, SCALE
from latentfields.errors import InputError
from latentfields.export.config import MeshConfig
from latentfields.export.density_lattice import density_lattice
from latentfields.export.mesh import export_mesh, turned_to_y, upwards, write_mesh
from latentfields.export.surface import Surface, extract_surface
from latentfields.latent_nerf.model import LatentNerf
from latentfields.latent_nerf.run import Run
from latentfields.scenes.objects.mesh_files import load_mesh
from latentfields.scenes.objects.textures import srgb_to_linear

WORLD_RADIUS = RADIUS / SCALE
OPTIONS = MeshConfig(resolution=48, threshold=DENSEST / 2, views=10)


def read_ply(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    vertex = plyfile.PlyData.read(path)["vertex"]
    positions = np.stack([vertex[axis] for axis in "xyz"], axis=1)
    return positions, np.stack([vertex[name] for name in ("red", "green", "blue")], axis=1) / 255


def read_obj(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    lines = [line.split()[1:] for line in path.read_text().splitlines() if line.startswith("v ")]
    table = np.array(lines, dtype=float)
    return table[:, :3], table[:, 3:6]


def read_glb(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    data = path.read_bytes()
    magic, version, length = struct.unpack_from("<4sII", data)
    assert (magic, version, length) == (b"glTF", 2, len(data))
    (size,) = struct.unpack_from("<I", data, 12)
    header, binary = json.loads(data[20 : 20 + size]), data[28 + size :]
    attributes = header["meshes"][0]["primitives"][0]["attributes"]

    def values(name: str) -> NDArray[np.float64]:
        accessor = header["accessors"][attributes[name]]
        view = header["bufferViews"][accessor["bufferView"]]
        kind = {5126: "<f4", 5121: "u1"}[accessor["componentType"]]
        columns = {"VEC3": 3, "VEC4": 4}[accessor["type"]]
        start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
        flat = np.frombuffer(binary, kind, count=accessor["count"] * columns, offset=start)
        return flat.reshape(-1, columns).astype(np.float64)

    return values("POSITION"), values("COLOR_0")[:, :3] / 255


READERS = {".ply": read_ply, ".obj": read_obj, ".glb": read_glb}


@pytest.mark.parametrize("suffix", READERS)
def test_a_sphere_keeps_its_place_size_and_colours(sphere_run: Run, tmp_path: Path, suffix: str) -> None:
    file = tmp_path / "new" / f"mesh{suffix}"
    assert sphere_run.views is not None
    summary = export_mesh(sphere_run, sphere_run.views, out=file, options=OPTIONS)
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    positions, colors = READERS[suffix](file)
    assert len(positions) == len(colors) == summary.vertices > 1000
    offsets = positions - CENTER.numpy()
    np.testing.assert_allclose(np.linalg.norm(offsets, axis=1), WORLD_RADIUS, rtol=0.005)
    # Away from the border between the colours, and from where pictures 32 pixels wide are blurred over it.
    for side, color in ((-1, LEFT), (1, RIGHT)):
        expected = srgb_to_linear(np.array(color)) if suffix == ".glb" else np.array(color)
        clear = side * offsets[:, 0] > 0.35 * WORLD_RADIUS
        np.testing.assert_allclose(np.median(colors[clear], axis=0), expected, atol=0.01)
        assert np.abs(colors[clear] - expected).max() < 0.15


def test_a_mesh_is_closed_and_turned_outwards(sphere_run: Run, tmp_path: Path) -> None:
    assert sphere_run.views is not None
    export_mesh(sphere_run, sphere_run.views, out=tmp_path / "mesh.ply", options=OPTIONS)
    mesh = trimesh.load_mesh(tmp_path / "mesh.ply")
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(4 / 3 * np.pi * WORLD_RADIUS**3, rel=0.01)


def test_the_default_threshold_lies_on_the_surface(sphere_run: Run, tmp_path: Path) -> None:
    assert sphere_run.views is not None
    options = replace(OPTIONS, threshold=None)
    summary = export_mesh(sphere_run, sphere_run.views, out=tmp_path / "mesh.ply", options=options)
    assert 0 < summary.threshold < DENSEST
    positions, _ = read_ply(tmp_path / "mesh.ply")
    radius = np.linalg.norm(positions - CENTER.numpy(), axis=1)
    # The shell in which the density rises is 0.08 thick.
    np.testing.assert_allclose(radius * SCALE, RADIUS, atol=0.04)


def test_the_lattice_holds_the_density_where_rendering_looks(sphere_run: Run) -> None:
    lattice = density_lattice(sphere_run, resolution=40)
    shape = lattice.density.shape
    assert max(shape) < 40
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1).reshape(-1, 3)
    points = torch.from_numpy(lattice.lower + lattice.step * index).float()
    assert isinstance(sphere_run.model, LatentNerf)
    field = sphere_run.model.field
    np.testing.assert_allclose(lattice.density.ravel(), field.density(points).numpy(), atol=1e-3)
    outside = torch.rand(2000, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
    upper = lattice.lower + lattice.step * np.array(shape)
    beyond = ((outside.numpy() < lattice.lower) | (outside.numpy() > upper)).any(1)
    assert float(field.density(outside[torch.from_numpy(beyond)]).max()) == 0


def test_a_surface_is_closed_where_the_box_ends(sphere_run: Run) -> None:
    lattice = density_lattice(sphere_run, resolution=16)
    full = replace(lattice, density=np.ones((4, 5, 6), np.float32))
    surface = extract_surface(full, threshold=0.5)
    mesh = trimesh.Trimesh(surface.vertices, surface.faces, process=False)
    assert mesh.is_watertight
    assert mesh.volume > 0
    np.testing.assert_allclose(np.linalg.norm(surface.normals(), axis=1), 1)


@pytest.mark.parametrize(
    ("options", "name", "problem"),
    [
        (replace(OPTIONS, resolution=4), "m.ply", "resolution: is 4; expected 8 to 1024"),
        (replace(OPTIONS, views=0), "m.ply", "views: is 0; expected at least 1"),
        (replace(OPTIONS, threshold=-1.0), "m.ply", "threshold: is -1.0; expected more than 0"),
        (replace(OPTIONS, threshold=float("nan")), "m.ply", "threshold: is nan"),
        (replace(OPTIONS, threshold=1e6), "m.ply", "threshold: is 1e.06, but the density is nowhere above"),
        (OPTIONS, "m.stl", r"m\.stl: expected a file that ends in \.ply, \.obj, \.glb"),
    ],
)
def test_unusable_options_get_one_line(
    sphere_run: Run, tmp_path: Path, options: MeshConfig, name: str, problem: str
) -> None:
    assert sphere_run.views is not None
    with pytest.raises(InputError, match=problem):
        export_mesh(sphere_run, sphere_run.views, out=tmp_path / name, options=options)
    assert not list(tmp_path.iterdir())


def test_a_field_without_density_and_a_missing_library_are_named(
    sphere_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sphere_run.views is not None
    with monkeypatch.context() as patch:
        patch.setitem(sphere_run.model._modules, "field", torch.nn.Linear(1, 1))
        with pytest.raises(InputError, match="has the field triplane, which has no density"):
            export_mesh(sphere_run, sphere_run.views, out=tmp_path / "m.ply", options=OPTIONS)
    monkeypatch.setitem(sys.modules, "skimage.measure", None)
    with pytest.raises(
        InputError, match=r"needs scikit-image; install it with: pip install 'latentfields\[export\]'"
    ):
        export_mesh(sphere_run, sphere_run.views, out=tmp_path / "m.ply", options=OPTIONS)


def test_glb_stands_upright(tmp_path: Path) -> None:
    """Three bars along the axes of a capture whose z is up, in red, green and blue: blue stands, as glTF has y up."""
    bars = [trimesh.creation.box((0.2, 0.2, 0.2)) for _ in range(3)]
    for axis, bar in enumerate(bars):
        bar.vertices[:, axis] = bar.vertices[:, axis] * 5 + 0.5
    whole: Any = trimesh.util.concatenate(bars)
    colors = np.repeat(255 * np.eye(3, dtype=np.uint8), [len(bar.vertices) for bar in bars], axis=0)
    surface = Surface(np.array(whole.vertices), np.array(whole.faces, np.int32))
    write_mesh(tmp_path / "axes.glb", surface, colors, up=np.array([0.0, 0.0, 1.0]))
    loaded = trimesh.load_scene(tmp_path / "axes.glb").to_mesh()
    tops = {
        tuple(color): loaded.vertices[(loaded.visual.vertex_colors[:, :3] == color).all(axis=1)].max(axis=0)
        for color in (255 * np.eye(3, dtype=np.uint8))
    }
    np.testing.assert_allclose(tops[255, 0, 0], [1.0, 0.1, 0.1], atol=1e-6)
    np.testing.assert_allclose(tops[0, 0, 255], [0.1, 1.0, 0.1], atol=1e-6)
    # Green, the capture's y, points away from the viewer: to -z, which leaves a right-handed frame.
    green = loaded.vertices[(loaded.visual.vertex_colors[:, :3] == [0, 255, 0]).all(axis=1)]
    np.testing.assert_allclose(green.min(axis=0), [-0.1, -0.1, -1.0], atol=1e-6)
    # The package's own reader, whose world has z up, sees the capture's axes again.
    again = load_mesh(tmp_path / "axes.glb")
    np.testing.assert_allclose(np.sort(again.vertices, axis=0), np.sort(surface.vertices, axis=0), atol=1e-6)


@pytest.mark.parametrize(
    "direction", [(0, 0, 1), (0, -1, 0), (0, 1, 0), (1, 0, 0), (0.6, 0.0, 0.8), (0, -0.999, 0.04471)]
)
def test_every_direction_is_turned_up(direction: tuple[float, float, float]) -> None:
    up = np.array(direction, dtype=float) / np.linalg.norm(direction)
    matrix = turned_to_y(up)
    np.testing.assert_allclose(matrix[:3, :3] @ up, [0, 1, 0], atol=1e-9)
    np.testing.assert_allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-9)
    assert np.linalg.det(matrix) == pytest.approx(1)


def test_up_is_the_axis_that_pictures_say(sphere_run: Run) -> None:
    assert sphere_run.views is not None
    cameras = sphere_run.views.cameras
    assert upwards(cameras, "auto").tolist() == [0, 0, 1]
    assert upwards(cameras, "-y").tolist() == [0, -1, 0]
    tilted = torch.eye(4)
    tilted[1:3, 1:3] = torch.tensor([[0.7071, -0.7071], [0.7071, 0.7071]])
    np.testing.assert_allclose(upwards(cameras.transformed(tilted), "auto"), [0, -0.7071, 0.7071], atol=0.05)
