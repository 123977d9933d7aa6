"""Optimisers and learning rates of a fit: those of the field and its sampler, and that of the decoder."""

from __future__ import annotations

import torch
from torch import nn

from latentfields.fields.config import OptimizerConfig
from latentfields.latent_nerf.config import FitConfig, StageConfig
from latentfields.latent_nerf.scene_model import SceneModel
from latentfields.training.schedules import cosine_decay, with_peaks


def field_optimizer(model: SceneModel, config: FitConfig, stage: StageConfig) -> torch.optim.Optimizer:
    """The field's optimiser for everything of the scene; every group keeps its highest learning rate as `peak`."""
    factor = stage.learning_rate_factor
    groups = [
        group
        for representation in model.representations().values()
        for group in representation.parameter_groups(learning_rate_factor=factor)
    ]
    extra = [model.background] if isinstance(model.background, nn.Parameter) else []
    extra += model.projection.parameters() if model.projection is not None else []
    if extra:
        groups.append({"params": extra, "lr": config.subpixel_learning_rate * factor})
    options = config.field.optimizer
    optimizer: torch.optim.Optimizer
    if options.kind == "adam":
        optimizer = torch.optim.Adam(groups, eps=options.eps, betas=(0.9, options.beta2), fused=True)
    else:
        optimizer = torch.optim.RAdam(groups, eps=options.eps, betas=(0.9, options.beta2))
    return with_peaks(optimizer)


def decoder_optimizer(model: SceneModel, config: FitConfig) -> torch.optim.Optimizer:
    """Adam for the decoder, as in Table 16."""
    assert model.autoencoder is not None
    parameters = list(model.autoencoder.decoder_parameters())
    return with_peaks(torch.optim.Adam(parameters, lr=config.decoder_learning_rate, fused=True))


def rebuilt_optimizer(
    model: SceneModel, config: FitConfig, stage: StageConfig, old: torch.optim.Optimizer
) -> torch.optim.Optimizer:
    """A new optimiser after a field has replaced parameters; those that it kept keep their moments."""
    optimizer = field_optimizer(model, config, stage)
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter in old.state:
                optimizer.state[parameter] = old.state[parameter]
    return optimizer


def schedule_factor(options: OptimizerConfig, *, progress: float, steps: int) -> float:
    """Fraction in [0, 1] of the peak learning rate at `progress` in [0, 1] of a stage of `steps` steps."""
    step = progress * steps
    if step < options.warmup_steps:
        return step / options.warmup_steps
    length = (steps if options.schedule_steps is None else options.schedule_steps) - options.warmup_steps
    share = min((step - options.warmup_steps) / length, 1.0) if length > 0 else 1.0
    final = options.final_learning_rate
    if options.schedule == "constant":
        return 1.0
    if options.schedule == "exponential":
        return float(final**share)
    return cosine_decay(share, final=final)
