"""Whole latent images and their cameras, from any of Nerfstudio's data parsers.

Shape suffixes: B views of a batch, R latents of a batch, H, W image size, h, w latent grid, C latent channels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.data.datamanagers.full_images_datamanager import (
    FullImageDatamanager,
    FullImageDatamanagerConfig,
)
from torch import Tensor

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.errors import InputError
from latentfields.integrations.nerfstudio.views import cropped, latent_views, rows
from latentfields.scenes.resampling import composited


@dataclass
class LatentDatamanagerConfig(FullImageDatamanagerConfig):
    """Latent images. Views are drawn afresh for every step: `train_cameras_sampling_seed` is the seed, and the
    sampling strategy is not used."""

    _target: type = field(default_factory=lambda: LatentDatamanager)
    """target class to instantiate"""
    batch_images: int = 4
    """whole images per training step (IG-AE Table 16)"""


@dataclass(frozen=True)
class EncodedViews:
    """The views of a split, without lens distortion, cropped to whole latents; sizes may differ."""

    cameras: Cameras
    """(N,) at the sizes of the images."""
    images: list[Tensor]
    """N of (3, H, W) in [0, 1]."""
    latents: list[Tensor]
    """N of (C, h, w), normalised per channel."""
    autoencoded: list[Tensor]
    """N of (3, H, W) in [0, 1], what the autoencoder makes of the images."""


class LatentDatamanager(FullImageDatamanager):
    """Encodes every image once, when it is first needed, with the autoencoder that the pipeline hands over."""

    config: LatentDatamanagerConfig

    def __init__(self, config: LatentDatamanagerConfig, **kwargs: Any) -> None:
        """As `FullImageDatamanager`; `encode_with` must be called before data is asked for.

        Raises InputError when the data parser needs a package that is not installed, as it does for sparse points.
        """
        try:
            super().__init__(config, **kwargs)
        except ModuleNotFoundError as error:
            raise InputError(
                "--data",
                f"needs {error.name} to be read; expected it to be installed: pip install {error.name}",
            ) from error
        self._views: dict[str, EncodedViews] = {}

    def encode_with(self, autoencoder: Autoencoder, background: tuple[float, float, float]) -> None:
        """Set the autoencoder, and the colour in [0, 1] on which images with alpha are composited."""
        for dataset in (self.train_dataset, self.eval_dataset):
            # Parsers have a colour of their own, which need not be what the model has behind the scene.
            dataset._dataparser_outputs.alpha_color = None
        # In a tuple it is no submodule: it is not trained, and checkpoints do not need it.
        self._encoding = (autoencoder, background)

    def _load_images(self, split: str, cache_images_device: str) -> list[dict[str, Tensor]]:
        # To keep images on the CPU is to pin them for a GPU; where there is none, the device is the CPU anyway.
        place = cache_images_device if torch.cuda.is_available() else "gpu"
        data: list[dict[str, Tensor]] = super()._load_images(split, place)
        return data

    def images(self, split: str) -> tuple[Cameras, list[Tensor]]:
        """Cameras (N,) and N images (3, H, W) of "train" or "eval", undistorted and cropped to whole latents."""
        autoencoder, background = self._encoding
        data = self.cached_train if split == "train" else self.cached_eval
        # Only now: undistorting has changed the intrinsics of these.
        cameras = (self.train_dataset if split == "train" else self.eval_dataset).cameras
        images = [_composited(entry["image"], background).cpu() for entry in data]
        full = torch.tensor([[image.shape[2], image.shape[1]] for image in images])
        sizes = full // autoencoder.factor * autoencoder.factor
        if sizes.min() == 0:
            raise InputError(
                "--data", f"has images smaller than the autoencoder's factor {autoencoder.factor}"
            )
        corners = (full - sizes) // 2
        windows = [
            image[:, top : top + height, left : left + width].contiguous()
            for image, (left, top), (width, height) in zip(
                images, corners.tolist(), sizes.tolist(), strict=True
            )
        ]
        return cropped(cameras, corners=corners, sizes=sizes), windows

    @torch.no_grad()
    def views(self, split: str) -> EncodedViews:
        """All views of "train" or "eval", on the device; encoded when they are first asked for."""
        if split not in self._views:
            autoencoder, _ = self._encoding
            cameras, images = self.images(split)
            images = [image.to(self.device) for image in images]
            latents = [autoencoder.encode(image[None])[0] for image in images]
            autoencoded = [autoencoder.decode(code[None])[0].clamp(0, 1) for code in latents]
            self._views[split] = EncodedViews(cameras.to(self.device), images, latents, autoencoded)
        return self._views[split]

    def next_train(self, step: int) -> tuple[Cameras, dict[str, Any]]:
        """Views (B,) on the latent grid and their batch; see `batch`.

        The same step has the same views, whatever was drawn before: a run that is resumed goes on as it would have.
        """
        seed = self.config.train_cameras_sampling_seed + 1_000_003 * step
        order = torch.randperm(len(self.views("train").images), generator=torch.Generator().manual_seed(seed))
        return self.batch("train", order[: self.config.batch_images])

    def next_eval(self, step: int) -> tuple[Cameras, dict[str, Any]]:
        """As `next_train`, of one evaluation view; steps take turns."""
        return self.batch("eval", torch.tensor([step % len(self.views("eval").images)]))

    def batch(self, split: str, index: Tensor) -> tuple[Cameras, dict[str, Any]]:
        """The views `index` (B,) with one pixel per latent, as `latent_views`, and what belongs to them.

        - `image`: latents (R, C), under the name that stock models look for;
        - `photographs`: B images (3, H, W) in [0, 1], and `latent_sizes`, their latents' (h, w).
        """
        views = self.views(split)
        latents = [views.latents[i] for i in index.tolist()]
        return latent_views(views.cameras, index, factor=self._encoding[0].factor), {
            "image": torch.cat([rows(code) for code in latents]),
            "photographs": [views.images[i] for i in index.tolist()],
            "latent_sizes": [(code.shape[1], code.shape[2]) for code in latents],
        }

    def next_eval_image(self, step: int) -> tuple[Cameras, dict[str, Any]]:
        """An evaluation view at full resolution; steps take turns."""
        return self.fixed_indices_eval_dataloader[step % len(self.views("eval").images)]

    @property
    def fixed_indices_eval_dataloader(self) -> list[tuple[Cameras, dict[str, Any]]]:
        """Cameras (1,) of all evaluation views, with `image`, `autoencoded` (H, W, 3) and `latents` (h, w, C)."""
        views = self.views("eval")
        maps = zip(views.images, views.autoencoded, views.latents, strict=True)
        names = ("image", "autoencoded", "latents")
        return [
            (
                views.cameras[i : i + 1],
                {name: values.permute(1, 2, 0) for name, values in zip(names, view, strict=True)},
            )
            for i, view in enumerate(maps)
        ]

    def get_train_rays_per_batch(self) -> int:
        """About how many rays a training step has."""
        latents = self.views("train").latents
        return min(self.config.batch_images, len(latents)) * latents[0][0].numel()


def _composited(image: Tensor, background: tuple[float, float, float]) -> Tensor:
    """(3, H, W) in [0, 1] of an image (H, W, 3 or 4), float in [0, 1] or uint8."""
    values = image.permute(2, 0, 1)
    values = values.float() / 255 if values.dtype == torch.uint8 else values
    if len(values) == 3:
        return values
    return composited(values[:3], values[3:], background)
