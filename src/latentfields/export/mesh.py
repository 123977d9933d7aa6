"""A fitted scene as a triangle mesh with coloured vertices, in the capture's own coordinates."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import trimesh
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from trimesh.exchange.obj import export_obj
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial, SimpleMaterial

from latentfields.cameras import Cameras
from latentfields.config.arguments import checked
from latentfields.errors import ArgumentError, InputError
from latentfields.export.config import MeshConfig, Up
from latentfields.export.density_lattice import density_lattice, density_model
from latentfields.export.surface import Surface, extract_surface, require_marching_cubes
from latentfields.export.texture import Unwrapped, paint, require_xatlas, unwrap
from latentfields.export.vertex_colors import blend_views
from latentfields.export.visible_surface import rendered_distance
from latentfields.export.world import points_to_world, state_shift, world_shift
from latentfields.files import replacing
from latentfields.latent_nerf.render import run_views
from latentfields.latent_nerf.run import Run
from latentfields.latent_nerf.scene_cameras import SceneCameras
from latentfields.progress import watched
from latentfields.rendering.rendering import Rendering
from latentfields.scenes.objects.textures import srgb_to_linear
from latentfields.scenes.selection import evenly_spread

FORMATS = (".ply", ".obj", ".glb")
TEXTURED = (".obj", ".glb")
NEAR_AXIS = 0.9
"""Cosine of the angle, 26 degrees, within which what is up in pictures is taken for an axis."""
BATCH = 8
"""Views that are rendered at a time."""
LEVEL = 0.5
"""Density of the surface, as a share of the median density at rendered depths: rays stop a little behind the surface.
On a generated vase, whose depth is known, shares of 0.3 to 0.7 (K-Planes) and 0.4 to 0.8 (Instant-NGP) do best."""


@dataclass(frozen=True)
class MeshSummary:
    """A summary of what was written."""

    file: Path
    vertices: int
    triangles: int
    threshold: float
    """Density of the surface, per unit length of the normalised frame."""
    texture: int | None = None
    """Side of its texture in pixels; None where vertices have colours."""


@checked
def export_mesh(
    run: Run | str | Path,
    views: SceneCameras | None = None,
    *,
    out: str | Path,
    options: MeshConfig | None = None,
) -> MeshSummary:
    """Write the surface of a run's density as PLY, OBJ or GLB, by the end of the name, replaced in one step.

    `run` is a run, its folder or its file; `views` are by default the cameras of its scene, `run_views`.
    Vertices are in the capture's coordinates and axes, less the shift that a file beside states where those are large
    (`world.shift_file`); colours are sRGB, in GLB linear, as its standard says. With `options.texture` they are in a
    picture instead: inside of the GLB, or NAME.png and NAME.mtl beside the OBJ. Raises InputError for unusable
    options, fields without density, and when there is no surface.
    """
    run, out, options = Run.opened(run), Path(out), options or MeshConfig()
    views = run_views(run) if views is None else views
    if out.suffix not in FORMATS:
        raise InputError(out, f"expected a file that ends in {', '.join(FORMATS)}")
    options.check()
    if options.texture is not None:
        require_xatlas()
        if out.suffix not in TEXTURED:
            raise ArgumentError(
                "texture", f"is asked for in {out}; expected a file that ends in .obj or .glb"
            )
    density_model(run)
    require_marching_cubes()
    cameras = views.cameras[evenly_spread(views.splits["train"], options.views)]
    images, seen = _rendered(run, cameras)
    threshold = options.threshold or surface_density(run, cameras, seen)
    lattice = density_lattice(run, resolution=options.resolution)
    surface = extract_surface(lattice, threshold=threshold)
    colors = blend_views(surface, cameras, images, seen.opacity, slack=2 * lattice.step)
    vertices = points_to_world(run.frame, surface.vertices)
    shift = world_shift(vertices)
    up = upwards(views.cameras, options.up)
    moved = Surface(vertices - shift, surface.faces)
    if options.texture is None:
        write_mesh(out, moved, colors, up=up)
    else:
        unwrapped = unwrap(surface, side=options.texture)
        texture = paint(
            surface,
            unwrapped,
            colors,
            cameras,
            images,
            seen.opacity,
            slack=2 * lattice.step,
            side=options.texture,
        )
        write_textured_mesh(out, moved, unwrapped, texture, up=up)
    state_shift(out, shift)
    return MeshSummary(out, len(surface.vertices), len(surface.faces), threshold, options.texture)


def _rendered(run: Run, cameras: Cameras) -> tuple[Tensor, Rendering]:
    """As `SceneModel.render`, with a bar."""
    starts = range(0, len(cameras), BATCH)
    parts = [
        run.model.pictures.render(cameras[start : start + BATCH])
        for start in watched(starts, "views", total=len(starts), unit="batch")
    ]
    return torch.cat([images for images, _ in parts]), Rendering.joined([seen for _, seen in parts])


@torch.no_grad()
def surface_density(run: Run, cameras: Cameras, seen: Rendering) -> float:
    """The default threshold: `LEVEL` times the median density where the rays of rendered views stop.

    Raises InputError when no ray is stopped.
    """
    rays, distance = rendered_distance(run, cameras, seen)
    hit = distance.isfinite()
    if not hit.any():
        raise ArgumentError("threshold", "no training view shows anything solid; give a density")
    points: Tensor = rays.origins[hit] + rays.directions[hit] * distance[hit][:, None]
    # Walls behind an object without bounds are no part of the mesh.
    inside = points[points.abs().amax(dim=-1) <= 1]
    if not len(inside):
        raise ArgumentError("threshold", "no training view shows anything solid in the box; give a density")
    densities = density_model(run).density(inside.to(run.model.device))
    return LEVEL * float(densities.median())


def upwards(cameras: Cameras, up: Up) -> NDArray[np.float64]:
    """The unit direction (3,) that is up: an axis, or for "auto" what the cameras say, which is an axis if one is near.

    Normalisation turns nothing: the direction is the same in the capture and in the normalised frame.
    """
    if up != "auto":
        axis: NDArray[np.float64] = np.eye(3)["xyz".index(up[-1])]
        return -axis if up.startswith("-") else axis
    seen: NDArray[np.float64] = cameras.mean_up.double().cpu().numpy()
    nearest = int(np.abs(seen).argmax())
    if abs(seen[nearest]) >= NEAR_AXIS:
        axis = np.zeros(3)
        axis[nearest] = np.sign(seen[nearest])
        return axis
    return seen


def turned_to_y(up: NDArray[np.float64]) -> NDArray[np.float64]:
    """The smallest rotation (4, 4) that takes the unit direction `up` (3,) to y; half a turn about x for -y."""
    rotation: NDArray[np.float64] = np.diag([1.0, -1.0, -1.0, 1.0])
    if up[1] < -1 + 1e-9:
        return rotation
    rotation = np.eye(4)
    axis = np.cross(up, [0.0, 1.0, 0.0])
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    rotation[:3, :3] += cross + cross @ cross / (1 + up[1])
    return rotation


def write_mesh(path: Path, surface: Surface, colors: NDArray[np.uint8], *, up: NDArray[np.float64]) -> None:
    """Write a surface with the sRGB colours (V, 3) of its vertices in the format that the name ends in.

    In GLB, whose y is up by its standard, the node of the mesh turns the direction `up` there; positions of vertices
    are as in the other formats.
    """
    if path.suffix == ".glb":
        colors = np.rint(255 * srgb_to_linear(colors / np.float32(255))).astype(np.uint8)
    mesh = trimesh.Trimesh(surface.vertices, surface.faces, vertex_colors=colors, process=False)
    with replacing(path) as temporary:
        whole = _upright(mesh, up) if path.suffix == ".glb" else mesh
        whole.export(temporary, file_type=path.suffix.removeprefix("."))


def write_textured_mesh(
    path: Path,
    surface: Surface,
    unwrapped: Unwrapped,
    texture: NDArray[np.uint8],
    *,
    up: NDArray[np.float64],
) -> None:
    """Write an unwrapped surface with its texture (S, S, 3), sRGB, as GLB or OBJ; the rest as `write_mesh`.

    Beside an OBJ lie NAME.mtl and NAME.png, which are written first.
    """
    picture = Image.fromarray(texture)
    material = (
        PBRMaterial(name=path.stem, baseColorTexture=picture, metallicFactor=0.0, roughnessFactor=1.0)
        if path.suffix == ".glb"
        else SimpleMaterial(name=path.stem, image=picture)
    )
    mesh = trimesh.Trimesh(surface.vertices[unwrapped.source], unwrapped.faces, process=False)
    mesh.visual = TextureVisuals(uv=unwrapped.uv, material=material)
    if path.suffix == ".glb":
        with replacing(path) as temporary:
            _upright(mesh, up).export(temporary, file_type="glb")
        return
    text, beside = export_obj(mesh, return_texture=True, mtl_name=f"{path.stem}.mtl")
    for name, content in {**beside, path.name: text.encode()}.items():
        with replacing(path.with_name(name)) as temporary:
            temporary.write_bytes(content)


def _upright(mesh: trimesh.Trimesh, up: NDArray[np.float64]) -> trimesh.Scene:
    """A scene of the mesh, whose node turns the direction `up` to y."""
    scene = trimesh.Scene()
    scene.add_geometry(mesh, node_name="mesh", transform=turned_to_y(up))
    return scene
