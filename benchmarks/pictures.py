"""`python -m benchmarks.pictures WHAT [NAMES ...] --out FILE`: pictures of the documentation, of runs that there are.

families                    one view of an object of each generated family
spaces [RUN ...]            a test view: the photograph, and what each run renders of it
objects [RUN ...]           the first test view of each scene: the photograph, and what its runs render of it
sizes RUN [RUN ...]         the first test view: as it was fitted to, and at four times the size, for each run
references RUN [RUN ...]    test views: the photograph, what is rendered, and that with four references
latents RUN                 a test view as it is rendered: latents by principal components, depth, opacity, decoded
autoencoders [NAME ...]     a view, its latents and what is decoded of them, in each space
frontier [LABEL=NAME ...]   reconstruction against inconsistency, coloured by noise, of generated objects
orbit RUN                   eight views of a turn
mesh FILE [FILE ...]        mesh files, seen from two sides
finetuning RUN              the first object on the page of `autoencoder finetune-3d`
scenes FOLDER [FOLDER ...]  training views of scenes

Rows of pictures, white between them, as WebP or PNG by the end of the file's name.
"""

from __future__ import annotations

import argparse
import base64
import io
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

import latentfields
from latentfields.export.views import render_depth
from latentfields.latent_nerf.render import load_run_scene, run_references, run_views
from latentfields.pages.pictures import LatentProjection, Pixels, depth_range, depth_to_pixels, to_pixels
from latentfields.scenes.objects.meshes import Mesh
from latentfields.scenes.objects.object_scenes import framed, object_cameras
from latentfields.scenes.objects.rendering import MeshRenderer
from latentfields.scenes.procedural import FAMILIES

GAP, TEXT = 6, 20
"""Pixels between pictures, and the height of a line below each."""

Panel = tuple[str, Pixels]
"""What is written below a picture, and the picture."""


def families(names: Sequence[str]) -> list[list[Panel]]:
    """Two rows of seven."""
    options = latentfields.RenderConfig(views=1, size=128)
    panels = []
    for family in names or FAMILIES:
        camera = object_cameras(options, seed=1)
        mesh = framed(latentfields.generate_object(family, 0), options=options)
        panels.append((family, _seen(mesh, camera)))
    return [panels[:7], panels[7:]]


