"""`python -m benchmarks.gpu`: everything about a GPU that a machine without one cannot say, as one JSON file.

Losses and pictures on the GPU against those on the CPU, kernels against their twins, the time of a step of every field
in latents and in RGB, frames per second with decoding, peak memory, a slice of IG-AE training that is interrupted and
resumed, and every command once. Data is generated; no network is needed. Exit status 1 when something differs or
fails, 2 without CUDA or where no check has the name that is asked for.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

import torch
from safetensors.torch import save_file
from torch import Tensor

from benchmarks.commands import LINES, run_line, write_data
from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.autoencoders.fingerprint import space_hash
from latentfields.autoencoders.image_data import load_training_images
from latentfields.autoencoders.load import load_autoencoder
from latentfields.autoencoders.losses import perceptual_loss
from latentfields.cameras import Cameras, look_at
from latentfields.correspondences.pair_batches import PairBatch, PairImages, seeded_generator
from latentfields.devices import upload, wait_for
from latentfields.fields.config import FieldName
from latentfields.igae.config import PRESETS, IgaeConfig
from latentfields.igae.image_cache import cache_photos, cache_scenes
from latentfields.igae.joint import JointTrainer
from latentfields.igae.pretrain import ScenePretrainer, cache_latents, open_latents
from latentfields.igae.scene_training import WHITE, SceneTraining
from latentfields.latent_nerf.build import new_model
from latentfields.latent_nerf.config import FitConfig, Space
from latentfields.latent_nerf.feature_trainer import new_trainer
from latentfields.latent_nerf.presets import preset
from latentfields.latent_nerf.trainer import LatentNerfTrainer
from latentfields.lrf.decoder.config import DecoderTrainingConfig
from latentfields.lrf.decoder.pairs import Pairs
from latentfields.lrf.decoder.trainer import DecoderAlignment
from latentfields.lrf.encoder.config import DiscriminatorConfig, EncoderTrainingConfig
from latentfields.lrf.encoder.trainer import EncoderTrainer
from latentfields.measures.cost import peak_memory
from latentfields.pages.markdown import machine
from latentfields.priors.conditions import condition, direction
from latentfields.priors.config import PRESETS as PRIORS
from latentfields.priors.config import PriorRunConfig
from latentfields.priors.data import load_data
from latentfields.priors.prior import load_prior
from latentfields.priors.train import PriorTrainer, new_prior
from latentfields.process import set_threads, tune_allocator
from latentfields.rendering.kernels.backend import kernel_backend
from latentfields.rendering.kernels.hash_encoding import (
    hash_encoding,
    hash_encoding_reference,
    pyramid,
    total_rows,
)
from latentfields.rendering.kernels.plane_lookup import plane_lookup, plane_lookup_reference
from latentfields.rendering.splatting.compositing import composite, composite_reference
from latentfields.rendering.splatting.compositing_gsplat import composite_gsplat
from latentfields.rendering.splatting.gaussians import Gaussians
from latentfields.rendering.splatting.projection import project, project_reference
from latentfields.scenes.load import load_scene
from latentfields.scenes.scene import Scene
from latentfields.training.distributed import Processes
from latentfields.training.loop import LoopConfig, Trainable, read_log, train

CPU = torch.device("cpu")
CHECKED_STEPS = 2
"""Steps that are compared: more of them magnify rounding, which Adam's first steps turn into whole steps."""
LOSS_TOLERANCE, PICTURE_TOLERANCE, KERNEL_TOLERANCE = 0.02, 0.02, 1e-3
"""Largest relative difference of losses, root mean square difference of pictures in [0, 1], and relative difference of
kernels. Single pixels of pictures differ by more: which Gaussian is cut off is a decision that rounding takes."""

FIELDS: tuple[FieldName, ...] = get_args(FieldName)
SPACES: tuple[Space, ...] = get_args(Space)


@dataclass(frozen=True)
class Size:
    """The amount that is measured."""

    views: int
    scenes: int
    pixels: int
    frames: tuple[int, ...]
    """Widths of the pictures whose frames per second are taken."""
    steps: int
    """Steps that are timed, after as many that warm up, at least three."""
    preset: str
    """Of the fits whose steps are timed, and of IG-AE."""
    points: int
    seconds: float
    """Of each half of a phase of IG-AE."""


