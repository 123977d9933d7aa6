"""Nerfstudio's methods with the paper's settings (IG-AE Table 16), under the names that its commands list.

Numbers of Table 16 come from the recipes of the package's own fields (`fields/config.py`). Where the table says
"Nerfstudio default", the values are those of Nerfstudio 1.1.5. A method that is not here needs a
configuration of its stock model and a call of `latent_method`; docs/nerfstudio.md shows one.
"""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from nerfstudio.cameras.camera_optimizers import CameraOptimizerConfig
from nerfstudio.configs.base_config import InstantiateConfig, MachineConfig, ViewerConfig
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig
from nerfstudio.engine.optimizers import AdamOptimizerConfig, RAdamOptimizerConfig
from nerfstudio.engine.trainer import TrainerConfig
from nerfstudio.models.instant_ngp import InstantNGPModelConfig
from nerfstudio.models.nerfacto import NerfactoModelConfig
from nerfstudio.models.tensorf import TensoRFModelConfig
from nerfstudio.models.vanilla_nerf import VanillaModelConfig
from nerfstudio.plugins.types import MethodSpecification

from latentfields.fields.config import (
    RECIPES,
    InstantNgpConfig,
    OptimizerConfig,
    Recipe,
    TensorfConfig,
    VanillaConfig,
)
from latentfields.integrations.nerfstudio.datamanager import LatentDatamanagerConfig
from latentfields.integrations.nerfstudio.fields import FieldModelConfig
from latentfields.integrations.nerfstudio.gaussians import GaussianModelConfig
from latentfields.integrations.nerfstudio.model import LatentModelConfig
from latentfields.integrations.nerfstudio.pipeline import LatentPipelineConfig
from latentfields.integrations.nerfstudio.schedule import SCHEDULE, LearningRateSchedule
from latentfields.integrations.nerfstudio.tensorf import BackgroundFreeTensoRF
from latentfields.latent_nerf.config import StageConfig
from latentfields.latent_nerf.presets import preset

SHARED = preset("kplanes", "paper")
"""What Table 16 has for all methods alike: iterations, and the decoder's optimiser."""
PLANES = {"near_plane": 0.2, "far_plane": 4.0}
"""Near and far of models with fixed ones, for the unit cube to which Nerfstudio's data parser scales the cameras."""

F = TypeVar("F")
Groups = dict[str, dict[str, Any]]


def group(optimizer: Any, schedule: LearningRateSchedule | None = None) -> dict[str, Any]:
    """An entry of Nerfstudio's dictionary of optimisers; the schedule is constant by default."""
    # Nerfstudio asks for its own scheduler by this name.
    return {"optimizer": optimizer, "scheduler": None, SCHEDULE: schedule or LearningRateSchedule()}


def latent_method(
    name: str,
    description: str,
    ray_model: InstantiateConfig,
    optimizers: Groups,
    *,
    xi_supervision: float,
    xi_alignment: float,
    mixed_precision: bool = False,
    datamanager: LatentDatamanagerConfig | None = None,
) -> MethodSpecification:
    """The method `name` that fits `ray_model` to latents and aligns it.

    `optimizers` holds the model's parameter groups, each made by `group`; the decoder's and that of a learned
    background are added. `xi_supervision` and `xi_alignment` multiply their learning rates in the two stages.
    Without a `datamanager`, steps have four images of data in Nerfstudio's own format.
    """
    supervision, alignment = SHARED.supervision.steps, SHARED.alignment.steps
    decoder = LearningRateSchedule("exponential", final_learning_rate=SHARED.decoder_final_learning_rate)
    config = TrainerConfig(
        method_name=name,
        max_num_iterations=supervision + alignment,
        steps_per_save=1000,
        steps_per_eval_batch=500,
        steps_per_eval_image=500,
        steps_per_eval_all_images=5000,
        mixed_precision=mixed_precision,
        machine=MachineConfig(device_type="cuda" if torch.cuda.is_available() else "cpu"),
        pipeline=LatentPipelineConfig(
            datamanager=datamanager or LatentDatamanagerConfig(dataparser=NerfstudioDataParserConfig()),
            model=LatentModelConfig(ray_model=ray_model),
            supervision=StageConfig(supervision, xi_supervision),
            alignment=StageConfig(alignment, xi_alignment),
        ),
        optimizers=optimizers
        | {
            "background": group(AdamOptimizerConfig(lr=1e-3)),
            "decoder": group(AdamOptimizerConfig(lr=SHARED.decoder_learning_rate), decoder),
        },
        viewer=ViewerConfig(num_rays_per_chunk=1 << 15),
        # The viewer listens on all interfaces and holds evaluation back: not without being asked.
        vis="tensorboard",
    )
    return MethodSpecification(config=config, description=description)


def _exponential(final: float, steps: int) -> LearningRateSchedule:
    return LearningRateSchedule("exponential", final_learning_rate=final, steps=steps)