def spaces(names: Sequence[str]) -> list[list[Panel]]:
    """A row for each of two test views; runs may be of other training views of the same photographs."""
    runs = [latentfields.Run.load(name) for name in names]
    read = [load_run_scene(run) for run in runs]
    first = read[0]
    test = first.indices("test")
    rows = []
    for index in test[[1, len(test) // 2]].tolist():
        row = [("photograph", to_pixels(first.images(torch.tensor([index])))[0])]
        for name, run, scene in zip(names, runs, read, strict=True):
            camera = scene.cameras[scene.image_names.index(first.image_names[index])]
            row.append((f"{Path(name).name}, {_psnr(run):.1f} dB", to_pixels(run.render(camera))[0]))
        rows.append(row)
    return rows


def objects(names: Sequence[str]) -> list[list[Panel]]:
    """A row for each scene that runs were fitted to."""
    rows: dict[str, list[Panel]] = {}
    for name in names:
        run = latentfields.Run.load(name)
        scene = load_run_scene(run)
        index = scene.indices("test")[:1]
        photograph = ("photograph", to_pixels(scene.images(index))[0])
        row = rows.setdefault(str(scene.source), [photograph])
        row.append(
            (f"{Path(name).name}, {_psnr(run):.1f} dB", to_pixels(run.render(scene.cameras[index]))[0])
        )
    return list(rows.values())


def _psnr(run: latentfields.Run) -> float:
    """Of what the run shows: its colours, where it has colours and latents."""
    test = run.metrics["test"]
    psnr: float = test.get("colors", test["images"])["mean"]["psnr"]
    return psnr


def sizes(names: Sequence[str]) -> list[list[Panel]]:
    """A row of runs in the size of their training views, and one at four times that size."""
    rows: list[list[Panel]] = [[], []]
    for name in names:
        run = latentfields.Run.load(name)
        scene = load_run_scene(run)
        camera = scene.cameras[scene.indices("test")[:1]]
        larger = camera.resized(width=4 * camera.width, height=4 * camera.height)
        for row, seen, label in zip(rows, (camera, larger), (Path(name).name, "four times"), strict=True):
            row.append((label, to_pixels(run.render(seen))[0]))
    return rows


def references(names: Sequence[str]) -> list[list[Panel]]:
    """A row for each run: two test views, each as it is, as it is rendered, and with what four photographs add."""
    rows = []
    for run in map(latentfields.Run.load, names):
        scene = load_run_scene(run)
        improve = run_references(run, 4)
        row: list[Panel] = []
        test = scene.indices("test")
        for index in test[[1, len(test) // 2]]:
            truth, camera = scene.images(index[None]), scene.cameras[index[None]]
            row.append(("photograph", to_pixels(truth)[0]))
            for name, images in (
                ("rendered", run.render(camera)),
                ("four references", improve.render(camera)),
            ):
                psnr = float(-10 * (images - truth).square().mean().log10())
                row.append((f"{name}, {psnr:.1f} dB", to_pixels(images)[0]))
        rows.append(row)
    return rows


def latents(names: Sequence[str]) -> list[list[Panel]]:
    """One row."""
    run = latentfields.Run.load(names[0])
    scene = load_run_scene(run)
    camera = scene.cameras[scene.indices("test")[4]]
    with torch.no_grad():
        seen = run.render_latents(camera).latents
    geometry = render_depth(run, camera)
    near, far = depth_range(geometry.depth)
    opacity = geometry.opacity.expand(1, 3, *geometry.opacity.shape[2:])
    return [
        [
            ("latents", LatentProjection.fit(seen).pixels(seen)[0]),
            ("depth, near in red", depth_to_pixels(geometry.depth[0, 0], near=near, far=far)),
            ("opacity", to_pixels(opacity)[0]),
            ("decoded", to_pixels(run.render(camera))[0]),
        ]
    ]


def autoencoders(names: Sequence[str]) -> list[list[Panel]]:
    """A row of latents above one of what is decoded, of one object."""
    with tempfile.TemporaryDirectory() as folder:
        options = latentfields.RenderConfig(views=2, size=128, test_fraction=0.5, val_fraction=0.0)
        latentfields.render_object_scene(
            latentfields.generate_object("vases", 9000), Path(folder) / "vase", options=options, seed=9000
        )
        images = latentfields.load_scene(Path(folder) / "vase").images(torch.tensor([1]))
    above: list[Panel] = [("photograph", to_pixels(images)[0])]
    below: list[Panel] = [("", np.full((128, 128, 3), 255, np.uint8))]
    for name in names:
        autoencoder = latentfields.load_autoencoder(name)
        encoded = autoencoder.encode_batches(images)
        decoded = autoencoder.decode_batches(encoded)
        psnr = float(-10 * (decoded - images).square().mean().log10())
        above.append((f"{name}: latents", LatentProjection.fit(encoded).pixels(encoded)[0]))
        below.append((f"decoded, {psnr:.1f} dB", to_pixels(decoded)[0]))
    return [above, below]


def frontier(names: Sequence[str]) -> list[list[Panel]]:
    """A point for each autoencoder, which is called by its label."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    places = {place: label for label, _, place in (name.rpartition("=") for name in names)}
    found = latentfields.leaderboard(list(places), fit_steps=0)
    figure: Any = Figure(figsize=(7.2, 4.4), dpi=100)
    canvas: Any = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    figure.subplots_adjust(left=0.09, right=1.0, bottom=0.12, top=0.97)
    points = [(standing.score.latents.inconsistency, standing.reconstruction_psnr) for standing in found]
    noise = [standing.score.noise_psnr for standing in found]
    dots = axes.scatter(*zip(*points, strict=True), c=noise, cmap="viridis", s=36)
    for standing, point in zip(found, points, strict=True):
        label = places[standing.name] or standing.name
        axes.annotate(label, point, xytext=(0, 6), textcoords="offset points", ha="center", fontsize=8)
    axes.set(xlabel="inconsistency between views (0 is perfect)", ylabel="reconstruction, dB")
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(0.08)
    figure.colorbar(dots, label="decoded with noise, dB")
    canvas.draw()
    return [[("", np.asarray(canvas.buffer_rgba())[..., :3].copy())]]


def orbit(names: Sequence[str]) -> list[list[Panel]]:
    """Two rows of four."""
    run = latentfields.Run.load(names[0])
    cameras = latentfields.orbit(run_views(run).training_cameras, frames=8)
    pictures = [("", picture) for picture in to_pixels(run.render(cameras))]
    return [pictures[:4], pictures[4:]]


def mesh(names: Sequence[str]) -> list[list[Panel]]:
    """One row, two views a file."""
    row = []
    options = latentfields.RenderConfig(views=8, size=192)
    cameras = object_cameras(options, seed=3)
    for name in names:
        shape = framed(latentfields.load_mesh(name), options=options)
        size = Path(name).stat().st_size / 2**20
        for index in (2, 5):
            row.append((f"{Path(name).name}, {size:.1f} MiB", _seen(shape, cameras[index])))
    return [row]


def finetuning(names: Sequence[str]) -> list[list[Panel]]:
    """The pictures of the first group on the run's page."""
    page = (Path(names[0]) / "report.html").read_text(encoding="utf-8")
    group = page[page.index('<div class="group card">') :].split('<div class="group card">')[1]
    found = re.findall(
        r'src="data:image/\w+;base64,([^"]+)"></div>\s*<figcaption>([^<]*)</figcaption>', group
    )
    panels = []
    for data, label in found:
        with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
            panels.append((label, np.asarray(picture.convert("RGB"))))
    columns = len({label for label, _ in panels})
    return [panels[start : start + columns] for start in range(0, len(panels), columns)]


def scenes(names: Sequence[str]) -> list[list[Panel]]:
    """A row for each scene."""
    rows = []
    for name in names:
        scene = latentfields.load_scene(name, max_size=160)
        train = scene.indices("train")
        chosen = train[torch.linspace(0, len(train) - 1, 7).round().long()]
        rows.append([(scene.image_names[int(i)], to_pixels(scene.images(i[None]))[0]) for i in chosen])
    return rows


def _seen(shape: Mesh, camera: latentfields.Cameras) -> Pixels:
    (view,) = MeshRenderer(shape).render(camera, samples=3)
    alpha = view.rgba[..., 3:] / 255
    blended: Pixels = np.rint(view.rgba[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)
    return blended


KINDS: Mapping[str, Callable[[Sequence[str]], list[list[Panel]]]] = {
    kind.__name__: kind
    for kind in (
        families,
        spaces,
        objects,
        sizes,
        references,
        latents,
        autoencoders,
        frontier,
        orbit,
        mesh,
        finetuning,
        scenes,
    )
}


def sheet(rows: Sequence[Sequence[Panel]], *, side: int) -> Image.Image:
    """All pictures `side` wide, with what is written below them."""
    labelled = any(label for row in rows for label, _ in row)
    pictures = [[(label, _sized(pixels, side)) for label, pixels in row] for row in rows]
    heights = [max(picture.height for _, picture in row) + TEXT * labelled + GAP for row in pictures]
    width = max(map(len, pictures)) * (side + GAP) - GAP
    whole = Image.new("RGB", (width, sum(heights) - GAP), "white")
    draw, font = ImageDraw.Draw(whole), ImageFont.load_default(12)
    for row, top in zip(pictures, accumulate(heights, initial=0), strict=False):
        for column, (label, picture) in enumerate(row):
            place = (column * (side + GAP), top)
            whole.paste(picture, place)
            draw.text((place[0] + 2, place[1] + picture.height + 2), label, fill=(60, 60, 60), font=font)
    return whole


def _sized(pixels: Pixels, side: int) -> Image.Image:
    """Latents as squares, and everything else smooth."""
    picture = Image.fromarray(pixels)
    height = round(side * picture.height / picture.width)
    nearest = picture.width <= 48
    resampling = Image.Resampling.NEAREST if nearest else Image.Resampling.LANCZOS
    return picture.resize((side, height), resampling)


def main() -> None:
    """Write one picture."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pictures",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=list(KINDS))
    parser.add_argument("names", nargs="*")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--side", type=int, default=160, help="width of each picture in pixels")
    arguments = parser.parse_args()
    whole = sheet(KINDS[arguments.what](arguments.names), side=arguments.side)
    whole.save(arguments.out, quality=82, method=6)
    print(f"{arguments.out}: {whole.width}x{whole.height}, {arguments.out.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
