"""The commands and the code of the documentation run, page by page, in the order a reader would run them.

They run as written, in a folder with what the page says its reader has, but for the flags of `SHORTER`, which make
trainings short. Commands of other programs are named in `OTHERS`; one that is not known fails the test.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from PIL import Image

from helpers.autoencoders import small_kl
from helpers.corner_scene import corner_cameras, write_colmap_scene
from helpers.photographs import arc_cameras, needs_pycolmap, write_photographs
from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.cli.main import main
from latentfields.fields.config import FieldName
from latentfields.latent_nerf import fit, fleet, usual
from latentfields.latent_nerf.config import FitConfig, Space
from latentfields.latent_nerf.presets import preset
from latentfields.scenes.objects.config import RenderConfig
from latentfields.scenes.objects.object_scenes import render_object_scene
from latentfields.scenes.procedural import generate_object

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PAGES = list((ROOT / "docs").rglob("*.md"))
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.DOTALL | re.MULTILINE)

OTHERS = {"pip", "make", "torchrun", "python", "hf", "tensorboard"}
"""Programs whose commands are shown but not run here."""

FEW_VIEWS = ("--views", "6", "--size", "32", "--samples", "1", "--overwrite")
FEW_STEPS = ("--supervision.steps", "3", "--alignment.steps", "3", "--batch-images", "1")
FEW_EPOCHS = (
    "--warmup.epochs",
    "0.5",
    "--joint.epochs",
    "0.5",
    "--latent.epochs",
    "1",
    "--align.epochs",
    "0.5",
)
COARSE = ("--resolution", "16", "--threshold", "0.01")
SHORTER = {
    "scenes generate all": (*FEW_VIEWS, "--count", "1"),
    # As large as the packaged prior knows pictures.
    "scenes generate mugs --seed 900": ("--views", "6", "--samples", "1", "--overwrite"),
    "scenes generate": FEW_VIEWS,
    "scenes render": FEW_VIEWS,
    "fit data/vases-0000 --out runs/vase": (
        "--space",
        "rgb",
        "--supervision.steps",
        "15",
        "--alignment.steps",
        "5",
        "--batch-rays",
        "512",
    ),
    "fit capture": (*FEW_STEPS, "--size", "96"),
    "fit": FEW_STEPS,
    "fleet": (*FEW_STEPS, "--processes", "1"),
    "render": ("--frames", "2"),
    "export mesh runs/vase --resolution 96 --texture 1024": (*COARSE, "--texture", "128"),
    "export mesh": COARSE,
    "lrf finetune-encoder": ("--preset", "tiny", "--steps", "2"),
    "lrf align-decoder": ("--fit-steps", "3", "--steps", "2"),
    "autoencoder score base base-f4": ("--scenes", "scored", "--size", "64", "--fit-steps", "2"),
    "autoencoder score sd-vae": ("--scenes", "scored", "--size", "64", "--fit-steps", "2"),
    "autoencoder score": ("--scenes", "scored", "--no-packaged"),
    "autoencoder finetune-3d": ("--preset", "tiny", "--pretraining-epochs", "0.1", "--joint-epochs", "0.05"),
    "bench fields": ("--families", "vases", "--fields", "triplane"),
    "collection fit": ("--preset", "tiny", "--size", "32", *FEW_EPOCHS),
    "collection render": ("--frames", "2"),
    "prior train": ("--preset", "tiny", "--size", "128", "--steps", "3"),
    "prior sample": ("--count", "1", "--views", "2"),
    "generate": ("--steps", "3"),
    "edit": ("--steps", "2"),
}
"""Flags that end the commands starting so, the first that fits; of a flag given twice the last one counts."""


def pages() -> list[Path]:
    """All with something to run, but for that of the Nerfstudio extension, which the extension's own tests run."""
    found = [page for page in [ROOT / "README.md", *PAGES] if page.stem != "nerfstudio"]
    return sorted(page for page in found if BLOCK.search(page.read_text()))


