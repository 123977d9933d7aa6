"""`edit`: change a latent scene to another class, a photograph or a text, by delta denoising. Resumable."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from latentfields.autoencoders.fingerprint import space_hash, weights_hash
from latentfields.config.arguments import checked
from latentfields.config.checks import require_at_least
from latentfields.errors import ArgumentError, InputError
from latentfields.generation.generate import (
    TEXT_RIG,
    Watch,
    generated_frame,
    in_name,
    is_finished,
    trained,
)
from latentfields.generation.photograph import framed_photograph
from latentfields.generation.text import TextGuidance
from latentfields.generation.trainer import SceneDistillation, generated_views
from latentfields.latent_nerf.generation_config import GenerationRunConfig
from latentfields.latent_nerf.run import Run
from latentfields.priors.conditions import direction
from latentfields.priors.config import EDITING, DistillationConfig
from latentfields.priors.guidance import Delta, ObjectGuidance, Pull
from latentfields.priors.pipelines import is_pipeline, load_text_prior
from latentfields.priors.prior import LatentPrior, Rig, load_prior, located_prior
from latentfields.process import choose_device
from latentfields.rendering.config import SplattingConfig
from latentfields.training.loop import LoopConfig
from latentfields.training.recipe import begin
from latentfields.training.runs import claim_run

STEPS = 200
"""Optimiser steps of an edit."""
LEARNING_RATE_FACTOR = 0.3
"""Multiplies the field's own learning rates: an edit keeps what it can."""


@dataclass(frozen=True)
class Wish:
    """What a scene is to become, and what it is."""

    category: str | None = None
    """Class that it becomes."""
    image: Path | None = None
    """Photograph of what it becomes."""
    origin: str | None = None
    """Class that it is; None: the one that it was generated as, if any."""
    prompt: str | None = None
    """Text of what it becomes."""
    origin_prompt: str | None = None
    """Text of what it is; None: the one that it was generated as, if any."""
    negative_prompt: str = ""
    """Text that guidance leads away from."""


@checked
def edit(
    run: Run | str | Path,
    to: str | None = None,
    *,
    out: str | Path,
    image: str | Path | None = None,
    origin: str | None = None,
    prior: LatentPrior | str | Path = "objects",
    prompt: str | None = None,
    origin_prompt: str | None = None,
    negative_prompt: str = "",
    elevation: float = GenerationRunConfig.elevation,
    azimuth: float = GenerationRunConfig.azimuth,
    box: Sequence[float] | None = None,
    seed: int = 0,
    steps: int = STEPS,
    distillation: DistillationConfig = EDITING,
    device: str = "auto",
) -> Run:
    """Change the scene of a finished run in latent space; the new run goes to `out`, `run` stays as it is.

    Of a run, and of a prior, that were loaded the files are read again.
    `to` is a class that the prior knows, `image` a photograph from `elevation` and `azimuth`, in degrees, of what the
    object is to become. `origin` is the class that it is, by default the one that it was generated as. Where `prior` is
    the folder or the Hub id of a pipeline of diffusers, texts take their places, `prompt` and `origin_prompt`, and the
    scene is one that was made with its latents. `box` holds the
    lower and the upper corner, x, y, z each, of the part of [-1, 1]^3 whose surface may change. Where nothing else is
    asked for than what is there, nothing changes. `device` is as for `fit`. Run again after an interruption, it
    continues.
    Raises InputError for unusable runs, wishes and settings, or when `out` holds a run with other settings.
    """
    picture = None if image is None else Path(image)
    wish = Wish(to, picture, origin, prompt, origin_prompt, negative_prompt)
    config = edit_config(
        run.folder if isinstance(run, Run) else Path(run),
        wish,
        prior=prior.name if isinstance(prior, LatentPrior) else prior,
        elevation=elevation,
        azimuth=azimuth,
        box=box,
        seed=seed,
        steps=steps,
        distillation=distillation,
    )
    return edit_run(config, out=Path(out), device=device)


