"""Two-stage training of a scene (IG-AE Sec. 3.2): Latent Supervision, then RGB Alignment.

In RGB space there is one stage, through the same code: NeRFs see random pixels there, Gaussians whole images.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from latentfields.autoencoders.receptive_field import receptive_field
from latentfields.cameras import Cameras, Rays
from latentfields.devices import read, upload, uses_bfloat16
from latentfields.latent_nerf.config import APPROXIMATE_MARGIN, FitConfig, StageConfig
from latentfields.latent_nerf.crops import Crops, Window
from latentfields.latent_nerf.exposure import ExposureMaps
from latentfields.latent_nerf.few_views import UnseenViews
from latentfields.latent_nerf.losses import point_depth_loss, rgb_alignment_loss
from latentfields.latent_nerf.model import RAYS_PER_CHUNK, LatentNerf
from latentfields.latent_nerf.optimizers import (
    decoder_optimizer,
    field_optimizer,
    rebuilt_optimizer,
    schedule_factor,
)
from latentfields.latent_nerf.scene_model import SceneModel
from latentfields.measures.metrics import LATENT_RANGE, psnr, whole_cells
from latentfields.rendering.rendering import Rendering
from latentfields.scenes.pictures import BATCH
from latentfields.scenes.scene import Scene
from latentfields.scenes.selection import evenly_spread
from latentfields.scenes.shifts import is_shiftable, with_shifts
from latentfields.scenes.sightings import Sightings, sightings
from latentfields.training.checkpoint import with_prefix, without_prefix
from latentfields.training.schedules import set_learning_rates, with_peaks
from latentfields.training.state import Parts, Stateful

CURVE_EVERY = 100
"""Steps between points of the test-PSNR curve."""
CURVE_VIEWS = 4
"""Test views behind a point of that curve."""
CURVE_RAYS = 16
"""Rays of colours behind such a point, in those of a step, at most: a twentieth of what the steps between points cost.
Otherwise a point is of a grid of pixels. Large pictures of scenes without bounds would cost half of the training."""
ALL_KEPT = 1 - 1e-4
"""Share of the pixels of a larger one that count, above which it does: all of them, but for rounding."""
POINTS_PER_STEP = 512
"""Sparse points whose depth a step along rays looks at; on whole images it is all that those see."""


def _with_targets(seen: Rendering, target: Tensor, *, kept: Tensor) -> Rendering:
    """Put the `target` (B, C, h, w) itself where it does not count into what was seen: no loss, no gradient."""
    coarse = None if seen.coarse is None else torch.where(kept, seen.coarse, target)
    return replace(seen, features=torch.where(kept, seen.features, target), coarse=coarse)


def _part(images: Tensor, window: Window | None) -> Tensor:
    """A rectangle of images (B, C, h, w), or all of them."""
    return images if window is None else images[..., window.rows, window.columns]


@dataclass(frozen=True)
class Backward:
    """The first half of a step."""

    seen: Rendering
    """What the loss was taken of."""
    loss: Tensor
    """() the reconstructive loss."""
    stage: Literal["supervision", "alignment"]
    progress: float
    """In [0, 1] of the stage that fits the field to its targets; 1 during RGB Alignment."""


class LatentNerfTrainer:
    """Fits one scene; a `Trainable` for `training.loop.train`.

    Random numbers are drawn on the CPU, whatever device the model is on.
    """

    def __init__(
        self, model: SceneModel, scene: Scene, config: FitConfig, *, unseen: UnseenViews | None = None
    ) -> None:
        """`scene` has sides that are multiples of the factor; `model` is on the device to compute on.

        `unseen` are the views that a prior judges beside those of the scene, if one does.
        """
        self.model, self.scene, self.config, self.unseen = model, scene, config, unseen
        photographs = len(scene.indices("train"))
        if config.space != "rgb":
            shifts = config.shifts_of(model.factor, few_views=unseen is not None and is_shiftable(scene))
            scene = with_shifts(scene, shifts, factor=model.factor)
        self.train_indices = scene.indices("train")
        self.pictures = scene.pictures(self.train_indices).to(model.device)
        kept = scene.kept(self.train_indices)
        self._kept_pixels = None if kept is None else kept.to(model.device)
        self._counted = None if kept is None else kept.flatten().nonzero()[:, 0]
        # A latent counts where all pixels of its cell do.
        self._kept_features = None if kept is None else whole_cells(kept, model.factor).to(model.device)
        # Eq. 2's cache: every training view is encoded once. In RGB space the targets are the pixels themselves,
        # which stay bytes.
        # Draws of latents have a generator of their own: a resumed fit makes the same ones.
        posterior = torch.Generator().manual_seed(config.seed) if config.latents == "sample" else None
        self.latents: Tensor | None = None
        if model.autoencoder is not None:
            self.latents = model.space.targets(self.pictures.batches(), posterior=posterior)
        self.generator = torch.Generator().manual_seed(config.seed)
        self.aligning = False
        self.after_supervision: dict[str, float] = {}
        self.optimizer = field_optimizer(model, config, config.supervision)
        self.decoder_optimizer: torch.optim.Optimizer | None = None
        self._half_decoder = uses_bfloat16(config.decoder_precision, model.device)
        self._cameras = scene.cameras[self.train_indices].to(model.device)
        self._photographs = photographs
        self._exposure: dict[str, ExposureMaps] = {}
        self._exposure_optimizer: torch.optim.Optimizer | None = None
        if config.exposure == "affine":
            self._add_exposure("features", 3 if self.latents is None else self.latents.shape[1])
            if config.space == "latent":
                self._add_exposure("images", 3)
            self._exposure_optimizer = with_peaks(
                torch.optim.Adam(
                    [p for maps in self._exposure.values() for p in maps.parameters()],
                    lr=config.exposure_learning_rate,
                )
            )
        self._supervision_crops = self._crops(margin=model.space.reach if model.local_supervision else None)
        self._alignment_crops = self._crops(margin=self._decoder_margin() if config.aligns else None)
        self._sightings = self._seen_points(scene) if config.point_depth_weight else None

    @property
    def total_steps(self) -> int:
        """Steps of both stages; in RGB space as many steps, of one stage."""
        return self.config.total_steps

    def step(self, index: int, progress: float) -> dict[str, float | str]:
        """One optimiser step of whichever stage `progress` falls in."""
        step = self.backward(index, progress)
        self.update(step)
        values: dict[str, float | str] = {**read({"loss": step.loss}), "stage": step.stage}
        if (index + 1) % CURVE_EVERY == 0:
            values["test_psnr"] = self.curve_psnr()
        return values

    def backward(self, index: int, progress: float) -> Backward:
        """The first half of a step: everything up to the gradients, which are those of this step alone."""
        latent = self.config.space == "latent"
        share = self.config.supervision.steps / self.total_steps if latent else 1.0
        if progress >= share and not self.aligning:
            self._start_alignment()
        # A checkpoint may say that alignment has begun, and that no step was done.
        stage_progress = max(progress - share, 0.0) / (1 - share) if self.aligning else progress / share
        field_progress = 1.0 if self.aligning else stage_progress
        self._advance_fields(field_progress)
        self._set_learning_rates(stage_progress)
        self.model.before_step(step=index, generator=self.generator)
        self.optimizer.zero_grad()
        if self._exposure_optimizer is not None:
            self._exposure_optimizer.zero_grad()
        if not self.aligning:
            return Backward(*self._supervise(field_progress), stage="supervision", progress=field_progress)
        if self.decoder_optimizer is not None:
            self.decoder_optimizer.zero_grad()
        return Backward(*self._align(), stage="alignment", progress=field_progress)

    def update(self, step: Backward, others: Sequence[torch.optim.Optimizer] = ()) -> None:
        """The second half: the optimisers' steps. `others` fit what shares this model's geometry."""
        self.optimizer.step()
        if self._exposure_optimizer is not None:
            self._exposure_optimizer.step()
        if self.decoder_optimizer is not None:
            self.decoder_optimizer.step()
        self.model.after_step(
            step.seen, self.optimizer, progress=step.progress, generator=self.generator, others=others
        )

    @property
    def _along_rays(self) -> bool:
        """True where a step sees random pixels, each by itself: colours of a field that is looked at along rays."""
        return self.config.space == "rgb" and isinstance(self.model, LatentNerf)

    @property
    def _rays_per_step(self) -> int:
        """Random pixels of such a step."""
        return self.config.in_batch(self.config.batch_rays, bounds=self.model.bounds)

    @property
    def _stage(self) -> StageConfig:
        return self.config.alignment if self.aligning else self.config.supervision

    def _crops(self, *, margin: int | None) -> Crops:
        """The parts of pictures that steps look at, with so many latents around; None: whole pictures."""
        factor = self.model.factor
        height, width = (side // factor for side in self.scene.size)
        side = 0 if margin is None or self.model.autoencoder is None else self.config.crop // factor
        return Crops(width, height, side=side, margin=margin or 0)

    def _decoder_margin(self) -> int | None:
        """Latents on each side that a decoded part of a picture depends on; None where it is the whole picture."""
        autoencoder, crop = self.model.autoencoder, self.config.crop
        if autoencoder is None or not 0 < crop < max(self.scene.size):
            return None
        reach = receptive_field(
            self.model.decode,
            channels=autoencoder.channels,
            factor=autoencoder.factor,
            device=self.model.device,
        )
        if self.config.crop_margin == "approximate":
            reach = APPROXIMATE_MARGIN if reach is None else min(reach, APPROXIMATE_MARGIN)
        if reach is None:
            logging.getLogger(__name__).info(
                "The decoder of %s looks at a whole picture for each pixel: so does every step of RGB Alignment; "
                "crop_margin approximate looks at parts of %d pixels",
                autoencoder.name,
                crop,
            )
            return None
        return reach + self.model.space.reach

    def _add_exposure(self, of: str, channels: int) -> None:
        self._exposure[of] = ExposureMaps(self._photographs, channels).to(self.model.device)

    def _exposed(self, values: Tensor, views: Tensor, *, of: str) -> Tensor:
        """The `values` (N, C, ...) as the photographs of training views (N,) would show them."""
        # Shifts of a photograph are as bright as it is.
        return self._exposure[of](values, views % self._photographs) if self._exposure else values

    def _as_photographed(self, seen: Rendering, views: Tensor) -> Rendering:
        """What was `seen`, as the photographs of training views (B,), or one of each of the rays, would show it."""
        coarse = None if seen.coarse is None else self._exposed(seen.coarse, views, of="features")
        return replace(seen, features=self._exposed(seen.features, views, of="features"), coarse=coarse)

    def _seen_points(self, scene: Scene) -> Sightings | None:
        """The sparse points that training views of `scene` see, on the CPU."""
        if scene.points is None:
            return None
        found = sightings(scene.cameras[self.train_indices], scene.points, near=scene.near)
        return found if len(found.views) else None

    def _point_depth_loss_along_rays(self) -> Tensor:
        """The weighted loss of points' depths, along rays of their own."""
        known = self._sightings
        assert known is not None
        assert isinstance(self.model, LatentNerf)
        device = self.model.device
        drawn = torch.randint(len(known.views), (POINTS_PER_STEP,), generator=self.generator)
        cameras = self._cameras[known.views[drawn].to(device)]
        rays = cameras.rays_at(known.positions[drawn].to(device))
        depth = self.model.render_rays(rays, generator=self.generator).depth
        return self.config.point_depth_weight * point_depth_loss(depth, known.distances[drawn].to(device))

    def _point_depth_loss(
        self,
        seen: Rendering,
        chosen: Tensor,
        window: Window | None,
        *,
        cell: tuple[float, float],
        corner: tuple[int, int] = (0, 0),
    ) -> Tensor:
        """The weighted loss of points' depths in images of the views `chosen`.

        Images are whole, or the `window` of a grid of features that covers the picture from the `corner` on, (column,
        row) in pixels; every one of them covers a `cell` of (width, height) pixels.
        """
        known = self._sightings
        assert known is not None
        device = self.model.device
        batch = chosen.cpu()
        which, image = (known.views[:, None] == batch).nonzero(as_tuple=True)
        position = ((known.positions[which] - torch.tensor(corner)) / torch.tensor(cell)).floor().long()
        if window is not None:
            position = position - torch.tensor([window.left, window.top])
        size = torch.tensor([seen.depth.shape[-1], seen.depth.shape[-2]])
        inside = ((position >= 0) & (position < size)).all(dim=-1)
        if not inside.any():
            return seen.depth.new_zeros(())
        which, image, position = which[inside], image[inside], position[inside]
        column, row = position.unbind(-1)
        depth = seen.depth[image.to(device), 0, row.to(device), column.to(device)]
        return self.config.point_depth_weight * point_depth_loss(depth, known.distances[which].to(device))

    def _supervise(self, progress: float) -> tuple[Rendering, Tensor]:
        """What was seen, and the loss of Latent Supervision, at its `progress`."""
        if self._along_rays:
            assert isinstance(self.model, LatentNerf)
            rays, target, views = self._pixel_batch()
            seen = self.model.render_rays(rays, generator=self.generator)
            seen = self._as_photographed(seen, views)
            window = None
        else:
            chosen = self._batch()
            crop = self._supervision_crops.draw(self.generator)
            window = crop.rendered
            cameras, target, kept = self._views(chosen, progress=progress)
            cell = (self.scene.size[1] / target.shape[-1], self.scene.size[0] / target.shape[-2])
            seen = self.model.render_features(cameras, generator=self.generator, window=window)
            seen = self._as_photographed(seen, chosen)
            if kept is not None:
                seen = _with_targets(seen, _part(target, window), kept=_part(kept, window))
            if window is not None:
                target, inside = _part(target, crop.kept), crop.kept.within(window)
                coarse = None if seen.coarse is None else _part(seen.coarse, inside)
                seen = replace(seen, features=_part(seen.features, inside), coarse=coarse)
        loss = self.model.supervision_loss(seen.features, target)
        total = loss + self._own_losses(seen)
        if seen.coarse is not None:
            total = total + self.model.supervision_loss(seen.coarse, target)
        if self._sightings is not None:
            total = total + (
                self._point_depth_loss_along_rays()
                if self._along_rays
                else self._point_depth_loss(seen, chosen, window, cell=cell)
            )
        if self.unseen is not None:
            total = total + self.unseen.loss(self.model, progress=progress, generator=self.generator)
        total.backward()
        return seen, loss.detach()

    def _align(self) -> tuple[Rendering, Tensor]:
        """What was seen, and the loss of RGB Alignment."""
        chosen, factor = self._batch(), self.model.factor
        left, top = self._grid_corner()
        cameras, crops = self._cameras[chosen], self._alignment_crops
        if left or top:
            crops = replace(crops, width=crops.width - bool(left), height=crops.height - bool(top))
            cameras = Window(0, 0, crops.width, crops.height).times(factor).moved(left, top).of(cameras)
        crop = crops.draw(self.generator)
        window, pixels = crop.rendered, crop.kept.times(factor).moved(left, top)
        seen = self.model.render_features(cameras, generator=self.generator, window=window)
        decoded = self._decode(seen.features)
        if window is not None:
            decoded = _part(decoded, crop.kept.within(window).times(factor))
        decoded = self._exposed(decoded, chosen, of="images")
        images = self.pictures.images(chosen, rows=pixels.rows, columns=pixels.columns)
        if self._kept_pixels is not None:
            decoded = torch.where(_part(self._kept_pixels[chosen], pixels), decoded, images)
        loss = rgb_alignment_loss(decoded, images)
        total = loss
        if self.config.alignment_objective == "regularised":
            total = total + self._own_losses(seen)
            if self._sightings is not None:
                total = total + self._point_depth_loss(
                    seen, chosen, window, cell=(factor, factor), corner=(left, top)
                )
        if self.unseen is not None:
            total = total + self.unseen.loss(self.model, progress=1.0, generator=self.generator)
        total.backward()
        return seen, loss.detach()

    def _grid_corner(self) -> tuple[int, int]:
        """Column and row of the pixel where the grid of latents begins, in a step of RGB Alignment."""
        if self.config.alignment_grid == "fixed":
            return 0, 0
        left, top = torch.randint(self.model.factor, (2,), generator=self.generator).tolist()
        # A picture of one latent has no room to move it.
        return left * (self._alignment_crops.width > 1), top * (self._alignment_crops.height > 1)

    def _decode(self, features: Tensor) -> Tensor:
        with torch.autocast(self.model.device.type, dtype=torch.bfloat16, enabled=self._half_decoder):
            return self.model.decode(features).float()

    def _own_losses(self, seen: Rendering) -> Tensor:
        """The losses that fields and sampler have of their own."""
        terms = [part.regularisation() for part in self.model.representations().values()]
        if seen.loss is not None:
            terms.append(seen.loss.mean())
        return torch.stack(terms).sum()

    def _views(self, chosen: Tensor, *, progress: float) -> tuple[Cameras, Tensor, Tensor | None]:
        """Cameras of training views, what features (B, C, h, w) they are to show, and where that counts, if not all.

        In a fit that goes from coarse to fine, smaller views: a larger pixel is to show the mean of those it covers.
        """
        cameras, target = self._cameras[chosen], self._targets(chosen)
        kept = None if self._kept_features is None else self._kept_features[chosen]
        reduction = self.model.reduction(progress, size=self.scene.size)
        if reduction == 1:
            return cameras, target, kept
        height, width = (max(side // reduction, 1) for side in target.shape[-2:])
        cameras = cameras.resized(width=self.model.factor * width, height=self.model.factor * height)
        target = interpolate(target, size=(height, width), mode="area")
        if kept is not None:
            kept = interpolate(kept.float(), size=(height, width), mode="area") > ALL_KEPT
        return cameras, target, kept

    def _targets(self, chosen: Tensor) -> Tensor:
        """What the features (B, C, h, w) of training views are to be."""
        return self.pictures.images(chosen) if self.latents is None else self.latents[chosen]

    def _batch(self) -> Tensor:
        """Training views of one step, without repetition."""
        count = self.config.in_batch(self.config.batch_images, bounds=self.model.bounds)
        count = min(count, len(self.train_indices))
        chosen = torch.randperm(len(self.train_indices), generator=self.generator)[:count]
        return upload(chosen, self.model.device)

    def _pixel_batch(self) -> tuple[Rays, Tensor, Tensor]:
        """The rays (R, 3) through random pixels that count, of all training views, the colours there, the views."""
        height, width = self.scene.size
        count = len(self.pictures) * height * width if self._counted is None else len(self._counted)
        drawn = torch.randint(count, (self._rays_per_step,), generator=self.generator)
        chosen = upload(drawn if self._counted is None else self._counted[drawn], self.model.device)
        view, row, column = chosen // (height * width), chosen // width % height, chosen % width
        rays = self._cameras[view].rays_at(torch.stack([column, row], dim=-1) + 0.5)
        return rays, self.pictures.colors(view, row, column), view

    def _advance_fields(self, progress: float) -> None:
        """Let fields change with the progress of supervision; where parameters were replaced, so is the optimiser."""
        replaced = [part.advance(progress) for part in self.model.representations().values()]
        if any(replaced):
            self.optimizer = rebuilt_optimizer(self.model, self.config, self._stage, self.optimizer)

    def _start_alignment(self) -> None:
        """The boundary between the stages: scores so far, field optimiser kept or new, that of a decoder that moves."""
        self.after_supervision = {
            "test_psnr": self.test_psnr(None),
            "test_latent_psnr": self.test_latent_psnr(),
        }
        self.aligning = True
        self._make_alignment_optimizers()

    def _make_alignment_optimizers(self) -> None:
        rescaled = field_optimizer(self.model, self.config, self.config.alignment)
        if self.config.optimizer_at_alignment == "reset":
            self.optimizer = rescaled
        else:
            for group, new in zip(self.optimizer.param_groups, rescaled.param_groups, strict=True):
                group["peak"] = new["peak"]
        if self.config.moves_decoder:
            self.decoder_optimizer = decoder_optimizer(self.model, self.config)
        elif self.model.autoencoder is not None:
            # One decoder for all scenes: no time for gradients of what stays.
            self.model.autoencoder.requires_grad_(False)

    def _set_learning_rates(self, stage_progress: float) -> None:
        options = self.config.field.optimizer
        steps = self.total_steps if self.config.space == "rgb" else self._stage.steps
        factor = schedule_factor(options, progress=stage_progress, steps=steps)
        set_learning_rates(self.optimizer, factor, progress=stage_progress)
        if self.decoder_optimizer is not None:
            decoder_factor = self.config.decoder_final_learning_rate**stage_progress
            set_learning_rates(self.decoder_optimizer, decoder_factor, progress=stage_progress)

    def curve_psnr(self) -> float:
        """Mean PSNR of a few decoded test views, or of a grid of their pixels where whole pictures would cost much."""
        indices = evenly_spread(self.scene.indices("test"), CURVE_VIEWS)
        height, width = self.scene.size
        stride = math.ceil(math.sqrt(len(indices) * height * width / (CURVE_RAYS * self._rays_per_step)))
        # Of the pixels that masks do not ignore, a grid might hold none.
        if not self._along_rays or stride == 1 or self.scene.ignored is not None:
            return self.test_psnr(CURVE_VIEWS)
        rows, columns = (torch.arange(stride // 2, side, stride) for side in (height, width))
        position = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1) + 0.5
        seen = self._seen_at(self.scene.cameras[indices], position).cpu()
        truth = self.scene.images(indices)[..., rows[:, None], columns]
        return float(psnr(seen, truth).mean())

    @torch.no_grad()
    def _seen_at(self, cameras: Cameras, positions: Tensor) -> Tensor:
        """Colours (B, 3, h, w) in [0, 1] that B `cameras` see at `positions` (h, w, 2), column and row in pixels."""
        assert isinstance(self.model, LatentNerf)
        device = self.model.device
        rays = cameras.to(device).rays_at(positions.to(device).expand(len(cameras), -1, -1, -1)).flatten()
        parts = [self.model.render_rays(chunk).features for chunk in rays.split(RAYS_PER_CHUNK)]
        return torch.cat(parts).view(len(cameras), *positions.shape[:2], 3).permute(0, 3, 1, 2).clamp(0, 1)

    def test_psnr(self, views: int | None) -> float:
        """Mean PSNR of decoded test views against the images; `views` evenly spread ones, or all."""
        indices = self.scene.indices("test")
        if views is not None:
            indices = evenly_spread(indices, views)
        values = []
        for chunk in indices.split(BATCH):
            images, _ = self.model.render(self.scene.cameras[chunk])
            values.append(psnr(images, self.scene.images(chunk), kept=self.scene.kept(chunk)))
        return float(torch.cat(values).mean())

    def test_latent_psnr(self) -> float:
        """Mean PSNR of rendered against encoded normalised latents of the test views."""
        assert self.model.autoencoder is not None
        values = []
        for chunk in self.scene.indices("test").split(BATCH):
            _, seen = self.model.render(self.scene.cameras[chunk])
            encoded = self.model.encode(self.scene.images(chunk))
            kept = self.scene.kept(chunk)
            cells = None if kept is None else whole_cells(kept, self.model.factor)
            values.append(psnr(seen.features, encoded, data_range=LATENT_RANGE, kept=cells))
        return float(torch.cat(values).mean())

    def _parts(self) -> Parts:
        """The parts that are saved beside the scene: a decoder that moves, and its optimiser, from RGB Alignment on."""
        generators = {"generator": self.generator}
        modules: dict[str, Stateful] = {f"exposure_{of}": maps for of, maps in self._exposure.items()}
        optimizers = {"field": self.optimizer}
        if self._exposure_optimizer is not None:
            optimizers["exposure"] = self._exposure_optimizer
        if self.decoder_optimizer is not None and self.model.autoencoder is not None:
            modules["decoder_weights"] = self.model.autoencoder.codec.decoder_module()
            optimizers["decoder"] = self.decoder_optimizer
        return Parts(modules=modules, optimizers=optimizers, generators=generators)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Scene, decoder, optimisers and random generator."""
        tensors, groups = self._parts().pack()
        return tensors | with_prefix("scene", self.model.scene_state()), {
            "groups": groups,
            "aligning": self.aligning,
            "after_supervision": self.after_supervision,
        }

    def restore(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
        """Continue from `state`."""
        self.model.load_scene_state(without_prefix("scene", tensors))
        self.resume(tensors, metadata)

    def resume(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
        """Continue from `state` with a model that does so already."""
        # Fields may have replaced parameters.
        self.optimizer = field_optimizer(self.model, self.config, self.config.supervision)
        self.aligning = metadata["aligning"]
        self.after_supervision = metadata["after_supervision"]
        if self.aligning:
            self._make_alignment_optimizers()
        self._parts().unpack(tensors, metadata["groups"])
