"""The two stages of a latent NeRF (IG-AE Sec. 3.2) as a pipeline of Nerfstudio's.

Shape suffixes: R rays, C latent channels, H, W image size, h, w latent grid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import torch
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackAttributes, TrainingCallbackLocation
from nerfstudio.pipelines.base_pipeline import VanillaPipeline, VanillaPipelineConfig
from torch import Tensor

from latentfields.autoencoders.load import load_autoencoder
from latentfields.errors import InputError
from latentfields.fields.config import OptimizerConfig
from latentfields.integrations.nerfstudio.datamanager import LatentDatamanager, LatentDatamanagerConfig
from latentfields.integrations.nerfstudio.model import COLORS, LatentModel, LatentModelConfig
from latentfields.integrations.nerfstudio.own_model import OwnModel
from latentfields.integrations.nerfstudio.schedule import SCHEDULE, follow_parameters, set_learning_rate
from latentfields.integrations.nerfstudio.views import maps
from latentfields.latent_nerf.config import StageConfig
from latentfields.latent_nerf.losses import rgb_alignment_loss

RECONSTRUCTION = "rgb_loss"
"""How the names of losses begin that compare rays with targets; the others are the method's regularisers."""


@dataclass
class LatentPipelineConfig(VanillaPipelineConfig):
    """Latent Supervision, then RGB Alignment."""

    _target: type = field(default_factory=lambda: LatentPipeline)
    """target class to instantiate"""
    datamanager: LatentDatamanagerConfig = field(default_factory=LatentDatamanagerConfig)
    """specifies the datamanager config"""
    model: LatentModelConfig = field(default_factory=LatentModelConfig)
    """specifies the model config"""
    autoencoder: str = "base"
    """packaged name, folder, or Hub id of a diffusers autoencoder"""
    supervision: StageConfig = field(default_factory=lambda: StageConfig(10_000, 1.0))
    """Latent Supervision (IG-AE Eq. 2): the model is fitted to latents"""
    alignment: StageConfig = field(default_factory=lambda: StageConfig(15_000, 1.0))
    """RGB Alignment (IG-AE Eq. 3): model and decoder are fitted to images; optimisers start anew"""


