"""Every method at a size for one CPU core, on the sphere of `tiny`."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from nerfstudio.configs.base_config import MachineConfig
from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig
from nerfstudio.engine.trainer import Trainer, TrainerConfig
from nerfstudio.models import vanilla_nerf

from latentfields.integrations.nerfstudio.methods import METHODS
from latentfields.latent_nerf.config import StageConfig

RAY_MODELS: Mapping[str, Mapping[str, Any]] = {
    "latent-vanilla-nerf": {
        "num_coarse_samples": 16,
        "num_importance_samples": 16,
        "collider_params": {"near_plane": 0.3, "far_plane": 1.8},
    },
    "latent-tensorf": {
        "init_resolution": 16,
        "final_resolution": 24,
        "upsampling_iters": (40,),
        "num_uniform_samples": 24,
        "num_samples": 12,
    },
    "latent-nerfacto": {
        "implementation": "torch",
        "num_levels": 6,
        "max_res": 64,
        "log2_hashmap_size": 12,
        "hidden_dim": 32,
        "hidden_dim_color": 32,
        "num_proposal_samples_per_ray": (24, 16),
        "num_nerf_samples_per_ray": 12,
        "proposal_net_args_list": [
            {"hidden_dim": 16, "log2_hashmap_size": 10, "num_levels": 4, "max_res": 32}
        ],
        "use_same_proposal_network": True,
        "disable_scene_contraction": True,
        "near_plane": 1.0,
    },
    "latent-kplanes": {"preset": "small"},
    "latent-splatfacto": {"preset": "small"},
}
LEARNING_RATES = {
    "latent-vanilla-nerf": 6.0,
    "latent-tensorf": 2.0,
    "latent-nerfacto": 1.0,
    "latent-kplanes": 1.0,
    "latent-splatfacto": 1.0,
}
"""Factors instead of Table 16's, for a hundred steps instead of thousands."""
SCALES = {"latent-vanilla-nerf": 1 / 3}
"""Of the cameras' distances from the middle, 3. Vanilla NeRF starts as a fog, which a large scene makes opaque."""


def small_config(
    name: str, *, scene: Path, autoencoder: Path, out: Path, supervision: int, alignment: int
) -> TrainerConfig:
    config = copy.deepcopy(METHODS[name].config)
    for option, value in RAY_MODELS[name].items():
        setattr(config.pipeline.model.ray_model, option, value)
    config.pipeline.datamanager.dataparser = BlenderDataParserConfig(
        data=scene, scale_factor=SCALES.get(name, 1.0)
    )
    config.pipeline.autoencoder = str(autoencoder)
    factor = LEARNING_RATES[name]
    config.pipeline.supervision = StageConfig(supervision, factor)
    config.pipeline.alignment = StageConfig(alignment, 0.5 * factor)
    config.optimizers["decoder"]["optimizer"] = replace(config.optimizers["decoder"]["optimizer"], lr=1e-3)
    config.output_dir, config.timestamp = out, "run"
    config.machine = MachineConfig(device_type="cpu", seed=3)
    return config


def narrow_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give Vanilla NeRF, whose width is no option, networks for a CPU."""
    narrow = functools.partial(
        vanilla_nerf.NeRFField,
        base_mlp_num_layers=4,
        base_mlp_layer_width=64,
        skip_connections=(2,),
        head_mlp_layer_width=32,
    )
    monkeypatch.setattr(vanilla_nerf, "NeRFField", narrow)


def trainer_of(config: TrainerConfig) -> Trainer:
    """As `ns-train` does it, before the first step."""
    from nerfstudio.scripts.train import _set_random_seed
    from nerfstudio.utils import writer

    # Those of earlier trainers of this process would write into their folders.
    writer.EVENT_WRITERS.clear()
    _set_random_seed(config.machine.seed)
    trainer = config.setup(local_rank=0, world_size=1)
    trainer.setup()
    return trainer
