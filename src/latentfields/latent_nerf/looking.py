"""Looking at a scene: the same pictures as `SceneModel.render` makes, but for what rounding changes, in less time.

The layers of a field compute in bfloat16 where that is faster, and the decoder, which is asked only where there is
something, in integers of eight bits, or in bfloat16.

Shape suffixes: B images, C channels, H, W image size, h = H / factor, w = W / factor.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial

import torch
from torch import Tensor

from latentfields.autoencoders.eight_bits import in_eight_bits
from latentfields.autoencoders.receptive_field import receptive_field
from latentfields.cameras import Cameras
from latentfields.devices import has_eight_bits, uses_bfloat16
from latentfields.latent_nerf.crops import Window
from latentfields.latent_nerf.latent_space import LatentSpace
from latentfields.latent_nerf.scene_model import SceneModel
from latentfields.measures.cost import milliseconds
from latentfields.rendering.rendering import Rendering

TIMED_VIEWS = 3
"""Views that are enough to time looking: in colours each takes seconds."""
UNIFORM = 1e-3
"""How much a constant picture's colours may differ from cell to cell where they count as one."""


class Look:
    """Pictures of a scene for someone who moves around in it."""

    def __init__(self, model: SceneModel) -> None:
        """`model` may be fitted meanwhile."""
        self.model = model

    @torch.no_grad()
    def __call__(self, cameras: Cameras) -> tuple[Tensor, Rendering]:
        """As `SceneModel.render`."""
        seen = self.render_features(cameras)
        images = self.decode(seen).clamp(0, 1).cpu()
        return images, replace(seen, features=self.model.space.latents(seen.features)).cpu()

    @torch.no_grad()
    def render_features(self, cameras: Cameras) -> Rendering:
        """As `SceneModel.render_features`."""
        precision = torch.bfloat16 if self._half else torch.float32
        return self.model.render_features(cameras, precision=precision)

    @torch.no_grad()
    def decode(self, seen: Rendering) -> Tensor:
        """Images (B, 3, H, W), not clamped, of rendered features, which are the background's where nothing is seen."""
        window = self._seen_window(seen)
        background = None if window is None else self._empty_cell(seen, window)
        if window is None or background is None:
            return self._decoded(seen.features)
        part = self._decoded(seen.features[..., window.rows, window.columns])
        height, width = seen.features.shape[-2:]
        images = background.repeat(len(part), 1, height, width)
        inside = window.times(self.model.factor)
        images[..., inside.rows, inside.columns] = part
        return images

    def _decoded(self, features: Tensor) -> Tensor:
        if self._in_eight_bits is not None:
            return self._in_eight_bits.decode(features)
        with torch.autocast(self.model.device.type, dtype=torch.bfloat16, enabled=self._half):
            return self.model.decode(features).float()

    @cached_property
    def _half(self) -> bool:
        return uses_bfloat16("auto", self.model.device)

    @cached_property
    def _in_eight_bits(self) -> LatentSpace | None:
        """The space with a decoder in eight bits; None: neither the processor nor the decoder is known to be fit."""
        autoencoder = self.model.autoencoder
        if autoencoder is None or not has_eight_bits(self.model.device):
            return None
        rounded = in_eight_bits(autoencoder)
        return None if rounded is None else replace(self.model.space, autoencoder=rounded)

    @cached_property
    def _reach(self) -> int | None:
        """Latents around something that are decoded otherwise than those of the background; None: all may be."""
        codec = self.model.autoencoder
        if codec is None:
            return None
        found = receptive_field(
            codec.decode, channels=codec.channels, factor=codec.factor, device=self.model.device
        )
        return None if found is None else found + self.model.space.reach

    def _seen_window(self, seen: Rendering) -> Window | None:
        """The latents on whose decoding anything seen has an influence; None where that is the whole picture."""
        if self._reach is None:
            return None
        here = (seen.opacity > 0).any(dim=0)[0]
        rows, columns = (here.any(dim=dim).nonzero()[:, 0].tolist() for dim in (1, 0))
        height, width = here.shape
        if not rows:
            rows, columns = [0], [0]
        tight = Window(columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
        window = tight.grown(self._reach, width=width, height=height)
        return None if window == Window(0, 0, width, height) else window

    def _empty_cell(self, seen: Rendering, window: Window) -> Tensor | None:
        """Pixels (1, 3, f, f) of a latent outside of the window; None where a decoder makes no uniform picture of it.

        Decoders that know of borders, or of positions, do not: then a part is not decoded as in the whole.
        """
        outside = torch.ones(seen.features.shape[-2:], dtype=torch.bool)
        outside[window.rows, window.columns] = False
        row, column = outside.nonzero()[0].tolist()
        empty = seen.features[:1, :, row : row + 1, column : column + 1]
        assert self._reach is not None
        side, factor = 2 * self._reach + 1, self.model.factor
        picture = self._decoded(empty.expand(-1, -1, side, side))
        middle = slice(self._reach * factor, (self._reach + 1) * factor)
        cell = picture[..., middle, middle]
        same = (picture - cell.repeat(1, 1, side, side)).abs().max() <= UNIFORM
        return cell if bool(same) else None


@dataclass(frozen=True)
class ViewTimes:
    """Milliseconds of a view, medians over several."""

    rendering: float
    """Of what is decoded."""
    frame: float
    """Of all of it: rendered and decoded."""


def view_times(model: SceneModel, cameras: Cameras, *, clock: Callable[[], float] | None = None) -> ViewTimes:
    """Return what views cost, one by one, as someone sees them who moves around: by `Look`.

    By default in time that this process computes, where it computes on a processor; `clock` is another one, in seconds.
    """
    if clock is None:
        clock = time.process_time if model.device.type == "cpu" else time.perf_counter
    look = Look(model)
    singles = [cameras[index : index + 1] for index in range(len(cameras))]

    def median(render: Callable[[Cameras], object]) -> float:
        calls = [partial(render, camera) for camera in singles]
        return statistics.median(milliseconds(calls, model.device, clock=clock))

    rendering = median(look.render_features)
    # Colours need no decoding.
    return ViewTimes(rendering, rendering if model.autoencoder is None else median(look))


def scaled_views(model: SceneModel, cameras: Cameras, size: int) -> Cameras:
    """Return the same views in pictures whose longer side has about `size` pixels, and whole latents."""
    scale = size / max(cameras.width, cameras.height) / model.factor
    width, height = (max(1, round(scale * side)) * model.factor for side in (cameras.width, cameras.height))
    return cameras.resized(width=width, height=height)