def edit_config(
    run: Path,
    wish: Wish,
    *,
    prior: str | Path,
    elevation: float,
    azimuth: float,
    box: Sequence[float] | None,
    seed: int,
    steps: int,
    distillation: DistillationConfig,
) -> GenerationRunConfig:
    """The description of what `edit` does with these arguments. Raises InputError for what cannot be used."""
    require_at_least("steps", steps, 1)
    require_at_least("seed", seed, 0)
    text = is_pipeline(prior)
    _check_wish(wish, str(prior), text=text)
    if box is not None and (
        len(box) != 6 or any(low >= high for low, high in zip(box[:3], box[3:], strict=True))
    ):
        raise ArgumentError(
            "box", f"is {tuple(box)}; expected six numbers, the lower corner before the upper one"
        )
    source = Run.load(run, device="cpu")
    if source.model.autoencoder is None:
        raise InputError(run, "is a scene in RGB; expected one in the latent space of the prior")
    fitted = source.config.fit
    if fitted.space == "both":
        raise InputError(
            run, "has colours beside latents, which a prior does not know; expected latents alone"
        )
    if isinstance(fitted.sampling, SplattingConfig) and fitted.sampling.smoothing:
        raise InputError(run, "has Gaussians smoothed as training views tell; expected the sampler splatting")
    if text:
        pipeline = load_text_prior(str(prior), device=torch.device("cpu"))
        name = str(Path(prior).resolve()) if Path(prior).exists() else str(prior)
        autoencoder, size = name, pipeline.side * pipeline.autoencoder.factor
    else:
        known = load_prior(prior)
        name, autoencoder = located_prior(prior), known.config.autoencoder
        size = known.config.side * known.load_autoencoder().factor
    generated = source.config if isinstance(source.config, GenerationRunConfig) else None
    stage = replace(source.config.fit.supervision, steps=steps, learning_rate_factor=LEARNING_RATE_FACTOR)
    fit = replace(source.config.fit, supervision=stage, alignment=replace(stage, steps=0), seed=seed)
    asked = wish.category or (in_name(wish.prompt) if wish.prompt else Path(str(wish.image)).stem)
    return GenerationRunConfig(
        name=f"{source.config.name}-to-{asked}",
        prior=name,
        autoencoder=autoencoder,
        size=generated.size if text and generated is not None else size,
        fit=fit,
        distillation=distillation,
        category=wish.category,
        image=wish.image,
        elevation=elevation,
        azimuth=azimuth,
        origin=run.resolve(),
        box=None if box is None else tuple(map(float, box)),
        origin_category=wish.origin or (generated.category if generated is not None and not text else None),
        prompt=wish.prompt,
        negative_prompt=wish.negative_prompt,
        origin_prompt=wish.origin_prompt or (generated.prompt if generated is not None and text else None),
    )


def _check_wish(wish: Wish, prior: str, *, text: bool) -> None:
    """Raise ArgumentError for a wish that is none, or of which the prior knows nothing."""
    shown = {"to": wish.category, "image": wish.image, "origin": wish.origin}
    told = {
        "prompt": wish.prompt,
        "origin_prompt": wish.origin_prompt,
        "negative_prompt": wish.negative_prompt or None,
    }
    for name, value in (shown if text else told).items():
        if value is not None:
            expected = "knows texts; expected `prompt`" if text else "has no text encoder"
            raise ArgumentError(name, f"is of no use for the prior {prior}, which {expected}")
    if text and wish.prompt is None:
        raise ArgumentError("prompt", f"is missing; expected what {prior} is to make of the scene")
    if not text and wish.category is None and wish.image is None:
        raise ArgumentError("to", "is missing; expected a class, or `image`")


