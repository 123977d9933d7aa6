"""What a run shows as numbers: rendered latents, depth and opacity of many views, for other programs.

Shape suffixes: N views, C latent channels, H, W image size, h = H / factor, w = W / factor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latentfields.cameras import Cameras
from latentfields.config.arguments import checked
from latentfields.errors import ArgumentError, InputError
from latentfields.export.config import Shown, ViewsFormat
from latentfields.export.visible_surface import rendered_distance
from latentfields.files import replacing, write_json
from latentfields.latent_nerf.render import FILMS, NamedViews, write_pictures
from latentfields.latent_nerf.run import Run
from latentfields.rendering.rendering import Rendering
from latentfields.training.checkpoint import save_tensors

VIEWS_FILE = "rendered.safetensors"
"""In the folder of renders: everything but the pictures."""
DESCRIPTION_FILE = "rendered.json"
"""Beside arrays of NumPy: what else describes them, which a safetensors file has in its metadata."""
BATCH = 8


@dataclass(frozen=True, eq=False)
class RenderedDepth:
    """Geometry of N views at the resolution of their pictures, on the CPU."""

    depth: Tensor
    """(N, 1, H, W) float32 z-depth of the surface, along the viewing axis, in the normalised frame; infinite where
    less than 0.8 of a ray is stopped."""
    opacity: Tensor
    """(N, 1, H, W) float32 in [0, 1]."""


@checked
@torch.no_grad()
def render_depth(run: Run | str | Path, cameras: Cameras) -> RenderedDepth:
    """Depth and opacity that N cameras in the run's normalised frame see, one ray or splatted pixel for each of theirs.

    Latents are rendered as coarsely as they are; their field is looked at as finely as pictures are here. Divided by
    the scale of `run.frame.world_to_scene`, depth is in the units of the capture.
    """
    run = Run.opened(run)
    parts = []
    for start in range(0, len(cameras), BATCH):
        chunk = cameras[start : start + BATCH].to("cpu")
        seen = run.model.pictures.render_pixels(chunk.to(run.model.device), None).cpu()
        parts.append(RenderedDepth(_z_depth(run, chunk, seen), seen.opacity))
    if not parts:
        raise ArgumentError("cameras", "are none; expected at least one")
    return RenderedDepth(
        torch.cat([part.depth for part in parts]), torch.cat([part.opacity for part in parts])
    )


def _z_depth(run: Run, cameras: Cameras, seen: Rendering) -> Tensor:
    rays, distance = rendered_distance(run, cameras, seen)
    cosines = (rays.directions * cameras.forward[:, None, None]).sum(dim=-1)
    return (distance * cosines)[:, None]


@checked
def export_views(
    run: Run | str | Path,
    views: NamedViews | Cameras,
    *,
    out: str | Path,
    what: Sequence[Shown] = ("latents",),
    format: ViewsFormat = "safetensors",
    size: int | None = None,
) -> Path:
    """Write what `views` show into the folder `out`, and return what was written: the folder, or the one file in it.

    - "rgb": a PNG file of every view, whose longer side has `size` pixels, by default the run's.
    - "latents": `latents` (N, C, h, w), normalised per channel, `latents_raw`, as the autoencoder's network has them,
      and `latent_mean` and `latent_std` (C,), which turn the one into the other.
    - "depth" and "opacity": `depth` and `opacity` (N, 1, H, W) as `RenderedDepth`.

    All arrays are float32, in one file `rendered.safetensors` or as files NAME.npy. With them come the cameras in the
    normalised frame, `camera_to_world` (N, 4, 4), `focal` and `principal` (N, 2) in pixels of the pictures, and
    `world_to_scene` (4, 4), float64, from the capture's coordinates to that frame; names of the views, sizes, factor
    and autoencoder are in the metadata, under the key "json", or in `rendered.json`. Raises InputError for latents of a
    run that was fitted in RGB, before anything is written.
    """
    run, out = Run.opened(run), Path(out)
    views = NamedViews.numbered(views) if isinstance(views, Cameras) else views
    what = tuple(dict.fromkeys(what))
    if not what:
        raise ArgumentError("what", "is empty; expected one or more of rgb, latents, depth and opacity")
    numbers = [name for name in what if name != "rgb"]
    if out.suffix in FILMS or out.is_file():
        raise InputError(out, f"is a file; expected a folder for {', '.join(what)}")
    tensors = _tensors(run, views.cameras, numbers) if numbers else {}
    if "rgb" in what:
        write_pictures(run, views, out=out, size=size)
    return _write(out, tensors, _description(run, views), format) if numbers else out


@torch.no_grad()
def _tensors(run: Run, cameras: Cameras, numbers: Sequence[str]) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    if "latents" in numbers:
        autoencoder = run.model.autoencoder
        if autoencoder is None:
            raise ArgumentError(
                "what", f"is latents, but {run.folder} was fitted in RGB; expected rgb, depth or opacity"
            )
        seen = [run.render_latents(cameras[start : start + BATCH]) for start in range(0, len(cameras), BATCH)]
        tensors["latents"] = torch.cat([part.latents.cpu() for part in seen])
        tensors["latents_raw"] = torch.cat([part.raw.cpu() for part in seen])
        tensors["latent_mean"] = autoencoder.latent_mean.cpu()
        tensors["latent_std"] = autoencoder.latent_std.cpu()
    if "depth" in numbers or "opacity" in numbers:
        geometry = render_depth(run, cameras)
        tensors |= {name: tensor for name, tensor in vars(geometry).items() if name in numbers}
    return tensors | {
        "camera_to_world": cameras.camera_to_world,
        "focal": cameras.focal,
        "principal": cameras.principal,
        "world_to_scene": torch.tensor(run.frame.world_to_scene, dtype=torch.float64),
    }


def _description(run: Run, views: NamedViews) -> dict[str, Any]:
    return {
        "names": [Path(name).with_suffix("").as_posix() for name in views.names],
        "width": views.cameras.width,
        "height": views.cameras.height,
        "factor": run.model.factor,
        "autoencoder": run.config.autoencoder,
        "poses": "camera-to-world, OpenGL axes, in the run's normalised frame; depth along the viewing axis there",
    }


def _write(
    out: Path, tensors: Mapping[str, Tensor], description: Mapping[str, Any], format: ViewsFormat
) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    if format == "safetensors":
        save_tensors(out / VIEWS_FILE, tensors, description)
        return out / VIEWS_FILE
    for name, tensor in tensors.items():
        with replacing(out / f"{name}.npy") as temporary, open(temporary, "wb") as handle:
            np.save(handle, tensor.detach().numpy())
    write_json(out / DESCRIPTION_FILE, dict(description))
    return out
