"""The Gaussians of a run as files that other programs open: PLY, or of colours SPZ."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from latentfields.config.arguments import checked
from latentfields.errors import InputError
from latentfields.export.gaussians_ply import GaussianCloud, write_gaussians_ply
from latentfields.export.gaussians_spz import require_gsply, write_gaussians_spz
from latentfields.export.world import points_to_world, scene_to_world, state_shift, world_shift
from latentfields.latent_nerf.feature_scene import FeatureGaussians
from latentfields.latent_nerf.latent_gaussians import LatentGaussians
from latentfields.latent_nerf.run import Run
from latentfields.training.checkpoint import save_tensors

WRITERS = {".ply": write_gaussians_ply, ".spz": write_gaussians_spz}
"""By the end of the file's name."""


@dataclass(frozen=True)
class GaussiansSummary:
    """A summary of what was written."""

    file: Path
    gaussians: int


@checked
def export_gaussians(run: Run | str | Path, *, out: str | Path) -> GaussiansSummary:
    """Write the Gaussians of a run, or that in a folder or file, as PLY or SPZ, in the capture's own coordinates.

    Where those are large, their centres lack a shift, which a file beside states (`world.shift_file`).

    Beside Gaussians of latents there will be what turns them into pictures: the decoder, in a folder called
    STEM-decoder, and STEM.safetensors with the background, the projection of subpixels if there is one, and, as
    metadata, `factor`, `subpixels` and `normalizer`. Of a run with colours and latents, `out` has the colours, and
    STEM-latents.ply the same Gaussians with latents, as of a run that has these alone. What a 3D smoothing filter has
    made of scales and opacities is what is written: other programs know no such filter. A file .spz holds colours
    alone, rounded (`gaussians_spz`); the latents of a run that has both are in a .ply beside it. Raises InputError when
    the run has no Gaussians, or none that the format holds, and when `out` is neither .ply nor .spz.
    """
    run, out = Run.opened(run), Path(out)
    model = run.model.pictures
    if not isinstance(model, LatentGaussians):
        raise InputError(
            run.folder,
            f"has the field {run.config.fit.field.kind}, which has no Gaussians; expected gaussians",
        )
    if out.suffix not in WRITERS:
        raise InputError(out, f"expected a file that ends in {' or '.join(WRITERS)}")
    if out.suffix == ".spz":
        require_gsply()
    cloud = GaussianCloud.of(model.field)
    if model.splatting.smoothing:
        with torch.no_grad():
            cloud = cloud.fused(model.gaussians())
    to_world = scene_to_world(run.frame)
    shift = world_shift(points_to_world(run.frame, cloud.means.double().numpy()))
    to_world[:3, 3] -= torch.from_numpy(shift)
    cloud = cloud.transformed(to_world)
    WRITERS[out.suffix](out, cloud)
    state_shift(out, shift)
    if isinstance(run.model, FeatureGaussians):
        latents = out.with_name(f"{out.stem}-latents.ply")
        write_gaussians_ply(latents, cloud.with_values(run.model.values))
        state_shift(latents, shift)
        _write_decoder(run, latents)
    elif run.model.autoencoder is not None:
        _write_decoder(run, out)
    return GaussiansSummary(out, len(cloud.means))


def _write_decoder(run: Run, out: Path) -> None:
    """Write what turns the Gaussians of latents in `out` into pictures beside them."""
    assert run.model.autoencoder is not None
    run.model.autoencoder.save(out.with_name(f"{out.stem}-decoder"))
    state = run.model.scene_state()
    kept = {k: v for k, v in state.items() if k == "background" or k.startswith("projection.")}
    fit = run.config.fit
    details = {"factor": run.model.factor, "subpixels": fit.subpixels, "normalizer": fit.normalizer}
    save_tensors(out.with_suffix(".safetensors"), kept, details)