FULL = Size(
    views=24, scenes=12, pixels=128, frames=(128, 512), steps=20, preset="paper", points=200_000, seconds=10.0
)
QUICK = Size(views=5, scenes=2, pixels=32, frames=(32,), steps=1, preset="small", points=500, seconds=0.2)
"""For a look at whether all of this works."""


@dataclass(frozen=True)
class Materials:
    """What is computed on; made once."""

    folder: Path
    scene: Scene
    autoencoder: Autoencoder
    size: Size

    @classmethod
    def write(cls, folder: Path, size: Size) -> Materials:
        """Objects, rendered, and pictures of them that stand for photographs."""
        write_data(folder, objects=size.scenes, views=size.views, size=size.pixels)
        return cls(folder, load_scene(folder / "scenes" / "000"), load_autoencoder("base"), size)


def main(line: Sequence[str] | None = None) -> int:
    """Measure, write the file, say where; returns the exit status."""
    arguments = _arguments(line)
    if torch.device(arguments.device).type == "cuda" and not torch.cuda.is_available():
        print("no CUDA device: run this on a machine with an NVIDIA GPU", file=sys.stderr)
        return 2
    tune_allocator()
    if arguments.quick:
        set_threads(1)
    device = torch.device(arguments.device)
    with tempfile.TemporaryDirectory() as folder:
        materials = Materials.write(Path(folder), QUICK if arguments.quick else FULL)
        record = measured(materials, device, only=arguments.only)
    if not record["checks"]:
        print(f"--only: no check begins with {' or '.join(arguments.only)}", file=sys.stderr)
        return 2
    arguments.out.write_text(json.dumps(record, indent=2) + "\n")
    print(f"{arguments.out}: {len(record['failed'])} of {record['checks']} checks and measurements failed")
    for name in record["failed"]:
        print(f"  {name}", file=sys.stderr)
    return 1 if record["failed"] else 0