class LatentPipeline(VanillaPipeline):
    """Hands the autoencoder to data and model, and trains both stages; ends training when both are done."""

    config: LatentPipelineConfig
    datamanager: LatentDatamanager

    def __init__(
        self,
        config: LatentPipelineConfig,
        device: str,
        test_mode: Literal["test", "val", "inference"] = "val",
        world_size: int = 1,
        local_rank: int = 0,
        grad_scaler: Any = None,
    ) -> None:
        """As `VanillaPipeline`. Raises InputError for a missing autoencoder and for more than one process."""
        # Its own constructor would make the model without an autoencoder.
        super(VanillaPipeline, self).__init__()
        if world_size > 1:
            raise InputError("--machine.num-devices", "is more than 1; latent methods train on one device")
        self.config, self.test_mode, self.world_size = config, test_mode, world_size
        self._random_state: Tensor | None = None
        autoencoder = load_autoencoder(config.autoencoder).to(device).eval()
        self.datamanager = config.datamanager.setup(device=device, test_mode=test_mode)
        self.datamanager.encode_with(autoencoder, COLORS.get(config.model.background, COLORS["white"]))
        if test_mode == "val":
            autoencoder.ensure_statistics(lambda: torch.stack(self.datamanager.images("train")[1]))
        self._original = (autoencoder,)
        dataset = self.datamanager.train_dataset
        self._model: LatentModel = config.model.setup(
            autoencoder=autoencoder.clone(),
            scene_box=dataset.scene_box,
            num_train_data=len(dataset),
            metadata=dataset.metadata,
            device=device,
            grad_scaler=grad_scaler,
        )
        self.model.to(device)

    @property
    def total_steps(self) -> int:
        """Iterations of both stages."""
        return self.config.supervision.steps + self.config.alignment.steps

    def aligning(self, step: int) -> bool:
        """True when iteration `step` belongs to RGB Alignment."""
        return step >= self.config.supervision.steps

    def get_train_loss_dict(self, step: int) -> tuple[Any, dict[str, Tensor], dict[str, Tensor]]:
        """Outputs, losses and metrics of a training batch."""
        return self._losses(step, *self.datamanager.next_train(step))

    def get_eval_loss_dict(self, step: int) -> tuple[Any, dict[str, Tensor], dict[str, Tensor]]:
        """Outputs, losses and metrics of an evaluation view."""
        self.eval()
        with torch.no_grad():
            result = self._losses(step, *self.datamanager.next_eval(step))
        self.train()
        return result

    def _losses(
        self, step: int, views: Cameras, batch: dict[str, Any]
    ) -> tuple[Any, dict[str, Tensor], dict[str, Tensor]]:
        outputs = self._model(views)
        metrics = self.model.get_metrics_dict(outputs, batch)
        losses = self.model.get_loss_dict(outputs, batch, metrics)
        if self.aligning(step):
            losses = {name: loss for name, loss in losses.items() if not name.startswith(RECONSTRUCTION)}
            losses["alignment_loss"] = self._alignment_loss(self.model.latents(outputs), batch)
        return outputs, losses, metrics

    def _alignment_loss(self, latents: Tensor, batch: Mapping[str, Any]) -> Tensor:
        """Eq. 3 for the rays' latents (R, C), a mean over views."""
        views = maps(latents, batch["latent_sizes"])
        terms = [
            rgb_alignment_loss(self.model.decode(view), photograph[None])
            for view, photograph in zip(views, batch["photographs"], strict=True)
        ]
        return torch.stack(terms).mean()

    def get_training_callbacks(
        self, training_callback_attributes: TrainingCallbackAttributes
    ) -> list[TrainingCallback]:
        """The model's, then what prepares every step. Raises InputError when there is nothing left to train."""
        trainer = training_callback_attributes.trainer
        left = self.total_steps - trainer._start_step
        if left < 1:
            raise InputError("--load-dir", f"holds a run that has done its {self.total_steps} iterations")
        # Nerfstudio counts from where a resumed run starts.
        trainer.config.max_num_iterations = min(trainer.config.max_num_iterations, left)
        if self._random_state is not None:
            torch.set_rng_state(self._random_state)
        prepare = TrainingCallback(
            where_to_run=[TrainingCallbackLocation.BEFORE_TRAIN_ITERATION],
            update_every_num_iters=1,
            func=partial(self._prepare_step, training_callback_attributes.optimizers),
        )
        return [*self.model.get_training_callbacks(training_callback_attributes), prepare]

    def _prepare_step(self, optimizers: Any, step: int) -> None:
        """Optimisers of the stage that `step` belongs to, with its learning rates."""
        supervision, alignment = self.config.supervision, self.config.alignment
        aligning = self.aligning(step)
        stage, start = (alignment, supervision.steps) if aligning else (supervision, 0)
        groups = self.model.get_param_groups()
        for name, optimizer in optimizers.optimizers.items():
            follow_parameters(optimizer, groups[name])
            if step == supervision.steps:
                optimizer.state.clear()
            set_learning_rate(
                optimizer,
                self._schedule(optimizers.config[name]),
                peak=optimizers.config[name]["optimizer"].lr,
                factor=1.0 if name == "decoder" else stage.learning_rate_factor,
                step=step - start,
                steps=stage.steps,
            )

    def _schedule(self, group: Mapping[str, Any]) -> OptimizerConfig:
        """The schedule of an optimiser's configuration; own fields bring theirs in their preset."""
        if SCHEDULE in group:
            options: OptimizerConfig = group[SCHEDULE].options()
            return options
        assert isinstance(self.model.ray_model, OwnModel)
        return self.model.ray_model.schedule

    def load_pipeline(self, loaded_state: dict[str, Any], step: int) -> None:
        """Restore a checkpoint's model, decoder, latent statistics and random numbers."""
        super().load_pipeline(loaded_state, step)
        for autoencoder in (*self._original, self.model.autoencoder):
            autoencoder.set_statistics(self.model.stored_statistics())

    def get_extra_state(self) -> Tensor:
        """State of the CPU's random numbers, for checkpoints."""
        return torch.get_rng_state()

    def set_extra_state(self, state: Tensor) -> None:
        """Note the random numbers' state of a checkpoint; training that goes on from it starts with it."""
        self._random_state = state.cpu()
