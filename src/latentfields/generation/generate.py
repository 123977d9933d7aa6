"""`generate`: from a class, a photograph or a text to a latent scene, by distillation of a prior. Resumable."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.config.arguments import checked
from latentfields.config.checks import require_at_least
from latentfields.errors import ArgumentError
from latentfields.fields.config import FieldName, GaussiansConfig
from latentfields.fields.gaussians.initialisation import place
from latentfields.generation.photograph import framed_photograph
from latentfields.generation.text import TextGuidance
from latentfields.generation.trainer import Anchor, SceneDistillation, generated_views
from latentfields.latent_nerf.build import SceneFrame, build_model, new_space
from latentfields.latent_nerf.config import FitConfig
from latentfields.latent_nerf.generation_config import GenerationRunConfig
from latentfields.latent_nerf.latent_gaussians import LatentGaussians
from latentfields.latent_nerf.presets import preset
from latentfields.latent_nerf.run import MODEL_FILE, Run
from latentfields.latent_nerf.scene_model import SceneModel
from latentfields.pages.pictures import save_png, to_pixels
from latentfields.priors.conditions import condition, direction
from latentfields.priors.config import TEXT, DistillationConfig
from latentfields.priors.guidance import Distil, ObjectGuidance, Pull
from latentfields.priors.pipelines import is_pipeline, load_text_prior
from latentfields.priors.prior import LatentPrior, Rig, load_prior, located_prior
from latentfields.priors.sampling import sample
from latentfields.process import choose_device
from latentfields.training.loop import LoopConfig, Trainable, train
from latentfields.training.recipe import METRICS_FILE, begin, write_metrics
from latentfields.training.runs import claim_run, require_run

STEPS = 400
"""Optimiser steps of a generation."""
PREVIEW_EVERY = 100
"""Steps between previews."""
PREVIEW_FILE = "preview.png"
"""In a run's folder: views of the scene as it was last, while it is generated."""
TEXT_RIG = Rig(distance=2.2, focal=1.1, lowest=-10.0, highest=45.0, extent=0.7)
"""Where cameras stand when a text is distilled."""
BALL = 0.8
"""Radius of the ball that Gaussians begin in."""
SAMPLING_STEPS = 40
"""Steps of DDIM of the view that an object begins with."""

Watch = Callable[[SceneDistillation], AbstractContextManager[Trainable]]
"""Looks at a training for the time of a `with` block, through a `Trainable` that does its steps."""


@dataclass(frozen=True, eq=False)
class Ingredients:
    """Everything that a generation is made of, read and found good."""

    pull: Pull
    """What moves rendered latents."""
    autoencoder: Autoencoder
    """Of the latents, on the CPU."""
    rig: Rig
    """Where cameras stand."""
    anchor: Anchor | None = None
    """The view that the object begins with."""
    backgrounds: Tensor | None = None
    """(K, C) codes of colours that may be behind the object; None: white."""


def field_config(field: FieldName = "kplanes", *, steps: int = STEPS, seed: int = 0) -> FitConfig:
    """How a field is distilled into: its preset `small`, one ray per latent, and a stage without photographs.

    Raises ArgumentError for numbers out of range.
    """
    require_at_least("steps", steps, 1)
    require_at_least("seed", seed, 0)
    config = preset(field, "small").with_steps(supervision=steps, alignment=0)
    return replace(config, subpixels=1, statistics="autoencoder", seed=seed)


@checked
def generate(
    category: str | None = None,
    *,
    out: str | Path,
    prior: LatentPrior | str | Path = "objects",
    prompt: str | None = None,
    negative_prompt: str = "",
    size: int | None = None,
    image: str | Path | None = None,
    elevation: float = GenerationRunConfig.elevation,
    azimuth: float = GenerationRunConfig.azimuth,
    seed: int = 0,
    field: FieldName = "kplanes",
    steps: int = STEPS,
    config: FitConfig | None = None,
    distillation: DistillationConfig | None = None,
    device: str = "auto",
) -> Run:
    """Generate an object of a class that a prior knows, of a photograph, or both; `Run.load(out)` reads it again.

    `prior` is one that was loaded, whose files are read again, a name or a folder.
    Where it is the folder or the Hub id of a pipeline of diffusers, `prompt` describes the object, and `size` is
    that of the pictures in pixels, by default the pipeline's own.
    `image` is a photograph of an object in front of a plain background or of nothing, taken from `elevation` and
    `azimuth`, in degrees; without one, the view from there is drawn from the prior. `seed` tells objects apart. `field`
    and `steps` make the configuration, or `config` is all of it. `distillation` is how the prior is used. `device` is
    as for `fit`. Run again after an interruption, it continues.
    Raises InputError for what the prior does not know, for unusable pictures and settings, or when `out` holds a run
    with other settings.
    """
    if config is not None and (field, steps, seed) != ("kplanes", STEPS, 0):
        raise ArgumentError("config", "is given beside `field`, `steps` or `seed`; expected one of both")
    run = generation_run(
        category,
        prior=prior.name if isinstance(prior, LatentPrior) else prior,
        prompt=prompt,
        negative_prompt=negative_prompt,
        size=size,
        image=image,
        elevation=elevation,
        azimuth=azimuth,
        fit=config or field_config(field, steps=steps, seed=seed),
        distillation=distillation,
    )
    return generate_run(run, out=Path(out), device=device)