def _arguments(line: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--device", default="cuda", help="where to compute (default: cuda)")
    parser.add_argument("--quick", action="store_true", help="at the smallest size: to see that it works")
    parser.add_argument(
        "--only",
        nargs="+",
        default=[""],
        metavar="TEXT",
        help="those alone whose names begin so (default: all)",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("gpu.json"), help="file to write (default: gpu.json)"
    )
    return parser.parse_args(line)


def measured(materials: Materials, device: torch.device, *, only: Sequence[str]) -> dict[str, Any]:
    """Checks and measurements whose names begin with one of `only`; one that fails says why and lets the others be."""
    results: dict[str, dict[str, Any]] = {}
    for name, case in _cases(materials, device).items():
        if not name.startswith(tuple(only)):
            continue
        start = time.perf_counter()
        try:
            result = case()
        except Exception as error:
            result = {"passed": False, "error": f"{type(error).__name__}: {error}"[:500]}
            traceback.print_exc()
        results[name] = result | {"seconds": round(time.perf_counter() - start, 2)}
        print(f"{name:<44} {json.dumps(results[name])[:160]}", flush=True)
    failed = [name for name, result in results.items() if result.get("passed") is False]
    return {
        "machine": machine(str(device)),
        "kernels": kernel_backend(device.type),
        "size": asdict(materials.size),
        "checks": len(results),
        "failed": failed,
        "results": results,
    }


def _cases(materials: Materials, device: torch.device) -> dict[str, Callable[[], dict[str, Any]]]:
    cases: dict[str, Callable[[], dict[str, Any]]] = {}
    fits = [(field, space) for field in FIELDS for space in SPACES]
    for name, kernel in _kernels(materials.size.points, device).items():
        cases[f"kernel against twin: {name}"] = partial(_kernel_check, kernel, device)
    for field, space in fits:
        cases[f"as on the CPU: {field}, {space}"] = partial(_fit_check, materials, device, field, space)
    for name, make in _trainings(materials).items():
        cases[f"as on the CPU: {name}"] = partial(_training_check, make, device)
    cases["as on the CPU: what a prior finds"] = partial(_prior_check, device)
    for field, space in fits:
        cases[f"speed: {field}, {space}"] = partial(_fit_speed, materials, device, field, space)
    for phase in ("pretraining", "joint"):
        cases[f"igae slice: {phase}"] = partial(_igae_slice, materials, device, phase)
    for name in LINES:
        cases[f"command: {name}"] = partial(_command, name, materials.folder / "commands", device)
    return cases


def _command(name: str, folder: Path, device: torch.device) -> dict[str, Any]:
    if not folder.exists():
        write_data(folder)
    return run_line(name, folder, str(device))


# Checks against the CPU.


def _fit_config(materials: Materials, field: FieldName, space: Space, *, small: bool) -> FitConfig:
    name = "small" if small else materials.size.preset
    config = preset(field, name, space=space)  # type: ignore[arg-type]
    if materials.size is QUICK:
        config = replace(config, batch_images=1, batch_rays=64)
    return replace(config, decoder_precision="float32")


def _fit(
    materials: Materials, config: FitConfig, device: torch.device, *, steps: tuple[int, int]
) -> LatentNerfTrainer:
    config = config.with_steps(supervision=steps[0], alignment=steps[1])
    autoencoder = None if config.space == "rgb" else materials.autoencoder
    scene = materials.scene
    if autoencoder is not None:
        scene = scene.cropped_to_multiple(autoencoder.factor)
    return new_trainer(new_model(scene, autoencoder, config).to(device), scene, config)


def _fit_check(materials: Materials, device: torch.device, field: FieldName, space: Space) -> dict[str, Any]:
    """Losses of a few steps, and the pictures after them."""
    config = _fit_config(materials, field, space, small=True)
    losses, pictures = [], []
    for place in (CPU, device):
        trainer = _fit(materials, config, place, steps=(CHECKED_STEPS, 0))
        losses.append(_losses(trainer))
        pictures.append(trainer.model.render(trainer.scene.cameras[:1])[0])
    error = float((pictures[0] - pictures[1]).square().mean().sqrt())
    difference, name = _largest_difference(*losses)
    return {
        "loss": difference,
        "of": name,
        "picture": error,
        "passed": difference < LOSS_TOLERANCE and error < PICTURE_TOLERANCE,
    }


def _losses(trainable: Trainable) -> list[dict[str, float]]:
    """The logged numbers of `CHECKED_STEPS` steps, in float32 as a CPU has it."""
    records = []
    # Convolutions of CUDA have ten bits of mantissa unless they are told.
    with torch.backends.cudnn.flags(allow_tf32=False):
        for index in range(CHECKED_STEPS):
            values = trainable.step(index, index / (2 * CHECKED_STEPS))
            records.append({k: v for k, v in values.items() if isinstance(v, float) and "seconds" not in k})
    return records


def _largest_difference(first: list[dict[str, float]], second: list[dict[str, float]]) -> tuple[float, str]:
    """The largest relative difference, and the name of the number that has it."""
    return max(
        (abs(a[name] - b[name]) / max(abs(a[name]), 1e-4), name)
        for a, b in zip(first, second, strict=True)
        for name in a
    )


Making = Callable[[torch.device], Any]
"""A context of a `Trainable` on a device."""


def _training_check(make: Making, device: torch.device) -> dict[str, Any]:
    losses = []
    for place in (CPU, device):
        with make(place) as trainable:
            losses.append(_losses(trainable))
    difference, name = _largest_difference(*losses)
    return {"loss": difference, "of": name, "passed": difference < LOSS_TOLERANCE}


def _trainings(materials: Materials) -> Mapping[str, Making]:
    """IG-AE's phases, LRF's stages I and III, and a prior at small sizes."""
    config = replace(PRESETS["tiny"], size=materials.size.pixels)
    return {
        "igae pretraining": lambda device: _igae(materials, config, device, "pretraining"),
        "igae joint": lambda device: _igae(materials, config, device, "joint"),
        "lrf stage I": lambda device: _stage_one(materials, device),
        "lrf stage III": lambda device: _stage_three(materials, device),
        "prior": lambda device: _prior(materials, device),
    }


@contextmanager
def _igae(
    materials: Materials, config: IgaeConfig, device: torch.device, phase: str
) -> Iterator[ScenePretrainer | JointTrainer]:
    folder, size, grid = materials.folder, config.size, config.scenes.sampling.grid_resolution
    cache = folder / "cache"
    views = cache_scenes([folder / "scenes"], size=size, background=WHITE, grid_resolution=grid, cache=cache)
    autoencoder = materials.autoencoder.clone().to(device)
    scenes = SceneTraining(config, views, autoencoder, device=device)
    trainer: ScenePretrainer | JointTrainer
    if phase == "pretraining":
        latents = folder / f"latents-{size}-{device.type}.f16"
        cache_latents(autoencoder, views, latents)
        opened = open_latents(autoencoder, views, latents)
        trainer = ScenePretrainer(scenes, opened, config, processes=Processes(), observer=None)
    else:
        scenes.begin_phase(config.joint)
        trainer = JointTrainer(
            autoencoder,
            scenes,
            cache_photos([folder / "photos"], size=size, cache=cache),
            config,
            perceptual=perceptual_loss(config.perceptual, device),
            processes=Processes(),
            observer=None,
        )
    try:
        yield trainer
    finally:
        trainer.batches.close()


class _MadeUpPairs(PairImages):
    """Pictures with points that correspond to each other at random."""

    def __init__(self, images: Tensor) -> None:
        self._images = images

    def batch(self, number: int, *, pairs: int, points: int, seed: int) -> PairBatch:
        generator = seeded_generator(seed, number)
        chosen = torch.randint(len(self._images), (2 * pairs,), generator=generator)
        side = self._images.shape[-1]
        positions = 4 + (side - 8) * torch.rand(pairs, points, 2, 2, generator=generator)
        shared = torch.rand(pairs, points, generator=generator) < 0.9
        errors = 0.1 + torch.rand(pairs, generator=generator)
        return PairBatch(self._images[chosen], positions, shared, errors)


@contextmanager
def _stage_one(materials: Materials, device: torch.device) -> Iterator[EncoderTrainer]:
    config = EncoderTrainingConfig(
        pairs_per_batch=2,
        points_per_pair=64,
        size=materials.size.pixels,
        precision="float32",
        discriminator=DiscriminatorConfig(start=1, width=16),
    )
    images = materials.scene.images(materials.scene.indices("train"))
    yield EncoderTrainer(materials.autoencoder.clone().to(device), _MadeUpPairs(images), config)


@contextmanager
def _stage_three(materials: Materials, device: torch.device) -> Iterator[DecoderAlignment]:
    scene, autoencoder = materials.scene, materials.autoencoder
    path = materials.folder / "pairs.safetensors"
    if not path.exists():
        images = scene.images(torch.arange(len(scene.cameras)))
        encoded = autoencoder.encode_batches(images)
        noise = torch.randn(encoded.shape, generator=torch.Generator().manual_seed(0))
        novel = torch.zeros(len(images), dtype=torch.bool)
        novel[scene.indices("test")] = True
        tensors = {
            "rendered": (encoded + 0.1 * noise).half().contiguous(),
            "encoded": encoded.half().contiguous(),
            "images": (255 * images).round().to(torch.uint8).contiguous(),
            "novel": novel,
        }
        save_file(tensors, path)
    pairs = Pairs([path], factor=autoencoder.factor, crop=materials.size.pixels)
    side = pairs.cells * autoencoder.factor
    data = load_training_images((materials.folder / "photos",), (), size=side)
    yield DecoderAlignment(autoencoder.clone().to(device), pairs, DecoderTrainingConfig(), photos=data)


@contextmanager
def _prior(materials: Materials, device: torch.device) -> Iterator[PriorTrainer]:
    config = replace(PRIORS["tiny"], size=materials.size.pixels)
    run = PriorRunConfig(
        scenes=(materials.folder / "scenes",), autoencoder="base", seconds=None, training=config
    )
    autoencoder = materials.autoencoder.clone()
    data = load_data(run.scenes, autoencoder, config, cache=materials.folder / "views.safetensors")
    prior, averaged = (new_prior(run, data, space_hash(autoencoder)).to(device) for _ in range(2))
    yield PriorTrainer(prior, averaged.requires_grad_(False).eval(), data, config)


def _prior_check(device: torch.device) -> dict[str, Any]:
    """The noise that the packaged prior finds, told a class, a direction and a view from it that all views share."""
    prior = load_prior("objects")
    shape, generator = (4, *prior.shape), torch.Generator().manual_seed(0)
    noisy, reference = torch.randn(shape, generator=generator), torch.randn(shape[1:], generator=generator)
    seen_from = direction(elevation=20, azimuth=30)
    given = condition(
        seen_from.expand(4, 3),
        shape=shape,
        class_index=0,
        reference=reference,
        reference_direction=seen_from,
    )
    times = torch.full((4,), len(prior.schedule) // 2)
    on_cpu = prior.noise(noisy, times, given)
    moved = prior.to(device)
    found = moved.noise(upload(noisy, device), upload(times, device), given.to(device))
    error = float((found.cpu() - on_cpu).square().mean().sqrt())
    return {"loss": error, "passed": error < LOSS_TOLERANCE}


# Kernels.

Kernel = Callable[[torch.device], tuple[list[Tensor], list[Tensor]]]
"""Values and gradients of a kernel and of its twin, on a device."""


def _kernel_check(kernel: Kernel, device: torch.device) -> dict[str, Any]:
    fast, twin = kernel(device)
    errors = [
        float((a - b).abs().max() / b.abs().max().clamp(min=1e-6)) for a, b in zip(fast, twin, strict=True)
    ]
    return {"errors": errors, "passed": max(errors) < KERNEL_TOLERANCE}


def _with_gradients(function: Callable[[], Tensor], leaves: list[Tensor]) -> list[Tensor]:
    out = function()
    weights = torch.linspace(0.5, 1.5, out.numel(), device=out.device).view_as(out)
    gradients = torch.autograd.grad((out * weights).sum(), leaves)
    return [out.detach(), *gradients]


def _kernels(points: int, device: torch.device) -> Mapping[str, Kernel]:
    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=torch.Generator().manual_seed(0))

    def hashes(device: torch.device) -> tuple[list[Tensor], list[Tensor]]:
        levels = pyramid(levels=8, coarsest=16, finest=512, table_size=2**14)
        table = uniform(total_rows(levels), 2).to(device).requires_grad_()
        where = (2 * uniform(points, 3) - 1).to(device)
        return (
            _with_gradients(lambda: hash_encoding(table, where, levels), [table]),
            _with_gradients(lambda: hash_encoding_reference(table, where, levels), [table]),
        )

    def planes(device: torch.device) -> tuple[list[Tensor], list[Tensor]]:
        table = uniform(3, 64, 64, 32).to(device).requires_grad_()
        where = (2 * uniform(points, 3) - 1).to(device)
        return (
            _with_gradients(lambda: plane_lookup(table, where), [table]),
            _with_gradients(lambda: plane_lookup_reference(table, where), [table]),
        )

    kernels: dict[str, Kernel] = {
        "hash encoding": hashes,
        "plane lookup, row scatter": planes,
        "splatting": partial(_splats, points, composite),
    }
    if device.type == "cuda" and find_spec("gsplat"):
        kernels["splatting by gsplat"] = partial(_splats, points, composite_gsplat)
    return kernels


def _splats(
    points: int, compositing: Callable[..., Any], device: torch.device
) -> tuple[list[Tensor], list[Tensor]]:
    """Projection by the kernels and compositing, and both by their twins."""
    count, generator = max(points // 100, 50), torch.Generator().manual_seed(0)
    means = (1.2 * torch.rand(count, 3, generator=generator) - 0.6).to(device).requires_grad_()
    scales = torch.full((count, 3), 0.05, device=device)
    rotations = torch.randn(count, 4, generator=generator).to(device)
    opacities = (0.1 + 0.8 * torch.rand(count, generator=generator)).to(device)
    values = torch.rand(count, 5, generator=generator).to(device).requires_grad_()
    pose = look_at(torch.tensor([[0.0, -3.0, 0.5]]), torch.zeros(3), torch.tensor([0.0, 0.0, 1.0]))
    camera = Cameras(pose, torch.full((1, 2), 90.0), torch.full((1, 2), 32.0), 64, 64).to(device)
    gaussians = Gaussians(means, rotations, scales, opacities)

    def picture(projection: Callable[..., Any], compositing: Callable[..., Any]) -> Tensor:
        projected = projection(gaussians, camera, near=0.1, blur=0.3, antialiased=False)
        summed: Tensor = compositing(projected, values, width=camera.width, height=camera.height)[0]
        return summed

    leaves = [means, values]
    return (
        _with_gradients(lambda: picture(project, compositing), leaves),
        _with_gradients(lambda: picture(project_reference, composite_reference), leaves),
    )


# Speed and memory.


def _fit_speed(materials: Materials, device: torch.device, field: FieldName, space: Space) -> dict[str, Any]:
    """Milliseconds of a step, frames per second with decoding, and the memory that both take."""
    size = materials.size
    warm = max(size.steps, 3)
    config = _fit_config(materials, field, space, small=False)
    # Gaussians are added along a fit: a short one would add all of them in a few steps.
    whole = config.supervision.steps if field == "gaussians" else 0
    with peak_memory(device) as memory:
        trainer = _fit(materials, config, device, steps=(max(warm + size.steps, whole), 0))
        for index in range(warm):
            trainer.step(index, index / trainer.total_steps)
        wait_for(device)
        start = time.perf_counter()
        for index in range(warm, warm + size.steps):
            trainer.step(index, index / trainer.total_steps)
        wait_for(device)
        step = (time.perf_counter() - start) / size.steps
        frames = {
            str(width): _frames_per_second(trainer, device, width, most=10 * size.steps)
            for width in size.frames
        }
    return {
        "step_ms": round(1000 * step, 3),
        "frames_per_second": frames,
        "peak_mebibytes": memory.mebibytes,
    }


def _frames_per_second(trainer: LatentNerfTrainer, device: torch.device, width: int, *, most: int) -> float:
    cameras = trainer.scene.cameras[:1].resized(width=width, height=width)
    trainer.model.render(cameras)
    wait_for(device)
    frames, start = 0, time.perf_counter()
    while frames < most and time.perf_counter() - start < 1:
        trainer.model.render(cameras)
        frames += 1
    return round(frames / (time.perf_counter() - start), 2)


def _igae_slice(materials: Materials, device: torch.device, phase: str) -> dict[str, Any]:
    """A phase of IG-AE for some seconds, saved, and resumed in other objects for as many."""
    size = materials.size
    config = replace(PRESETS["paper" if size.preset == "paper" else "tiny"], perceptual="gradient-similarity")
    if size is QUICK:
        config = replace(config, size=size.pixels)
    folder, steps = materials.folder / "slice" / phase, []
    with peak_memory(device) as memory:
        for part in (1, 2):
            with _igae(materials, config, device, phase) as trainer:
                options = LoopConfig(checkpoint_seconds=3600.0, log_every=1, seconds=part * size.seconds)
                train(trainer, steps=trainer.total_steps, folder=folder, label=phase, options=options)
                total = trainer.total_steps
            steps.append(len(read_log(folder)))
    log = read_log(folder)
    return {
        "steps": steps,
        "step_ms": round(1000 * log[-1]["seconds"] / len(log), 2),
        "first_loss": _loss(log[0]),
        "last_loss": _loss(log[-1]),
        "peak_mebibytes": memory.mebibytes,
        "passed": 0 < steps[0] < steps[1] or steps == [total, total],
    }


def _loss(record: Mapping[str, Any]) -> float:
    return float(record.get("loss", record.get("latent", 0.0)))


if __name__ == "__main__":
    sys.exit(main())
