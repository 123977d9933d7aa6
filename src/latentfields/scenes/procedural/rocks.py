"""Boulders."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from latentfields.scenes.objects.meshes import Material, Mesh
from latentfields.scenes.objects.textures import srgb_to_linear
from latentfields.scenes.procedural.canvas import Array, blend
from latentfields.scenes.procedural.noise import solid_noise
from latentfields.scenes.procedural.painting import dyed
from latentfields.scenes.procedural.palettes import named_palette, oklch, random_palette
from latentfields.scenes.procedural.shapes import lathe, placed
from latentfields.scenes.procedural.triangles import grid_triangles, part, smooth_normals, unit_vectors

_ROCKS = (
    (0.55, 0.01, 250),
    (0.62, 0.04, 70),
    (0.45, 0.05, 40),
    (0.70, 0.03, 95),
    (0.40, 0.02, 280),
    (0.60, 0.08, 45),
)


def rock(random: np.random.Generator) -> list[Mesh]:
    """One to three boulders, layered, veined, speckled or mossy; sometimes with crystals."""
    colors = named_palette(random, _ROCKS)
    count = int(random.choice([1, 1, 1, 2, 3]))
    style = str(random.choice(["layers", "veins", "speckles", "moss"]))
    crystals = random.random() < 0.25
    accent = random_palette(random)[0]
    parts = [_boulder(random, colors, accent, style, detail=72 if count == 1 else 48)]
    for _ in range(count - 1):
        small = _boulder(random, colors, accent, style, detail=40)
        turn = random.uniform(0, 2 * np.pi)
        parts.append(
            placed(
                small, scale=random.uniform(0.35, 0.6), move=(1.1 * np.cos(turn), 1.1 * np.sin(turn), -0.35)
            )
        )
    return parts + (_crystals(random, accent) if crystals else [])


def _boulder(random: np.random.Generator, colors: Array, accent: Array, style: str, *, detail: int) -> Mesh:
    """A cube blown up to a sphere, pushed in and out by noise, cut by planes, coloured at its vertices."""
    mesh = _sphere(detail)
    direction = mesh.vertices.astype(np.float64)
    radius = 1 + 0.16 * solid_noise(random, direction, cells=1.1, octaves=5)
    for _ in range(int(random.integers(3, 9))):  # flat faces, as where stone has broken
        normal = random.normal(size=3)
        normal /= np.linalg.norm(normal)
        reach = random.uniform(0.6, 0.85) / np.maximum(direction @ normal, 1e-3)
        radius = np.minimum(radius, np.where(direction @ normal > 0, reach, np.inf))
    radius += 0.02 * solid_noise(random, direction, cells=5.0, octaves=2)
    points = direction * radius[:, None] * random.uniform(0.65, 1.15, 3) * [1, 1, 0.9]
    rgb = _rock_colors(random, points, direction, colors, accent, style)
    rgba = np.concatenate([srgb_to_linear(np.clip(rgb, 0, 1)), np.ones((len(rgb), 1))], axis=1)
    return replace(
        mesh,
        vertices=points.astype(np.float32),
        colors=rgba.astype(np.float32),
        normals=unit_vectors(smooth_normals(points, mesh.faces.astype(np.int64))).astype(np.float32),
    )


def _rock_colors(
    random: np.random.Generator, points: Array, direction: Array, colors: Array, accent: Array, style: str
) -> Array:
    clouds = solid_noise(random, points, cells=1.5, octaves=5)
    base = blend(colors[1], colors[2], 0.5 + 0.35 * clouds)
    if style == "layers":
        tilt = random.normal(size=3) * [0.3, 0.3, 1]
        height = points @ tilt * random.uniform(4, 8) + 0.6 * clouds
        table = random.permutation(len(colors))[np.floor(height).astype(int) % 4]
        layered: Array = 0.35 * base + 0.65 * colors[table]
        return layered
    if style == "veins":
        vein = np.abs(np.sin(2.5 * points[:, 0] + 2 * points[:, 2] + 1.6 * clouds))
        return blend(0.5 * accent + 0.5 * colors[4], base, vein * 5)
    if style == "speckles":
        grain = solid_noise(random, points, cells=7.0, octaves=1)
        image = np.where((grain > 0.8)[:, None], colors[4], base)
        return np.where((grain < -0.9)[:, None], 0.4 * colors[3] + 0.3 * accent, image)
    moss = oklch(random.uniform(0.45, 0.65), 0.11, random.uniform(110, 140))
    cover = direction[:, 2] + 0.35 * solid_noise(random, points, cells=3.0)
    return blend(base, moss * (1 + 0.12 * clouds[:, None]), (cover - random.uniform(0.0, 0.4)) * 6)


def _sphere(detail: int) -> Mesh:
    """A unit sphere from the six sides of a cube with `detail` / 2 cells along an edge, vertices spread
    evenly.
    """
    ticks = np.tan(np.linspace(-np.pi / 4, np.pi / 4, detail // 2 + 1))
    side = np.stack([*np.meshgrid(ticks, ticks), np.ones((len(ticks), len(ticks)))], axis=-1).reshape(-1, 3)
    # Even permutations and the half turn keep the winding: every side faces outwards.
    sides = [
        side[:, order] * flip
        for order in ([0, 1, 2], [2, 0, 1], [1, 2, 0])
        for flip in ([1, 1, 1], [-1, 1, -1])
    ]
    every = np.concatenate([grid_triangles(len(ticks), len(ticks)) + k * len(side) for k in range(6)])
    welded, index = np.unique(np.round(np.concatenate(sides), 9), axis=0, return_inverse=True)
    points = unit_vectors(welded.astype(np.float64))
    return part(points, np.reshape(index, -1)[every], points, np.zeros((len(points), 2)), Material())


def _crystals(random: np.random.Generator, color: Array) -> list[Mesh]:
    parts = []
    material = Material(texture=dyed(random, color, mottle=0.2).texture, emission=(0.06, 0.06, 0.06))
    for _ in range(int(random.integers(4, 9))):
        size, tall = random.uniform(0.08, 0.18), random.uniform(0.5, 1.0)
        shaft = [[size, 0.0], [size, 0.0], [size * 0.9, 0.7 * tall], [size * 0.9, 0.7 * tall], [0.0, tall]]
        crystal = lathe(shaft, material=material, segments=6)
        crystal = replace(crystal, normals=np.zeros_like(crystal.normals))
        parts.append(
            placed(
                crystal,
                turn=(random.uniform(-35, 35), random.uniform(-35, 35), 0),
                move=(*random.uniform(-0.35, 0.35, 2), 0.35),
            )
        )
    return parts