def generation_run(
    category: str | None,
    *,
    prior: str | Path,
    prompt: str | None,
    negative_prompt: str,
    size: int | None,
    image: str | Path | None,
    elevation: float,
    azimuth: float,
    fit: FitConfig,
    distillation: DistillationConfig | None,
) -> GenerationRunConfig:
    """The description of what `generate` does with these arguments.

    Raises InputError when there is no such prior, or when it does not know what it is asked for.
    """
    if is_pipeline(prior):
        return _text_run(str(prior), category, prompt, negative_prompt, size, image, fit, distillation)
    known = load_prior(prior)
    if prompt is not None or negative_prompt:
        raise ArgumentError("prompt", f"is of no use for the prior {known.name}, which has no text encoder")
    own = known.config.side * known.load_autoencoder().factor
    if size not in (None, own):
        raise ArgumentError("size", f"is {size}; the prior {known.name} knows pictures of {own} pixels")
    if category is None and image is None:
        classes = ", ".join(known.config.classes)
        raise ArgumentError("category", f"is missing; expected one of {classes}, or `image`")
    if category is not None:
        known.class_index(category)
    return GenerationRunConfig(
        name=f"{category or Path(str(image)).stem}-{fit.seed:04d}",
        prior=located_prior(prior),
        autoencoder=known.config.autoencoder,
        size=own,
        fit=fit,
        distillation=distillation or DistillationConfig(),
        category=category,
        image=None if image is None else Path(image),
        elevation=elevation,
        azimuth=azimuth,
    )


def _text_run(
    prior: str,
    category: str | None,
    prompt: str | None,
    negative_prompt: str,
    size: int | None,
    image: str | Path | None,
    fit: FitConfig,
    distillation: DistillationConfig | None,
) -> GenerationRunConfig:
    """The same with a pipeline of diffusers."""
    for name, value in (("category", category), ("image", image)):
        if value is not None:
            raise ArgumentError(name, f"is of no use for {prior}, which knows texts; expected `prompt`")
    if prompt is None:
        raise ArgumentError("prompt", f"is missing; expected what {prior} is to make")
    known = load_text_prior(prior, device=torch.device("cpu"))
    side = size or known.side * known.autoencoder.factor
    if side % known.step:
        raise ArgumentError("size", f"is {side}; expected a multiple of {known.step}")
    pipeline = str(Path(prior).resolve()) if Path(prior).exists() else prior
    return GenerationRunConfig(
        name=f"{in_name(prompt)}-{fit.seed:04d}",
        prior=pipeline,
        autoencoder=pipeline,
        size=side,
        fit=fit,
        distillation=distillation or TEXT,
        prompt=prompt,
        negative_prompt=negative_prompt,
    )


def in_name(prompt: str) -> str:
    """A text as part of the name of a folder."""
    return re.sub(r"\W+", "-", prompt.lower()).strip("-")[:40] or "prompt"


def generate_run(
    run: GenerationRunConfig,
    *,
    out: Path,
    device: str = "auto",
    watch: Watch = nullcontext,
    checkpoint_seconds: float = LoopConfig.checkpoint_seconds,
) -> Run:
    """Generate what `run` describes; otherwise as `generate`. `watch` sees the training."""
    target = _checked(run, device)
    if is_finished(out):
        claim_run(out, run)
        return Run.load(out, device=device)
    read = object_ingredients if run.prompt is None else text_ingredients
    with begin(run, out, lambda: read(run, target)) as made:
        autoencoder = made.autoencoder
        views = generated_views(made.rig, size=run.size)
        frame = generated_frame(made.rig, run.size)
        model = new_scene(run.fit, autoencoder, frame).to(target)
        trainer = SceneDistillation(
            model,
            made.pull,
            made.rig,
            run.fit,
            views,
            name=run.name,
            anchor=made.anchor,
            backgrounds=made.backgrounds,
        )
        return trained(trainer, run, frame, out=out, watch=watch, checkpoint_seconds=checkpoint_seconds)


def trained(
    trainer: SceneDistillation,
    run: GenerationRunConfig,
    frame: SceneFrame,
    *,
    out: Path,
    watch: Watch,
    checkpoint_seconds: float,
) -> Run:
    """Do all steps of a training whose folder was claimed, and write its run."""
    trainer.observe = lambda step: _write_preview(trainer, out, step)
    with watch(trainer) as trainable:
        seconds = train(
            trainable,
            steps=trainer.total_steps,
            folder=out,
            label=run.name,
            options=LoopConfig(checkpoint_seconds=checkpoint_seconds),
        )
    require_run(out)
    result = Run.save_generated(out, run, trainer.model, frame, trainer.views)
    # Last: with it, the run is finished.
    write_metrics(out, {"steps": trainer.total_steps}, seconds=seconds, device=trainer.model.device)
    return result


