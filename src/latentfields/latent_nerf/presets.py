"""Starting points for fits: every method at a laptop's size, and as the paper trains it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from latentfields.fields.config import (
    FieldConfig,
    FieldName,
    InstantNgpConfig,
    KPlanesConfig,
    OptimizerConfig,
    TensorfConfig,
    TriPlaneConfig,
    VanillaConfig,
)
from latentfields.latent_nerf.config import FitConfig, StageConfig
from latentfields.rendering.options import (
    EvenSampling,
    GridSampling,
    HierarchicalSampling,
    ProposalSampling,
    SamplerName,
    SamplingConfig,
)

PresetName = Literal["small", "paper"]


def preset(
    field: FieldName = "kplanes", name: PresetName = "small", *, sampler: SamplerName | None = None
) -> FitConfig:
    """The configuration that a fit starts from; `sampler` replaces the preset's by another, with its defaults.

    - `small`: minutes on one CPU core; the density grid samples for every field.
    - `paper`: IG-AE's Table 16, and what it leaves to the methods' authors and Nerfstudio; for GPUs.
    """
    config = FitConfig(field=_SMALL[field]) if name == "small" else _paper(field)
    return config if sampler is None else replace(config, sampling=_SAMPLERS[sampler]())


_SAMPLERS: dict[SamplerName, Callable[[], SamplingConfig]] = {
    "grid": GridSampling,
    "even": EvenSampling,
    "hierarchical": HierarchicalSampling,
    "proposal": ProposalSampling,
}

_SMALL: dict[FieldName, FieldConfig] = {
    "triplane": TriPlaneConfig(),
    "kplanes": KPlanesConfig(),
    "tensorf": TensorfConfig(),
    "instant-ngp": InstantNgpConfig(),
    "vanilla": VanillaConfig(),
}


@dataclass(frozen=True)
class _Method:
    """What Table 16 says of a method, or leaves to Nerfstudio's defaults."""

    field: FieldConfig
    sampling: SamplingConfig
    xi_supervision: float
    """xi_LS."""
    xi_alignment: float
    """xi_align."""


_PAPER: dict[FieldName, _Method] = {
    # Table 16 has no Tri-Plane: its size is that of the latent scenes in the code released with IG-AE.
    "triplane": _Method(
        TriPlaneConfig(hidden=64, planes_learning_rate=2e-2), GridSampling(samples=96, bins=128),
        xi_supervision=1.0, xi_alignment=1.0,
    ),
    "kplanes": _Method(
        KPlanesConfig(
            resolution=128, scales=(1, 2, 4), features=32, view_dependent=True,
            planes_learning_rate=1e-2, mlp_learning_rate=1e-2, tv_weight=1e-2,
            optimizer=OptimizerConfig(
                beta2=0.999, eps=1e-12, schedule="cosine", final_learning_rate=0.0, schedule_steps=30_000,
                warmup_steps=512,
            ),
        ),
        ProposalSampling(),
        xi_supervision=0.1, xi_alignment=0.1,
    ),
    "tensorf": _Method(
        TensorfConfig(
            initial_resolution=128, final_resolution=300, upsample_at=(0.2, 0.3, 0.4, 0.55, 0.7),
            density_components=16, appearance_components=48, hidden=128, view_dependent=True,
            feature_octaves=2, density_shift=-10.0, factors_learning_rate=2e-2, network_learning_rate=1e-3,
            # Nerfstudio's 1e-3 and 1e-4, times a factor 2 in its total variation.
            density_tv_weight=2e-3, appearance_tv_weight=2e-4,
            optimizer=OptimizerConfig(beta2=0.999, eps=1e-8, schedule_steps=30_000),
        ),
        HierarchicalSampling(coarse_samples=200, fine_samples=50, coarse_network="shared"),
        xi_supervision=0.01, xi_alignment=0.1,
    ),
    "instant-ngp": _Method(
        InstantNgpConfig(
            levels=16, log2_table_size=19, finest=2048, view_dependent=True, table_learning_rate=1e-2,
            optimizer=OptimizerConfig(
                beta2=0.999, final_learning_rate=0.01, schedule_steps=200_000
            ),
        ),
        GridSampling(samples=64, bins=256, grid_resolution=128, grid_warmup=256),
        xi_supervision=0.001, xi_alignment=0.1,
    ),
    "vanilla": _Method(
        VanillaConfig(
            layers=8, width=256, skip_after=5, position_octaves=10, view_dependent=True, branch_width=128,
            density_scale=1.0, density_shift=0.0, learning_rate=5e-4,
            optimizer=OptimizerConfig(kind="radam", beta2=0.999, eps=1e-8, schedule="constant"),
        ),
        HierarchicalSampling(),
        xi_supervision=0.1, xi_alignment=1.0,
    ),
}  # fmt: skip


def _paper(field: FieldName) -> FitConfig:
    method = _PAPER[field]
    return FitConfig(
        field=method.field,
        sampling=method.sampling,
        supervision=StageConfig(10_000, method.xi_supervision),
        alignment=StageConfig(15_000, method.xi_alignment),
        decoder_learning_rate=1e-4,
        # Table 16's decay of 0.9996 per step.
        decoder_final_learning_rate=0.9996**15_000,
        batch_images=4,
        subpixels=1,
    )
