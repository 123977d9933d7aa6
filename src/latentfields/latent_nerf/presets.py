"""Starting points for fits: every method at a laptop's size, and as the paper trains it.

What a preset says of a method stands with the method (`fields/config.py:RECIPES`); here is what all methods share.
"""

from __future__ import annotations

from dataclasses import replace

from latentfields.config.arguments import checked
from latentfields.errors import ArgumentError
from latentfields.fields.config import RECIPES, FieldName, GaussiansConfig
from latentfields.fields.densification import DENSIFICATIONS, DensificationName, PresetName
from latentfields.latent_nerf.config import FitConfig, Space, StageConfig
from latentfields.rendering.config import SAMPLINGS, MipSplattingConfig, SamplerName, SplattingConfig

__all__ = ["PresetName", "preset", "rays_per_side"]

PIXELS_PER_RAY = 4
"""Rays through latents are so many pixels apart: one ray per latent where the factor is 4, four where it is 8."""


def rays_per_side(factor: int) -> int:
    """Rays along one side of a latent of `factor` pixels: one, or an even number."""
    return max(1, 2 * (factor // (2 * PIXELS_PER_RAY)))


@checked
def preset(
    field: FieldName = "kplanes",
    name: PresetName = "small",
    *,
    space: Space = "latent",
    sampler: SamplerName | None = None,
    densification: DensificationName | None = None,
) -> FitConfig:
    """The configuration that a fit in a space starts from.

    `sampler` replaces the preset's by another kind, with its defaults; so does `densification`. Raises ArgumentError
    for names that do not exist, for a sampler that does not render the field, and for a densification of anything but
    Gaussians.

    - `small`: minutes on one CPU core; the density grid samples for every field.
    - `paper`: IG-AE's Table 16, and what it leaves to the methods' authors and Nerfstudio; for GPUs. Gaussians are
      those of 3DGS and LRF, where no decoder is aligned to one scene alone. In RGB space every method has its own
      learning rates and 30 000 steps: Table 16's factors make up for latents (App. B.2). In the space both, colours
      are fitted as they are in RGB space, steps and field included; Gaussians are filtered (`mip-splatting`).
    """
    recipe = RECIPES[field][name]
    config = FitConfig(
        space=space,
        field=recipe.field if space == "latent" else recipe.rgb_field or recipe.field,
        sampling=recipe.sampling,
        supervision=StageConfig(recipe.supervision_steps, recipe.supervision_factor),
        alignment=StageConfig(recipe.alignment_steps, recipe.alignment_factor),
        batch_images=recipe.batch_images,
        statistics=recipe.statistics,
    )
    if name == "paper":
        config = replace(config, subpixels=1, alignment_objective="rgb", crop=0)
        if recipe.alignment_steps:
            config = replace(
                config,
                decoder_learning_rate=1e-4,
                # Table 16's decay of 0.9996 per step.
                decoder_final_learning_rate=0.9996**recipe.alignment_steps,
                decoder_precision="float32",
            )
    if space != "latent":
        config = replace(config, batch_rays=recipe.rgb_batch_rays)
        if recipe.rgb_steps is not None and space == "rgb":
            config = replace(
                config, supervision=StageConfig(recipe.rgb_steps, 1.0), alignment=StageConfig(0, 1.0)
            )
        elif recipe.rgb_steps is not None:
            # As many steps as colours alone have; latents are aligned during the last of them.
            supervision = max(recipe.rgb_steps - recipe.alignment_steps, 0)
            config = config.with_steps(supervision=supervision, alignment=recipe.alignment_steps)
    if space == "both" and isinstance(config.field, GaussiansConfig):
        # The same Gaussians are seen at two resolutions, on pixels and on latents: without the filters, those that fit
        # pixels cover too much of a latent.
        config = replace(config, sampling=MipSplattingConfig())
    if densification is not None:
        if not isinstance(config.field, GaussiansConfig):
            raise ArgumentError(
                "densification", f"is {densification} for the field {field}; expected the field gaussians"
            )
        config = replace(
            config, field=replace(config.field, densification=DENSIFICATIONS[name][densification])
        )
    if sampler in (None, config.sampling.kind):
        return config
    sampling = SAMPLINGS[sampler]()
    if isinstance(sampling, SplattingConfig) != isinstance(config.sampling, SplattingConfig):
        raise ArgumentError(
            "sampler",
            f"is {sampler} for the field {field}; expected splatting or mip-splatting for gaussians, and for them "
            "alone",
        )
    return replace(config, sampling=sampling)
