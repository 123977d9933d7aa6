"""Optimisers and learning rates of a fit: those of the field and its sampler, and that of the decoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from latentfields.fields.config import OptimizerConfig
from latentfields.latent_nerf.config import FitConfig, StageConfig
from latentfields.latent_nerf.scene_model import SceneModel
from latentfields.training.muon import MuonWithAdam
from latentfields.training.schedules import cosine_decay, with_peaks

MUON_FACTOR = 8.0
"""Times Adam's learning rate that Muon's is: how far a step moves matrices, in spectral norm."""
MOMENTUM = 0.95
"""Of Muon."""
FEWEST_UNITS = 16
"""Rows and columns of the matrices that Muon moves, at least."""


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
    elif options.kind == "muon":
        optimizer = MuonWithAdam(part for group in groups for part in _matrices_apart(group, options))
    else:
        optimizer = torch.optim.RAdam(groups, eps=options.eps, betas=(0.9, options.beta2))
    return with_peaks(optimizer)


def _matrices_apart(group: Mapping[str, Any], options: OptimizerConfig) -> Iterator[dict[str, Any]]:
    """The group's matrices as one for Muon, and everything else as one for Adam; without those that would be empty."""
    matrices = [parameter for parameter in group["params"] if is_matrix(parameter)]
    chosen = {id(parameter) for parameter in matrices}
    others = [parameter for parameter in group["params"] if id(parameter) not in chosen]
    if matrices:
        yield {**group, "params": matrices, "lr": MUON_FACTOR * group["lr"], "momentum": MOMENTUM}
    if others:
        yield {**group, "params": others, "betas": (0.9, options.beta2), "eps": options.eps}


def is_matrix(parameter: Tensor) -> bool:
    """True for weights between layers of many units each: what an orthogonal update is made for."""
    return parameter.dim() == 2 and min(parameter.shape) >= FEWEST_UNITS


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