def _scheduled(optimizer: OptimizerConfig) -> LearningRateSchedule:
    """The same course, as Nerfstudio's optimisers have it beside them."""
    if optimizer.schedule == "constant":
        return LearningRateSchedule()
    return LearningRateSchedule(
        optimizer.schedule,
        final_learning_rate=optimizer.final_learning_rate,
        steps=optimizer.schedule_steps,
        warmup_steps=optimizer.warmup_steps,
    )


def _field(recipe: Recipe, kind: type[F]) -> F:
    assert isinstance(recipe.field, kind)
    return recipe.field


PAPER = {name: recipes["paper"] for name, recipes in RECIPES.items()}
VANILLA = _field(PAPER["vanilla"], VanillaConfig)
INSTANT_NGP = _field(PAPER["instant-ngp"], InstantNgpConfig)
TENSORF = _field(PAPER["tensorf"], TensorfConfig)
SPLATTED = RECIPES["gaussians"]["small"]
"""Fitted to a decoder that follows, as in `latentfields fit`; the `paper` preset aligns none."""

METHODS: dict[str, MethodSpecification] = {
    "latent-vanilla-nerf": latent_method(
        "latent-vanilla-nerf",
        "Vanilla NeRF in the latent space of an autoencoder.",
        VanillaModelConfig(collider_params=dict(PLANES)),
        {"fields": group(RAdamOptimizerConfig(lr=VANILLA.learning_rate, eps=VANILLA.optimizer.eps))},
        xi_supervision=PAPER["vanilla"].supervision_factor,
        xi_alignment=PAPER["vanilla"].alignment_factor,
    ),
    "latent-instant-ngp": latent_method(
        "latent-instant-ngp",
        "Instant-NGP in the latent space of an autoencoder. Needs CUDA.",
        InstantNGPModelConfig(eval_num_rays_per_chunk=8192, far_plane=PLANES["far_plane"]),
        {
            "fields": group(
                AdamOptimizerConfig(lr=INSTANT_NGP.table_learning_rate, eps=INSTANT_NGP.optimizer.eps),
                _scheduled(INSTANT_NGP.optimizer),
            )
        },
        xi_supervision=PAPER["instant-ngp"].supervision_factor,
        xi_alignment=PAPER["instant-ngp"].alignment_factor,
        mixed_precision=True,
    ),
    "latent-tensorf": latent_method(
        "latent-tensorf",
        "TensoRF in the latent space of an autoencoder.",
        TensoRFModelConfig(
            _target=BackgroundFreeTensoRF,
            regularization="tv",
            camera_optimizer=CameraOptimizerConfig(mode="off"),
        ),
        {
            "fields": group(
                AdamOptimizerConfig(lr=TENSORF.network_learning_rate), _scheduled(TENSORF.optimizer)
            ),
            "encodings": group(
                AdamOptimizerConfig(lr=TENSORF.factors_learning_rate), _scheduled(TENSORF.optimizer)
            ),
        },
        xi_supervision=PAPER["tensorf"].supervision_factor,
        xi_alignment=PAPER["tensorf"].alignment_factor,
    ),
    # Not in Table 16; the factor of 0.1 in both stages is that of the code released with IG-AE.
    "latent-nerfacto": latent_method(
        "latent-nerfacto",
        "Nerfacto in the latent space of an autoencoder.",
        NerfactoModelConfig(
            average_init_density=0.01,
            near_plane=PLANES["near_plane"],
            far_plane=PLANES["far_plane"],
            use_appearance_embedding=False,
            camera_optimizer=CameraOptimizerConfig(mode="off"),
        ),
        {
            "proposal_networks": group(AdamOptimizerConfig(lr=1e-2, eps=1e-15), _exponential(0.01, 200_000)),
            "fields": group(AdamOptimizerConfig(lr=1e-2, eps=1e-15), _exponential(0.01, 200_000)),
        },
        xi_supervision=0.1,
        xi_alignment=0.1,
        mixed_precision=True,
    ),
    "latent-kplanes": latent_method(
        "latent-kplanes",
        "K-Planes, latentfields' own, in the latent space of an autoencoder; other own fields by an option.",
        FieldModelConfig(),
        # Their learning rates and schedule are the preset's; these multiply them.
        {
            "fields_adam": {"optimizer": AdamOptimizerConfig(lr=1.0), "scheduler": None},
            "fields_radam": {"optimizer": RAdamOptimizerConfig(lr=1.0), "scheduler": None},
        },
        xi_supervision=PAPER["kplanes"].supervision_factor,
        xi_alignment=PAPER["kplanes"].alignment_factor,
    ),
    # Not in Table 16; one image per step is 3DGS's.
    "latent-splatfacto": latent_method(
        "latent-splatfacto",
        "3D Gaussians, latentfields' own, in the latent space of an autoencoder.",
        GaussianModelConfig(),
        {"fields_adam": {"optimizer": AdamOptimizerConfig(lr=1.0), "scheduler": None}},
        xi_supervision=SPLATTED.supervision_factor,
        xi_alignment=SPLATTED.alignment_factor,
        datamanager=LatentDatamanagerConfig(
            dataparser=NerfstudioDataParserConfig(load_3D_points=True),
            batch_images=PAPER["gaussians"].batch_images,
        ),
    ),
}
