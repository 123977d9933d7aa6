"""Starting points for fits: every method at a laptop's size, and as the paper trains it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from latentfields.errors import InputError
from latentfields.fields.config import (
    FieldConfig,
    FieldName,
    GaussiansConfig,
    InstantNgpConfig,
    KPlanesConfig,
    OptimizerConfig,
    TensorfConfig,
    TriPlaneConfig,
    VanillaConfig,
)
from latentfields.fields.gaussians.config import (
    DensificationConfig,
    DensificationName,
    GradientDensificationConfig,
    McmcDensificationConfig,
)
from latentfields.latent_nerf.config import FitConfig, Space, StageConfig
from latentfields.rendering.config import (
    EvenSamplingConfig,
    GridSamplingConfig,
    HierarchicalSamplingConfig,
    ProposalSamplingConfig,
    SamplerName,
    SamplingConfig,
    SplattingConfig,
)

PresetName = Literal["small", "paper"]


def preset(
    field: FieldName = "kplanes",
    name: PresetName = "small",
    *,
    space: Space = "latent",
    sampler: SamplerName | None = None,
    densification: DensificationName | None = None,
) -> FitConfig:
    """The configuration that a fit in a space starts from.

    `sampler` replaces the preset's by another, with its defaults; so does `densification`. Raises InputError when that
    is given for a field other than Gaussians.

    - `small`: minutes on one CPU core; the density grid samples for every field.
    - `paper`: IG-AE's Table 16, and what it leaves to the methods' authors and Nerfstudio; for GPUs. Gaussians are
      those of 3DGS and LRF, where no decoder is aligned to one scene alone.
    """
    config = replace(_small(field, space) if name == "small" else _paper(field), space=space)
    if densification is not None:
        require_gaussians(field, densification)
        assert isinstance(config.field, GaussiansConfig)
        strategy = _DENSIFICATIONS[name, densification]
        config = replace(config, field=replace(config.field, densification=strategy))
    return config if sampler is None else replace(config, sampling=_SAMPLERS[sampler]())


def require_gaussians(field: FieldName, densification: DensificationName | None) -> None:
    """Raise InputError for a densification of anything but Gaussians."""
    if densification is not None and field != "gaussians":
        raise InputError(
            "--densification", f"is {densification} for the field {field}; expected the field gaussians"
        )


_SAMPLERS: dict[SamplerName, Callable[[], SamplingConfig]] = {
    "grid": GridSamplingConfig,
    "even": EvenSamplingConfig,
    "hierarchical": HierarchicalSamplingConfig,
    "proposal": ProposalSamplingConfig,
    "splatting": SplattingConfig,
}

_SMALL: dict[FieldName, FieldConfig] = {
    "triplane": TriPlaneConfig(),
    "kplanes": KPlanesConfig(),
    "tensorf": TensorfConfig(),
    "instant-ngp": InstantNgpConfig(),
    "vanilla": VanillaConfig(),
    "gaussians": GaussiansConfig(),
}


_SMALL_RGB: dict[FieldName, FieldConfig] = _SMALL | {
    # Thousands of pixels a view hold planes better than hundreds of rays.
    "kplanes": KPlanesConfig(tv_weight=1e-3),
}


def _small(field: FieldName, space: Space) -> FitConfig:
    config = FitConfig(field=(_SMALL if space == "latent" else _SMALL_RGB)[field])
    # Splatting many views costs as much as splatting one many times: more, smaller steps get farther.
    if field != "gaussians":
        return config
    # Fitted to the statistics of all images an autoencoder has seen, Gaussians end 1.5 dB lower.
    return replace(config, sampling=SplattingConfig(), statistics="scene", batch_images=2)


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
        TriPlaneConfig(hidden=64, planes_learning_rate=2e-2),
        GridSamplingConfig(samples=96, bins=128),
        xi_supervision=1.0,
        xi_alignment=1.0,
    ),
    "kplanes": _Method(
        KPlanesConfig(
            resolution=128,
            scales=(1, 2, 4),
            features=32,
            view_dependent=True,
            planes_learning_rate=1e-2,
            mlp_learning_rate=1e-2,
            tv_weight=1e-2,
            optimizer=OptimizerConfig(
                beta2=0.999,
                eps=1e-12,
                schedule="cosine",
                final_learning_rate=0.0,
                schedule_steps=30_000,
                warmup_steps=512,
            ),
        ),
        ProposalSamplingConfig(),
        xi_supervision=0.1,
        xi_alignment=0.1,
    ),
    "tensorf": _Method(
        TensorfConfig(
            initial_resolution=128,
            final_resolution=300,
            upsample_at=(0.2, 0.3, 0.4, 0.55, 0.7),
            density_components=16,
            appearance_components=48,
            hidden=128,
            view_dependent=True,
            feature_octaves=2,
            density_shift=-10.0,
            factors_learning_rate=2e-2,
            network_learning_rate=1e-3,
            # Nerfstudio's 1e-3 and 1e-4, times a factor 2 in its total variation.
            density_tv_weight=2e-3,
            appearance_tv_weight=2e-4,
            optimizer=OptimizerConfig(beta2=0.999, eps=1e-8, schedule_steps=30_000),
        ),
        HierarchicalSamplingConfig(coarse_samples=200, fine_samples=50, coarse_network="shared"),
        xi_supervision=0.01,
        xi_alignment=0.1,
    ),
    "instant-ngp": _Method(
        InstantNgpConfig(
            levels=16,
            log2_table_size=19,
            finest=2048,
            view_dependent=True,
            table_learning_rate=1e-2,
            optimizer=OptimizerConfig(beta2=0.999, final_learning_rate=0.01, schedule_steps=200_000),
        ),
        GridSamplingConfig(samples=64, bins=256, grid_resolution=128, grid_warmup=256),
        xi_supervision=0.001,
        xi_alignment=0.1,
    ),
    "vanilla": _Method(
        VanillaConfig(
            layers=8,
            width=256,
            skip_after=5,
            position_octaves=10,
            view_dependent=True,
            branch_width=128,
            density_scale=1.0,
            density_shift=0.0,
            learning_rate=5e-4,
            optimizer=OptimizerConfig(kind="radam", beta2=0.999, eps=1e-8, schedule="constant"),
        ),
        HierarchicalSamplingConfig(),
        xi_supervision=0.1,
        xi_alignment=1.0,
    ),
}


_DENSIFICATIONS: dict[tuple[PresetName, DensificationName], DensificationConfig] = {
    ("small", "gradient"): GradientDensificationConfig(),
    ("small", "mcmc"): McmcDensificationConfig(),
    # Of 30 000 steps: every 100 from 500 to 15 000, or to 25 000. Lengths are shares of 4, the cameras' extent.
    ("paper", "gradient"): GradientDensificationConfig(
        refinements=146,
        start=1 / 60,
        end=0.5,
        opacity_resets=4,
        threshold=2e-4,
        clone_scale=0.04,
        largest_scale=0.4,
        most=1_000_000,
    ),
    ("paper", "mcmc"): McmcDensificationConfig(
        refinements=246, start=1 / 60, end=5 / 6, noise=5e5, most=1_000_000
    ),
}


def _paper_gaussians() -> FitConfig:
    """As the code released with LRF trains them, with the constants of 3DGS."""
    field = GaussiansConfig(
        initial=100_000,
        degree=3,
        degree_every=1 / 30,
        means_learning_rate=6.4e-4,
        means_decay=0.01,
        scales_learning_rate=5e-3,
        rotations_learning_rate=1e-3,
        opacities_learning_rate=5e-2,
        features_learning_rate=2.5e-3,
        harmonics_learning_rate=1.25e-4,
        densification=_DENSIFICATIONS["paper", "gradient"],
        optimizer=OptimizerConfig(beta2=0.999, schedule="constant"),
    )
    return FitConfig(
        field=field,
        sampling=SplattingConfig(),
        supervision=StageConfig(30_000, 1.0),
        alignment=StageConfig(0, 1.0),
        statistics="scene",
        batch_images=1,
        subpixels=1,
    )


def _paper(field: FieldName) -> FitConfig:
    if field == "gaussians":
        return _paper_gaussians()
    method = _PAPER[field]
    return FitConfig(
        field=method.field,
        sampling=method.sampling,
        supervision=StageConfig(10_000, method.xi_supervision),
        alignment=StageConfig(15_000, method.xi_alignment),
        decoder_learning_rate=1e-4,
        # Table 16's decay of 0.9996 per step.
        decoder_final_learning_rate=0.9996**15_000,
        decoder_precision="float32",
        batch_images=4,
        subpixels=1,
    )
