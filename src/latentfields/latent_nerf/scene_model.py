"""A scene in the feature space of an autoencoder (IG-AE Sec. 3.1, Eq. 1): something that renders, and a decoder.

How features of cameras come about, along rays or by splatting, is a subclass's matter; in RGB space the same classes
render pixels and decode nothing. Shape suffixes: B images, C channels, H, W image size, h = H / factor, w = W / factor.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product

import torch
from torch import Tensor, nn

from latentfields.cameras import Cameras
from latentfields.config.checks import require_at_least
from latentfields.errors import ArgumentError
from latentfields.fields.field import Representation
from latentfields.latent_nerf.crops import Window
from latentfields.latent_nerf.latent_space import LatentSpace
from latentfields.rendering.rendering import Rendering
from latentfields.scenes.reading import Bounds
from latentfields.training.checkpoint import without_prefix


class SceneModel(nn.Module, abc.ABC):
    """F_theta and D_psi of Eq. 1."""

    background: Tensor

    def __init__(
        self, space: LatentSpace, background: Tensor, *, near: float, far: float, bounds: Bounds = "object"
    ) -> None:
        """`background` (C,) is what lies behind the scene, in the field's space; a parameter is learned.

        Nothing nearer than `near` is seen, in the normalised frame; where nothing is, the depth is at most `far`.
        `bounds` say whether there is anything outside of [-1, 1]^3.
        """
        super().__init__()
        self.space = space
        # The weights of the space are this module's, under names that every stored run has.
        self.autoencoder = space.autoencoder
        self.projection = space.projection
        if isinstance(background, nn.Parameter):
            self.background = background
        else:
            self.register_buffer("background", background)
        self.near, self.far, self.bounds = near, far, bounds

    @property
    def local_supervision(self) -> bool:
        """True where the supervision loss of pictures is the mean over their features, each by itself.

        Otherwise it compares neighbouring features, too, and has to see whole pictures.
        """
        return False

    @abc.abstractmethod
    def render_pixels(
        self,
        cameras: Cameras,
        generator: torch.Generator | None,
        window: Window | None = None,
        precision: torch.dtype = torch.float32,
    ) -> Rendering:
        """Render every pixel of `cameras`, on the model's device, in the field's space; `generator` jitters.

        Of a `window` of pixels alone, which are those of the whole picture then. Layers of a field compute in
        `precision`, float32 or bfloat16, if it has some that can.
        """

    @abc.abstractmethod
    def supervision_loss(self, rendered: Tensor, targets: Tensor) -> Tensor:
        """The loss, a scalar, between rendered features and their targets, both (B, C, h, w)."""

    def reduction(self, progress: float, *, size: tuple[int, int]) -> int:
        """How many times smaller views of `size` (H, W) are rendered, to be compared with the mean of their targets, at
        `progress` in [0, 1] of Latent Supervision or of an RGB fit; 1 unless a scene is fitted from coarse to fine."""
        return 1

    def before_step(self, *, step: int, generator: torch.Generator) -> None:
        """Prepare for training step `step`, from 0; called before every one, also after a resume."""

    def after_step(
        self,
        seen: Rendering,
        optimizer: torch.optim.Optimizer,
        *,
        progress: float,
        generator: torch.Generator,
        others: Sequence[torch.optim.Optimizer] = (),
    ) -> None:
        """Follow up the optimiser's step on what was `seen`, at `progress` of Latent Supervision or of an RGB fit.

        During RGB Alignment progress is 1. Parameters may be replaced if those of the optimiser are, too, and those of
        `others`, which fit what shares this model's geometry.
        """

    @property
    def pictures(self) -> SceneModel:
        """What shows the scene to the eye: this model, or the colours of one that has them beside latents."""
        return self

    @property
    def factor(self) -> int:
        """Pixels per rendered feature along one side."""
        return self.space.factor

    @property
    def device(self) -> torch.device:
        """The device that the model is on."""
        return self.background.device

    def representations(self) -> dict[str, Representation]:
        """Everything that is fitted to the scene with rates of its own, by module name."""
        return {name: module for name, module in self.named_modules() if isinstance(module, Representation)}

    def encode(self, images: Tensor) -> Tensor:
        """Latents (B, C, h, w), normalised per channel and on the CPU, of images (B, 3, H, W) in [0, 1]."""
        assert self.autoencoder is not None
        return self.autoencoder.encode_batches(images.to(self.device)).cpu()

    def render_features(
        self,
        cameras: Cameras,
        *,
        generator: torch.Generator | None = None,
        window: Window | None = None,
        precision: torch.dtype = torch.float32,
    ) -> Rendering:
        """z~_p = F_theta(p): render image-sized `cameras` as feature maps, on the model's device.

        One pixel is rendered for every latent, or `subpixels`^2 of them, which the space's projection gathers.
        Differentiable; `generator` jitters the samples along rays. Of a `window` of latents alone: those of the whole
        picture, but where it ends inside of the picture, as far as the projection reaches (`LatentSpace.reach`).
        `precision` is as for `render_pixels`.
        """
        pixels = None if window is None else window.times(self.space.subpixels)
        return self.space.projected(
            self.render_pixels(self.finer(cameras).to(self.device), generator, pixels, precision)
        )

    def finer(self, cameras: Cameras) -> Cameras:
        """Image-sized `cameras` on the grid of what is rendered: `subpixels`^2 pixels for every feature."""
        k = self.space.subpixels
        return cameras.resized(
            width=k * cameras.width // self.factor, height=k * cameras.height // self.factor
        )

    def decode(self, features: Tensor) -> Tensor:
        """x~_p = D_psi(z~_p): images (B, 3, H, W), not clamped, of rendered features."""
        return self.space.decode(features)

    def grid_corners(self, grids: int) -> list[tuple[int, int]]:
        """Where `grids`^2 grids of latents begin, (column, row) in pixels, evenly in a latent; the first is at (0, 0).

        Raises ArgumentError for a number that does not divide the pixels per latent.
        """
        require_at_least("grids", grids, 1)
        if self.factor == 1 < grids:
            raise ArgumentError("grids", f"is {grids}, but colours are not decoded; expected 1")
        if self.factor % grids:
            expected = f"a divisor of the pixels per latent and side, {self.factor}"
            raise ArgumentError("grids", f"is {grids}; expected {expected}")
        along = range(0, self.factor, self.factor // grids)
        return list(product(along, along))

    @torch.no_grad()
    def render(self, cameras: Cameras, *, batch_size: int = 8, grids: int = 1) -> tuple[Tensor, Rendering]:
        """Decoded images (B, 3, H, W) in [0, 1] and what they were decoded from, on the CPU. Deterministic.

        The features are latents normalised per channel, whatever the field is fitted to. Images are the mean of what is
        decoded on `grids`^2 grids of latents: a decoder errs in another way where a latent begins at another pixel. The
        features are those of the usual grid. Raises ArgumentError as `grid_corners`.
        """
        (_, *moved), images, parts = self.grid_corners(grids), [], []
        for start in range(0, len(cameras), batch_size):
            some = cameras[start : start + batch_size]
            seen = self.render_features(some)
            decoded = [self.decode(seen.features).clamp(0, 1)]
            decoded += [self._decoded_from(some, left, top) for left, top in moved]
            images.append(torch.stack(decoded).mean(dim=0).cpu())
            parts.append(replace(seen, features=self.space.latents(seen.features)).cpu())
        return torch.cat(images), Rendering.joined(parts)

    def _decoded_from(self, cameras: Cameras, left: int, top: int) -> Tensor:
        """Images in [0, 1] of a grid that begins `left` columns and `top` rows before the picture."""
        width, height = cameras.width, cameras.height
        columns, rows = width + self.factor * bool(left), height + self.factor * bool(top)
        larger = cameras.cropped(left=-left, top=-top, width=columns, height=rows)
        decoded = self.decode(self.render_features(larger).features)
        return decoded[..., top : top + height, left : left + width].clamp(0, 1)

    def scene_state(self) -> dict[str, Tensor]:
        """Field, sampler, projection and background, without the autoencoder."""
        return {k: v for k, v in self.state_dict().items() if not k.startswith("autoencoder.")}

    def load_scene_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore `scene_state`. Fields that change their shapes while they are fitted take those of `tensors`."""
        for name, representation in self.representations().items():
            representation.resize_to(without_prefix(name, tensors))
        self.load_state_dict(
            dict(tensors) | {k: v for k, v in self.state_dict().items() if k.startswith("autoencoder.")}
        )