def edit_run(
    config: GenerationRunConfig,
    *,
    out: Path,
    device: str = "auto",
    watch: Watch = nullcontext,
    checkpoint_seconds: float = LoopConfig.checkpoint_seconds,
) -> Run:
    """Make the edit that `config` describes; otherwise as `edit`. `watch` sees the training."""
    config.fit.check()
    config.distillation.check()
    config.check()
    target = choose_device(device)
    if is_finished(out):
        claim_run(out, config)
        return Run.load(out, device=device)
    read = _read if config.prompt is None else _read_text
    with begin(config, out, lambda: read(config, target)) as (source, pull, rig):
        before = copy.deepcopy(source.model).requires_grad_(False)
        trainer = SceneDistillation(
            source.model.requires_grad_(True),
            pull,
            rig,
            config.fit,
            generated_views(rig, size=config.size),
            name=config.name,
            source=before,
            box=None if config.box is None else torch.tensor(config.box).view(2, 3),
        )
        frame = replace(
            generated_frame(rig, config.size),
            near=source.frame.near,
            far=source.frame.far,
            learn_background=source.frame.learn_background,
        )
        return trained(trainer, config, frame, out=out, watch=watch, checkpoint_seconds=checkpoint_seconds)


def _read_text(config: GenerationRunConfig, device: torch.device) -> tuple[Run, Pull, Rig]:
    """As `_read`, with a pipeline of diffusers."""
    assert config.origin is not None
    assert config.prompt is not None
    prior = load_text_prior(config.prior, device=device)
    source = Run.load(config.origin, device=str(device))
    same = source.model.autoencoder is not None and space_hash(source.model.autoencoder) == space_hash(
        prior.autoencoder.to(device)
    )
    if not same:
        raise InputError(
            source.folder,
            f"is a scene in the latent space of '{source.config.autoencoder}', or one whose decoder was aligned; the "
            f"pipeline {prior.name} knows its own",
        )
    to, origin = (
        TextGuidance.of(prior, text, config.negative_prompt, device=device)
        for text in (config.prompt, config.origin_prompt or "")
    )
    return source, Delta(to, origin, config.distillation), TEXT_RIG


def _read(config: GenerationRunConfig, device: torch.device) -> tuple[Run, Pull, Rig]:
    """The scene, what moves it, and where cameras stand. Raises InputError where they do not fit together."""
    assert config.origin is not None
    prior = load_prior(config.prior).to(device)
    autoencoder = prior.load_autoencoder()
    source = Run.load(config.origin, device=str(device))
    _check_space(source, weights_hash(autoencoder), prior)
    to = None if config.category is None else prior.class_index(config.category)
    known = None if config.origin_category is None else prior.class_index(config.origin_category)
    if config.image is None:
        guidance = ObjectGuidance(prior, to), ObjectGuidance(prior, known)
        return source, Delta(*guidance, config.distillation), prior.config.rig
    seen_from = direction(elevation=config.elevation, azimuth=config.azimuth)
    picture = framed_photograph(config.image, size=config.size, extent=prior.config.rig.extent)
    wanted = autoencoder.encode_batches(picture[None])[0]
    there = _seen(source, prior, seen_from, config.size)
    return (
        source,
        Delta(
            ObjectGuidance(prior, to, wanted, seen_from),
            ObjectGuidance(prior, known, there, seen_from),
            config.distillation,
        ),
        prior.config.rig,
    )


def _check_space(source: Run, space: str, prior: LatentPrior) -> None:
    """Raise InputError when a scene was fitted to the latents of another autoencoder than the prior's."""
    stored = source.frame.fingerprint
    fitted_with = source.config.autoencoder
    if isinstance(source.config, GenerationRunConfig):
        same = source.config.autoencoder == prior.config.autoencoder
    else:
        same = stored is not None and stored.autoencoder == space
    if not same:
        raise InputError(
            source.folder,
            f"is a scene in the latent space of '{fitted_with}'; the prior {prior.name} knows that of "
            f"'{prior.config.autoencoder}'; fit or generate a scene in that",
        )


@torch.no_grad()
def _seen(source: Run, prior: LatentPrior, seen_from: Tensor, size: int) -> Tensor:
    """(C, h, w) latents of the scene from a direction (3,), on the CPU."""
    cameras = prior.config.rig.cameras(seen_from[None], size=size)
    return source.model.render(cameras)[1].features[0]
