"""Two-stage training of a latent NeRF (IG-AE Sec. 3.2): Latent Supervision, then RGB Alignment.

In RGB space there is one stage, on random pixels, through the same code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from latentfields.cameras import Rays
from latentfields.evaluation.metrics import LATENT_RANGE, psnr
from latentfields.latent_nerf.config import FitConfig, StageConfig
from latentfields.latent_nerf.losses import latent_supervision_loss, rgb_alignment_loss
from latentfields.latent_nerf.model import LatentNerf
from latentfields.scenes.scene import Scene
from latentfields.training.checkpoint import pack_optimizer, unpack_optimizer, with_prefix, without_prefix

CURVE_EVERY = 100
"""Steps between points of the test-PSNR curve."""
CURVE_VIEWS = 4
"""Test views behind a point of that curve."""
GRID_SHARE = 0.25
"""Share of the density grid's cells that one update looks at, after the warm-up."""


class LatentNerfTrainer:
    """Fits one scene; a `Trainable` for `training.loop.train`."""

    def __init__(self, model: LatentNerf, scene: Scene, config: FitConfig) -> None:
        """`scene` has sides that are multiples of the factor."""
        self.model, self.scene, self.config = model, scene, config
        self.train_indices = scene.indices("train")
        self.images = scene.images(self.train_indices)
        # Eq. 2's cache: every training view is encoded once. In RGB space the targets are the pixels themselves.
        autoencoder = model.autoencoder
        self.targets = self.images if autoencoder is None else autoencoder.encode_batches(self.images)
        self.generator = torch.Generator().manual_seed(config.seed)
        self.aligning = False
        self.after_supervision: dict[str, float] = {}
        self.optimizer = self._field_optimizer(config.supervision)
        self.decoder_optimizer: torch.optim.Optimizer | None = None
        self._rays = self._all_rays() if config.space == "rgb" else None

    @property
    def total_steps(self) -> int:
        """Steps of both stages; in RGB space as many steps, of one stage."""
        return self.config.supervision.steps + self.config.alignment.steps

    def step(self, index: int, progress: float) -> dict[str, float | str]:
        """One optimiser step of whichever stage `progress` falls in."""
        share = self.config.supervision.steps / self.total_steps if self.config.space == "latent" else 1.0
        if progress >= share and not self.aligning:
            self._start_alignment()
        stage_progress = (progress - share) / (1 - share) if self.aligning else progress / share
        self._set_learning_rates(stage_progress)
        self._update_grid(index)
        values = self._alignment_step() if self.aligning else self._supervision_step()
        if (index + 1) % CURVE_EVERY == 0:
            values["test_psnr"] = self.test_psnr(CURVE_VIEWS)
        return values

    def _supervision_step(self) -> dict[str, float | str]:
        self.optimizer.zero_grad()
        if self._rays is not None:
            rendered, target = self._pixel_batch(self._rays)
        else:
            chosen = self._batch()
            cameras = self.scene.cameras[self.train_indices[chosen]]
            rendered = self.model.render_features(cameras, generator=self.generator).features
            target = self.targets[chosen]
        loss = latent_supervision_loss(rendered, target)
        total = loss + self.model.field.regularisation()
        total.backward()
        self.optimizer.step()
        return {"loss": float(loss.detach()), "stage": "supervision"}

    def _alignment_step(self) -> dict[str, float | str]:
        assert self.decoder_optimizer is not None
        self.optimizer.zero_grad()
        self.decoder_optimizer.zero_grad()
        chosen = self._batch()
        cameras = self.scene.cameras[self.train_indices[chosen]]
        decoded = self.model.decode(self.model.render_features(cameras, generator=self.generator).features)
        loss = rgb_alignment_loss(decoded, self.images[chosen])
        total = loss + self.model.field.regularisation()
        total.backward()
        self.optimizer.step()
        self.decoder_optimizer.step()
        return {"loss": float(loss.detach()), "stage": "alignment"}

    def _batch(self) -> Tensor:
        """Training views of one step, without repetition."""
        count = min(self.config.batch_images, len(self.train_indices))
        return torch.randperm(len(self.train_indices), generator=self.generator)[:count]

    def _all_rays(self) -> Rays:
        return self.scene.cameras[self.train_indices].rays().flatten()

    def _pixel_batch(self, rays: Rays) -> tuple[Tensor, Tensor]:
        chosen = torch.randint(len(rays), (self.config.batch_rays,), generator=self.generator)
        pixels = self.targets.permute(0, 2, 3, 1).reshape(-1, 3)
        return self.model.render_rays(rays[chosen], generator=self.generator).features, pixels[chosen]

    def _update_grid(self, index: int) -> None:
        sampling = self.config.sampling
        if index % sampling.grid_every == 0:
            share = 1.0 if index < sampling.grid_warmup else GRID_SHARE
            self.model.grid.update(self.model.field.density, share=share, generator=self.generator)

    def _start_alignment(self) -> None:
        """The boundary between the stages: scores so far, decoder optimiser, field optimiser kept or new."""
        self.after_supervision = {
            "test_psnr": self.test_psnr(None),
            "test_latent_psnr": self.test_latent_psnr(),
        }
        self.aligning = True
        self._make_alignment_optimizers()

    def _make_alignment_optimizers(self) -> None:
        if self.config.optimizer_at_alignment == "reset":
            self.optimizer = self._field_optimizer(self.config.alignment)
        else:
            rescaled = self._field_optimizer(self.config.alignment)
            for group, new in zip(self.optimizer.param_groups, rescaled.param_groups, strict=True):
                group["peak"] = new["peak"]
        assert self.model.autoencoder is not None
        decoder = list(self.model.autoencoder.decoder_parameters())
        self.decoder_optimizer = torch.optim.Adam(decoder, lr=self.config.decoder_learning_rate, fused=True)
        self.decoder_optimizer.param_groups[0]["peak"] = self.config.decoder_learning_rate

    def _field_optimizer(self, stage: StageConfig) -> torch.optim.Optimizer:
        groups = self.model.field.parameter_groups(learning_rate_factor=stage.learning_rate_factor)
        extra = [self.model.background] if isinstance(self.model.background, torch.nn.Parameter) else []
        extra += self.model.projection.parameters() if self.model.projection is not None else []
        if extra:
            rate = self.config.subpixel_learning_rate * stage.learning_rate_factor
            groups.append({"params": extra, "lr": rate})
        optimizer = torch.optim.Adam(groups, eps=1e-15, betas=(0.9, 0.99), fused=True)
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
        return optimizer

    def _set_learning_rates(self, stage_progress: float) -> None:
        stage = self.config.alignment if self.aligning else self.config.supervision
        for optimizer in filter(None, (self.optimizer, self.decoder_optimizer)):
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * stage.final_learning_rate**stage_progress

    def test_psnr(self, views: int | None) -> float:
        """Mean PSNR of decoded test views against the images; `views` evenly spread ones, or all."""
        indices = self.scene.indices("test")
        if views is not None and views < len(indices):
            indices = indices[torch.linspace(0, len(indices) - 1, views).round().long()]
        images, _ = self.model.render(self.scene.cameras[indices])
        return float(psnr(images, self.scene.images(indices)).mean())

    def test_latent_psnr(self) -> float:
        """Mean PSNR of rendered against encoded normalised latents of the test views."""
        assert self.model.autoencoder is not None
        indices = self.scene.indices("test")
        _, view = self.model.render(self.scene.cameras[indices])
        encoded = self.model.autoencoder.encode_batches(self.scene.images(indices))
        return float(psnr(view.features, encoded, data_range=LATENT_RANGE).mean())

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Scene, decoder, optimisers and random generator."""
        tensors = with_prefix("scene", self.model.scene_state()) | {"generator": self.generator.get_state()}
        optimizers = {"field": self.optimizer}
        if self.decoder_optimizer is not None and self.model.autoencoder is not None:
            optimizers["decoder"] = self.decoder_optimizer
            tensors |= with_prefix(
                "decoder_weights", self.model.autoencoder.codec.decoder_module().state_dict()
            )
        groups = {}
        for name, optimizer in optimizers.items():
            packed, groups[name] = pack_optimizer(optimizer, name)
            tensors |= packed
        return tensors, {
            "groups": groups,
            "aligning": self.aligning,
            "after_supervision": self.after_supervision,
        }

    def restore(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
        """Continue from `state`."""
        self.model.load_scene_state(without_prefix("scene", tensors))
        self.generator.set_state(tensors["generator"])
        self.aligning = metadata["aligning"]
        self.after_supervision = metadata["after_supervision"]
        optimizers = {"field": self.optimizer}
        if self.aligning:
            self._make_alignment_optimizers()
            assert self.decoder_optimizer is not None
            assert self.model.autoencoder is not None
            self.model.autoencoder.codec.decoder_module().load_state_dict(
                without_prefix("decoder_weights", tensors)
            )
            optimizers = {"field": self.optimizer, "decoder": self.decoder_optimizer}
        for name, optimizer in optimizers.items():
            unpack_optimizer(optimizer, name, tensors, metadata["groups"][name])