@pytest.fixture(scope="module")
def belongings(
    tmp_path_factory: pytest.TempPathFactory, autoencoder: Autoencoder, scene_folder: Path
) -> Path:
    """What readers are said to have: photographs, captures, a mesh, scenes, an autoencoder."""
    folder = tmp_path_factory.mktemp("belongings")
    random = np.random.default_rng(0)
    (folder / "photos").mkdir()
    for index in range(8):
        pixels = random.integers(0, 255, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((160, 144)).save(folder / "photos" / f"{index}.png")
    write_photographs(folder / "photographs", arc_cameras(6))
    for capture in ("captures/one", "captures/two"):
        write_colmap_scene(folder / capture, corner_cameras(9, width=96, height=72))
    trimesh.creation.icosphere().export(folder / "chair.glb")
    for name in ("vases-0000", "chair"):
        shutil.copytree(scene_folder, folder / "data" / name)
    autoencoder.save(folder / "my-vae")
    # One object is scored, for three families, from the side that few views share most of.
    seen = RenderConfig(
        views=14, size=64, samples=1, min_elevation=25, max_elevation=40, test_fraction=0, val_fraction=0
    )
    render_object_scene(generate_object("vases", 9000), folder / "scored", options=seen, seed=9000)
    if importlib.util.find_spec("diffusers") is not None:
        small_kl().save_pretrained(folder / "sd-vae")
    return folder


def quick_preset(name: FieldName, *, space: Space) -> FitConfig:
    """`preset`, of few steps of one image each."""
    return replace(preset(name, space=space).with_steps(supervision=3, alignment=3), batch_images=1)


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, belongings: Path) -> Path:
    """A folder of a reader's own, with what readers are said to have."""
    shutil.copytree(belongings, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    # `latentfields.fit` and `fit_fleet` in Python have no flags.
    for module in (fit, fleet, usual):
        monkeypatch.setattr(module, "preset", quick_preset)
    return tmp_path


EXTRAS = {
    "--tensorboard": "tensorboard",
    "--texture": "xatlas",
    ".spz": "gsply",
    "from diffusers import": "diffusers",
}
"""Words of pages that need an extra, and its library."""
SERVERS = ("latentfields view",)
"""Commands that run until somebody stops them: their own tests start them."""


def run_command(line: str) -> None:
    program, *arguments = shlex.split(line, comments=True)
    if program in OTHERS or line.startswith(SERVERS):
        return
    assert program == "latentfields", f"a program that the documentation's test does not know: {line}"
    command = " ".join(arguments)
    shorter = next((flags for start, flags in SHORTER.items() if f"{command} ".startswith(start + " ")), ())
    main([*arguments, *shorter])


def parameter(page: Path) -> Any:
    """The page, which is skipped where it needs an extra that is not there."""
    text = page.read_text()
    marks = [needs_pycolmap] if "latentfields scenes capture" in text else []
    marks += [
        pytest.mark.skipif(importlib.util.find_spec(library) is None, reason=f"needs {library}")
        for word, library in EXTRAS.items()
        if word in text
    ]
    return pytest.param(page, marks=marks, id=page.relative_to(ROOT).with_suffix("").as_posix())


@pytest.mark.parametrize("page", [parameter(page) for page in pages()])
def test_page(page: Path, reader: Path) -> None:
    names: dict[str, object] = {}
    for language, text in BLOCK.findall(page.read_text()):
        if language == "python":
            exec(compile(text, str(page), "exec"), names)
        else:
            for line in text.replace("\\\n", " ").splitlines():
                if shlex.split(line, comments=True):
                    run_command(line)


def test_every_page_is_looked_at() -> None:
    names = {page.stem for page in pages()}
    assert {"index", "own-photographs", "own-meshes", "3d-aware-autoencoder", "resume"} <= names
