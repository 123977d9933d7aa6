"""Every kind of fit, dying at chosen steps on both sides of the stage boundary, ends with the same bytes."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

import pytest

from helpers.tiny import TINY_FIT
from latentfields import FitConfig, fit
from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.fields.config import (
    GaussiansConfig,
    KPlanesConfig,
    OptimizerConfig,
    TensorfConfig,
    VanillaConfig,
)
from latentfields.fields.densification import GradientDensificationConfig, McmcDensificationConfig
from latentfields.files import read_json
from latentfields.latent_nerf import fit as fit_module
from latentfields.latent_nerf.feature_trainer import FeatureTrainer
from latentfields.latent_nerf.trainer import LatentNerfTrainer
from latentfields.rendering.config import (
    HierarchicalSamplingConfig,
    MipSplattingConfig,
    ProposalSamplingConfig,
    SplattingConfig,
)
from latentfields.scenes.scene import Scene
from latentfields.training.checkpoint import load_tensors
from latentfields.training.loop import LoopConfig, read_log

SIX_AND_FOUR = TINY_FIT.with_steps(supervision=6, alignment=4)
TINY_KPLANES = KPlanesConfig(resolution=8, scales=(1, 2), features=4, hidden=8)
TINY_TENSORF = TensorfConfig(initial_resolution=6, final_resolution=12, upsample_at=(0.1, 0.5))
TINY_GAUSSIANS = GaussiansConfig(
    initial=60,
    degree=2,
    degree_every=0.3,
    densification=GradientDensificationConfig(
        refinements=3, start=0.2, end=0.9, opacity_resets=1, threshold=1e-6
    ),
)
KINDS: dict[str, FitConfig] = {
    "latent": SIX_AND_FOUR,
    "one ray per latent": replace(SIX_AND_FOUR, subpixels=1),
    "optimiser kept": replace(SIX_AND_FOUR, optimizer_at_alignment="keep"),
    "scene alone aligned": replace(SIX_AND_FOUR, alignment_kind="scene"),
    "parts of pictures": replace(SIX_AND_FOUR, crop=16),
    "rgb": replace(SIX_AND_FOUR, space="rgb"),
    "opaque": SIX_AND_FOUR,
    "proposals": replace(
        SIX_AND_FOUR,
        field=TINY_KPLANES,
        sampling=ProposalSamplingConfig(
            samples=6, proposal_samples=(10, 8), resolutions=(4, 8), features=2, hidden=4, anneal_steps=8
        ),
    ),
    "coarse network": replace(
        SIX_AND_FOUR,
        field=VanillaConfig(layers=2, width=8, skip_after=1, optimizer=OptimizerConfig(kind="radam")),
        sampling=HierarchicalSamplingConfig(coarse_samples=6, fine_samples=6),
    ),
    "by muon": replace(SIX_AND_FOUR, space="rgb", field=VanillaConfig(layers=2, width=16, skip_after=1)),
    "upsampled": replace(SIX_AND_FOUR, field=TINY_TENSORF),
    "gaussians": replace(SIX_AND_FOUR, field=TINY_GAUSSIANS, sampling=SplattingConfig()),
    "gaussians in rgb": replace(SIX_AND_FOUR, field=TINY_GAUSSIANS, sampling=SplattingConfig(), space="rgb"),
    "gaussians by mcmc": replace(
        SIX_AND_FOUR,
        field=replace(
            TINY_GAUSSIANS, densification=McmcDensificationConfig(refinements=3, start=0.2, end=0.9)
        ),
        sampling=SplattingConfig(antialiased=True),
    ),
    "squashed latents": replace(SIX_AND_FOUR, normalizer="tanh"),
    "both": replace(SIX_AND_FOUR, space="both", geometry_from_latents=0.5),
    "both, upsampled": replace(SIX_AND_FOUR, space="both", field=TINY_TENSORF),
    "gaussians of both": replace(
        SIX_AND_FOUR, space="both", field=TINY_GAUSSIANS, sampling=MipSplattingConfig()
    ),
}


def dying_at(death: int, trainer: type[LatentNerfTrainer]) -> object:
    step = trainer.step

    def dying(self: LatentNerfTrainer, index: int, progress: float) -> dict[str, float | str]:
        values = step(self, index, progress)
        if index == death:
            raise RuntimeError("the process died here")
        return values

    return dying


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_died_and_resumed_equals_uninterrupted(
    scene: Scene, autoencoder: Autoencoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    options = functools.partial(LoopConfig, checkpoint_seconds=0, log_every=1)
    monkeypatch.setattr(fit_module, "LoopConfig", options)
    subject = replace(scene, alpha=None) if kind == "opaque" else scene
    arguments = (subject, None if KINDS[kind].space == "rgb" else autoencoder)
    fit(*arguments, out=tmp_path / "straight", config=KINDS[kind])
    # The last step of the first stage is 5. A step that dies is done again from the checkpoint before it.
    for death in (0, 4, 5, 6, 9):
        with monkeypatch.context() as patch:
            for trainer in (LatentNerfTrainer, FeatureTrainer):
                patch.setattr(trainer, "step", dying_at(death, trainer))
            with pytest.raises(RuntimeError, match="died here"):
                fit(*arguments, out=tmp_path / "resumed", config=KINDS[kind])
    fit(*arguments, out=tmp_path / "resumed", config=KINDS[kind])
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    if isinstance(KINDS[kind].field, GaussiansConfig):
        place = "colors.field.means" if KINDS[kind].space == "both" else "field.means"
        assert len(load_tensors(tmp_path / "straight" / "model.safetensors")[0][place]) > 60
    files = ["model.safetensors"] + ([] if KINDS[kind].space == "rgb" else ["decoder/model.safetensors"])
    for name in files:
        assert (straight / name).read_bytes() == (resumed / name).read_bytes(), name
    first, second = ([r["loss"] for r in read_log(folder)] for folder in (straight, resumed))
    assert first == second
    assert len(first) == 10
    scores = [read_json(folder / "metrics.json") for folder in (straight, resumed)]
    assert scores[0]["after_supervision"] == scores[1]["after_supervision"]
    assert scores[0]["test"] == scores[1]["test"]