def _write_preview(trainer: SceneDistillation, out: Path, step: int) -> None:
    """Now and then, show the scene as it is in the run's folder: a strip of a few views of a turn."""
    if step % PREVIEW_EVERY:
        return
    turn = trainer.views.splits["test"][::2]
    images, _ = trainer.model.render(trainer.views.cameras[turn])
    require_run(out)
    save_png(out / PREVIEW_FILE, to_pixels(torch.cat([*images], dim=-1)))


def is_finished(out: Path) -> bool:
    """True when the run in the folder `out` was generated; its report may be missing."""
    return (out / MODEL_FILE).is_file() and (out / METRICS_FILE).is_file()


def _checked(run: GenerationRunConfig, device: str) -> torch.device:
    """The device, once it and the configuration are found good."""
    run.fit.check()
    run.distillation.check()
    run.check()
    if run.fit.space != "latent" or run.fit.subpixels != 1:
        raise ArgumentError(
            "subpixels",
            f"is {run.fit.subpixels}; expected 1: priors know latents, which are rendered as such",
        )
    return choose_device(device)


def object_ingredients(run: GenerationRunConfig, device: torch.device) -> Ingredients:
    """Prior, autoencoder and first view of a run with a `LatentPrior`. Raises InputError where they do not fit."""
    prior = load_prior(run.prior).to(device)
    autoencoder = prior.load_autoencoder()
    if run.prompt is not None:
        raise ArgumentError(
            "prompt", f"is of no use for the prior {prior.name}, which knows classes; name one"
        )
    if run.category is None and run.image is None:
        raise ArgumentError(
            "category", f"is missing; expected one of {', '.join(prior.config.classes)}, or `image`"
        )
    index = None if run.category is None else prior.class_index(run.category)
    seen_from = direction(elevation=run.elevation, azimuth=run.azimuth)
    if run.image is None:
        reference = first_view(prior, index, seen_from, run)
    else:
        picture = framed_photograph(run.image, size=run.size, extent=prior.config.rig.extent)
        reference = autoencoder.encode_batches(picture[None])[0]
    guidance = ObjectGuidance(prior, index, reference, seen_from)
    weight = run.distillation.anchor
    anchor = Anchor(seen_from, reference, weight) if weight else None
    return Ingredients(Distil(guidance, run.distillation), autoencoder, prior.config.rig, anchor)


def text_ingredients(run: GenerationRunConfig, device: torch.device) -> Ingredients:
    """Pipeline, autoencoder and texts of a run with a prompt. Raises InputError where they do not fit."""
    assert run.prompt is not None
    prior = load_text_prior(run.prior, device=device)
    guidance = TextGuidance.of(prior, run.prompt, run.negative_prompt, device=device)
    return Ingredients(
        Distil(guidance, run.distillation),
        prior.autoencoder,
        TEXT_RIG,
        backgrounds=random_backgrounds(prior.autoencoder)
        if run.distillation.background == "random"
        else None,
    )


@torch.no_grad()
def random_backgrounds(autoencoder: Autoencoder, *, count: int = 16) -> Tensor:
    """(count, C) codes of plain colours, the same ones every time."""
    colors = torch.rand(count, 3, generator=torch.Generator().manual_seed(0)).tolist()
    return torch.stack([autoencoder.background_latent((red, green, blue)) for red, green, blue in colors])


def first_view(prior: LatentPrior, index: int | None, seen_from: Tensor, run: GenerationRunConfig) -> Tensor:
    """(C, h, w) of a view from `seen_from` (3,), drawn from the prior by the run's seed; on the CPU."""
    shape = (1, *prior.shape)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(run.fit.seed)).to(prior.device)
    given = condition(seen_from[None], shape=shape, class_index=index).to(prior.device)
    scale = run.distillation.guidance
    return sample(prior, given, given.unknown(), noise=noise, scale=scale, steps=SAMPLING_STEPS)[0].cpu()


def generated_frame(rig: Rig, size: int) -> SceneFrame:
    """The frame of a scene that has no world but its own."""
    return SceneFrame(
        near=rig.near,
        far=rig.far,
        width=size,
        height=size,
        learn_background=False,
        world_to_scene=torch.eye(4).tolist(),
    )


def new_scene(config: FitConfig, autoencoder: Autoencoder, frame: SceneFrame) -> SceneModel:
    """An empty scene on white, on the CPU; Gaussians begin as random ones."""
    space = new_space(config, autoencoder.clone())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = build_model(config, space, space.background((1.0, 1.0, 1.0)), frame)
    if isinstance(model, LatentGaussians) and isinstance(config.field, GaussiansConfig):
        place(model.field, _in_ball(config.field.initial, torch.Generator().manual_seed(config.seed)))
    return model


def _in_ball(count: int, generator: torch.Generator) -> Tensor:
    """(count, 3) points, evenly spread over a ball around the origin."""
    towards = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=1)
    return BALL * towards * torch.rand(count, 1, generator=generator) ** (1 / 3)
