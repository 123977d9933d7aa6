"""Photographs of a textured corner of a room whose poses are known, and what finds them."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.corner_scene import corner_cameras, pictures
from latentfields.cameras import Cameras, look_at

needs_pycolmap = pytest.mark.skipif(
    importlib.util.find_spec("pycolmap") is None, reason="pycolmap is not installed (the extra `colmap`)"
)
DETAIL = 40.0
UP = torch.tensor([0.0, 0.0, 1.0])


def arc_cameras(count: int = 8, *, width: int = 320, height: int = 240) -> Cameras:
    """Cameras that overlap enough for COLMAP."""
    return corner_cameras(count, width=width, height=height)


def turning_cameras(count: int = 5) -> Cameras:
    """Cameras in one place."""
    steps = torch.linspace(-0.3, 0.3, count)
    target = torch.stack([0.5 + steps, 0.5 - steps, torch.full((count,), 0.4)], dim=1)
    eye = torch.tensor([[1.6, 1.6, 1.5]]).repeat(count, 1)
    return replace(arc_cameras(count), camera_to_world=look_at(eye, target, UP))


def write_photographs(
    folder: Path, cameras: Cameras, *, device: str | None = None, names: Sequence[str] | None = None
) -> Path:
    """JPEG files as a phone writes them; with a `device`, EXIF names it and the focal length."""
    folder.mkdir(parents=True, exist_ok=True)
    options: dict[str, Any] = {"quality": 95, "subsampling": 0}
    if device is not None:
        options["exif"] = exif(device, millimetres=35 * float(cameras.focal[0, 0]) / cameras.width)
    for index, pixels in enumerate(pictures(cameras, detail=DETAIL)):
        name = f"photo_{index:02d}.jpg" if names is None else names[index]
        Image.fromarray(pixels).save(folder / name, **options)
    return folder


def exif(device: str, *, millimetres: float, orientation: int = 1) -> Image.Exif:
    """What a camera says of a photograph; the focal length is that of a film of 35 mm."""
    about = Image.Exif()
    about[0x010F], about[0x0110], about[0x0112] = device.split()[0], device, orientation
    about.get_ifd(0x8769)[0x920A] = millimetres / 5
    about.get_ifd(0x8769)[0xA405] = round(millimetres)
    return about


def noise_photograph(path: Path, *, seed: int, width: int = 320, height: int = 240) -> None:
    """A picture of nothing that any other one shows."""
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 255, (height // 4, width // 4, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC).save(path)
