"""Every command that computes, at the smallest size and on one device: whether it ends well, or why not.

Nothing here is a measurement, but for the seconds that each took.
"""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from types import MappingProxyType
from typing import Any

from latentfields.cli.main import main
from latentfields.scenes.objects.config import RenderConfig
from latentfields.scenes.objects.object_scenes import render_object_scene
from latentfields.scenes.procedural import generate_object

_FEW = "--supervision.steps 6 --alignment.steps 6"
_KNOWN = "--prior objects --steps 3"
LINES: Mapping[str, str] = MappingProxyType(
    {
        "fit": f"fit scenes/000 {_FEW} --out fit",
        "fit of Gaussians": f"fit scenes/000 --field gaussians --space both {_FEW} --out both",
        "fit to few views": "fit scenes/000 --autoencoder igae-smooth --prior objects --train-views 3 "
        "--supervision.steps 6 --out few",
        "fleet": f"fleet scenes/000 scenes/001 {_FEW} --out fleet",
        "evaluate": "evaluate fit --scene scenes/000 --grids 2 --reference-views 2 --look 32",
        "render": "render fit --views orbit --frames 4 --out orbit.gif",
        "export mesh": "export mesh fit --resolution 24 --threshold 0.1 --out fit.ply",
        "export points": "export points both --out both.ply",
        "export gaussians": "export gaussians both --out gaussians.ply",
        "export cameras": "export cameras fit --out cameras/transforms.json",
        "export scene": "export scene fit --out fit.safetensors",
        "autoencoder train": "autoencoder train --preset tiny --scenes scenes/000 --photos photos --steps 3 "
        "--out plain",
        "autoencoder evaluate": "autoencoder evaluate base --scenes scenes/000",
        "autoencoder score": "autoencoder score base --quick --objects 1 --views 6 --size 64",
        "autoencoder finetune-3d": "autoencoder finetune-3d --preset tiny --scenes scenes/000 scenes/001 "
        "--photos photos --size 32 --pretraining.epochs 1 --joint.epochs 1 --out igae",
        "lrf correspond": "lrf correspond scenes/000 --out correspondences",
        "lrf finetune-encoder": "lrf finetune-encoder --preset tiny --correspondences correspondences --photos photos "
        "--steps 3 --out encoder",
        "lrf align-decoder": "lrf align-decoder scenes/000 --photos photos --fit-steps 6 --steps 3 --out decoder",
        "prior train": "prior train scenes --preset tiny --size 32 --steps 3 --out prior",
        "prior sample": "prior sample objects mugs --count 2 --views 3 --out drawn",
        "generate": f"generate mugs {_KNOWN} --out made",
        "edit": f"edit made --to teapots {_KNOWN} --out changed",
        "collection fit": "collection fit scenes/000 scenes/001 --preset tiny --size 32 --warmup.epochs 1 "
        "--joint.epochs 1 --latent.epochs 1 --align.epochs 1 --out collection",
        "collection render": "collection render collection 000 --views orbit --frames 2 --out turn.gif",
    }
)
"""The words after `latentfields`, by name; each finds what it needs in what `write_data` and those before it wrote.
`demo` takes minutes, `view` serves, and studies are made of the others."""
WITHOUT_DEVICE = ("export cameras", "lrf correspond")
"""Those that compute nothing on a device."""


def write_data(folder: Path, *, objects: int = 2, views: int = 12, size: int = 128) -> None:
    """Mugs as `scenes/000` and so on, and in `photos` pictures of the first one that stand for photographs."""
    options = RenderConfig(views=views, size=size, samples=1, val_fraction=0.0)
    for seed in range(objects):
        scene = folder / "scenes" / f"{seed:03}"
        render_object_scene(generate_object("mugs", seed), scene, options=options, seed=seed)
    (folder / "photos").mkdir()
    for path in sorted((folder / "scenes" / "000" / "train").glob("*.png"))[:8]:
        shutil.copy(path, folder / "photos" / path.name)


def run_line(name: str, folder: Path, device: str) -> dict[str, Any]:
    """Run a line in `folder`; says whether it ended well, and else the last that it said."""
    words = LINES[name].split()
    if name not in WITHOUT_DEVICE:
        words += ["--device", device]
    said = io.StringIO()
    status: object = None
    with _inside(folder), redirect_stdout(said), redirect_stderr(said):
        try:
            main([*words, "--log-level", "debug"])
        except SystemExit as stop:
            status = stop.code
    if not status:
        return {"passed": True}
    return {"passed": False, "error": said.getvalue().strip().splitlines()[-1][:500]}


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
