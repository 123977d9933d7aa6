"""Training a prior: denoising of encoded views, conditions withheld at random. Resumes what was interrupted.

Shape suffixes: B views of a batch, C latent channels, h, w latent size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.autoencoders.fingerprint import space_hash
from latentfields.autoencoders.load import called, located, opened
from latentfields.config.arguments import checked
from latentfields.devices import has_bfloat16, read, upload
from latentfields.errors import ArgumentError, InputError
from latentfields.priors.conditions import Condition
from latentfields.priors.config import (
    PRESETS,
    USUAL_AUTOENCODER,
    PriorPreset,
    PriorRunConfig,
    PriorTrainingConfig,
)
from latentfields.priors.dashboard import Dashboard
from latentfields.priors.data import PriorData, check_data, load_data
from latentfields.priors.network import require_diffusers
from latentfields.priors.prior import LatentPrior, PriorConfig
from latentfields.priors.schedule import target
from latentfields.scenes.load import Scenes, as_scene_folders
from latentfields.training.distributed import Processes, joined_processes, local_device
from latentfields.training.loop import LoopConfig
from latentfields.training.muon import Muon
from latentfields.training.recipe import begin, write_metrics
from latentfields.training.runs import is_claimed
from latentfields.training.schedules import cosine_decay, set_learning_rates, with_peaks
from latentfields.training.state import Parts

PRIOR_FOLDER = "prior"
"""In a run's folder: the prior that was trained."""
DATA_FILE = "views.safetensors"
"""In a run's folder: the encoded views."""
EVALUATE_EVERY = 1000
"""Steps between points of the held-out curve, and pages."""
_HELD_OUT_BATCH = 64
"""Views behind a point of that curve, the same ones with the same noise each time."""

Observer = Callable[[LatentPrior, int], None]
"""Called now and then with the averaged prior, and the number of steps done."""


class Average:
    """The exponential moving average of a prior's weights: diffusers' `EMAModel`; what was trained is in `prior`."""

    def __init__(self, source: LatentPrior, prior: LatentPrior, *, decay: float) -> None:
        """`prior` is another instance, on the same device, whose weights are overwritten by `refresh`."""
        from diffusers.training_utils import EMAModel

        self._model = EMAModel(source.parameters(), decay=decay)
        self._prior = prior

    def update(self, source: LatentPrior) -> None:
        """Take the weights after a step into account."""
        self._model.step(source.parameters())

    def refresh(self) -> LatentPrior:
        """The prior with the averaged weights."""
        self._model.copy_to(self._prior.parameters())
        return self._prior

    def state_dict(self) -> dict[str, Tensor]:
        """The averages by their position, and the number of steps."""
        averages = {str(index): tensor for index, tensor in enumerate(self._model.shadow_params)}
        return averages | {"steps": torch.tensor(self._model.optimization_step)}

    def load_state_dict(self, state_dict: Mapping[str, Tensor], /) -> None:
        """Continue from `state_dict`. Raises KeyError or RuntimeError where it is of another network."""
        for index, tensor in enumerate(self._model.shadow_params):
            tensor.copy_(state_dict[str(index)])
        self._model.optimization_step = int(state_dict["steps"])


class PriorTrainer:
    """Trains one prior; a `Trainable` for `training.loop.train`.

    Random numbers are drawn on the CPU, whatever device the prior is on.
    """

    def __init__(
        self,
        prior: LatentPrior,
        averaged: LatentPrior,
        data: PriorData,
        config: PriorTrainingConfig,
        *,
        processes: Processes = Processes(),  # noqa: B008 - a frozen dataclass
        observe: Observer = lambda prior, steps: None,
    ) -> None:
        """`averaged` is a second instance, on the same device, that takes up the averaged weights.

        Several `processes` share each batch; the first of them observes.
        """
        self.prior, self.data, self.config = prior, data, config
        self.processes, self.observe = processes, observe
        self.generator = torch.Generator().manual_seed(config.seed)
        self.schedule = prior.schedule.to(torch.device("cpu"))
        kernels = muon_kernels(prior)
        chosen = {id(kernel) for kernel in kernels}
        others = [parameter for parameter in prior.parameters() if id(parameter) not in chosen]
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "muon": with_peaks(Muon(kernels, lr=config.learning_rate * config.muon_factor)),
            "adam": with_peaks(
                torch.optim.AdamW(
                    others, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
                )
            ),
        }
        self.average = Average(prior, averaged, decay=config.average_decay)
        self._half = has_bfloat16(prior.device)
        self._parts = Parts(
            modules={"network": prior.network, "average": self.average},
            optimizers=self.optimizers,
            generators={"generator": self.generator},
        )

    def step(self, index: int, progress: float) -> dict[str, float]:
        """One batch."""
        config = self.config
        warm = min(1.0, (index + 1) / max(1, config.warmup_steps))
        for optimizer in self.optimizers.values():
            set_learning_rates(optimizer, warm * cosine_decay(progress, final=0.0))
            optimizer.zero_grad()
        latents, given = self.data.train.draw(config.batch, self.data.train, self.generator)
        given = withheld(given, config, self.generator)
        loss = self._share_of_loss(latents, given)
        if loss.requires_grad:  # A process may have nothing to do in a small batch.
            loss.backward()
        self.processes.sum_gradients(self.prior.parameters())
        torch.nn.utils.clip_grad_norm_(self.prior.parameters(), config.largest_gradient)
        for optimizer in self.optimizers.values():
            optimizer.step()
        self.average.update(self.prior)
        values = self.processes.sum_values(read({"loss": loss}))
        if self.processes.first and (index + 1) % EVALUATE_EVERY == 0:
            values["held_out_loss"] = self.held_out_loss()
            self.observe(self.average.refresh(), index + 1)
        return values

    def _share_of_loss(self, latents: Tensor, given: Condition) -> Tensor:
        """This process's part of the loss of a batch; summed over processes it is the loss."""
        times, noise = self._noise(latents, self.generator)
        mine = self.processes.share(len(latents))
        count = mine.stop - mine.start
        if not count:
            return torch.zeros((), device=self.prior.device)
        # A mean over a part, weighted by its share.
        loss = self._loss(self.prior, latents[mine], given[mine], times[mine], noise[mine])
        weighted: Tensor = loss * (count / len(latents))
        return weighted

    def _noise(self, latents: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Times (B,) and noise (B, C, h, w) of latents."""
        times = torch.randint(len(self.schedule), (len(latents),), generator=generator)
        return times, torch.randn(latents.shape, generator=generator)

    def _loss(
        self, prior: LatentPrior, latents: Tensor, given: Condition, times: Tensor, noise: Tensor
    ) -> Tensor:
        """Mean squared error of what the network predicts of noised latents (B, C, h, w)."""
        alpha, sigma = self.schedule.at(times)
        wanted = target(self.config.parameterisation, latents, noise, alpha=alpha, sigma=sigma)
        noisy, device = self.schedule.noised(latents, noise, times), prior.device
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=self._half):
            predicted = prior.network(upload(noisy, device), upload(times, device), given.to(device))
        loss: Tensor = (predicted.float() - upload(wanted, device)).square().mean()
        return loss

    @torch.no_grad()
    def held_out_loss(self) -> float:
        """The loss of the averaged weights on held-out views, all conditions told; always of the same draws."""
        fixed = torch.Generator().manual_seed(self.config.seed)
        latents, given = self.data.held_out.draw(_HELD_OUT_BATCH, self.data.train, fixed)
        return float(self._loss(self.average.refresh(), latents, given, *self._noise(latents, fixed)))

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Weights, their average, optimiser and random generator."""
        tensors, groups = self._parts.pack()
        return tensors, {"groups": groups}

    def restore(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
        """Continue from `state`."""
        self._parts.unpack(tensors, metadata["groups"])


def muon_kernels(prior: LatentPrior) -> list[nn.Parameter]:
    """The kernels that Muon trains: of convolutions between features, at one resolution."""
    network: Any = prior.network.unet
    return [
        cast(nn.Parameter, module.weight)
        for module in prior.modules()
        if isinstance(module, nn.Conv2d) and module.stride == (1, 1) and module is not network.conv_out
    ]


def withheld(given: Condition, config: PriorTrainingConfig, generator: torch.Generator) -> Condition:
    """The conditions without those that are withheld at random, each on its own, and now and then all of them."""
    drawn = torch.rand(4, len(given), generator=generator)
    everything = drawn[3] < config.drop_all
    return given.dropped(
        classes=everything | (drawn[0] < config.drop_class),
        directions=everything | (drawn[1] < config.drop_camera),
        references=everything | (drawn[2] < config.drop_reference),
    )


@checked
def train_prior(
    scenes: Scenes,
    *,
    autoencoder: Autoencoder | str | Path = USUAL_AUTOENCODER,
    out: str | Path,
    training: PriorTrainingConfig | PriorPreset = "small",
    seconds: float | None = None,
    device: str = "auto",
    command: str | None = None,
    loop: LoopConfig | None = None,
) -> LatentPrior:
    """Train a prior of the views of scenes in the latent space of `autoencoder`; `out/prior` holds the result.

    `scenes` are scenes or folders of them, of scenes in memory their folders, with square views through one lens; a
    scene is of the class that its folder is called, less a number at the end. `seconds` limits the training time, and
    learning rates follow the clock then. `device` is as for `fit`; the result is on the CPU. `command` is shown on the
    page as what repeats the run. Run again after an interruption, it continues. Started by torchrun, all
    processes work on one global batch.
    Raises InputError for unusable settings or folders, or when `out` holds a run with other settings.
    """
    training = PRESETS[training] if isinstance(training, str) else training
    out = Path(out)
    run = PriorRunConfig(
        scenes=as_scene_folders(scenes),
        autoencoder=located(called(autoencoder)),
        seconds=seconds,
        training=training,
    )
    training.check()
    run.check()
    target_device = local_device(device)
    require_diffusers()
    space = opened(autoencoder)
    if not space.has_statistics:
        raise InputError(
            space.name, "has no latent statistics; expected an autoencoder that was trained here"
        )
    if training.size % space.factor:
        raise ArgumentError("size", f"is {training.size}; expected a multiple of the factor {space.factor}")

    training.network.check_side(training.size // space.factor)
    with joined_processes(target_device) as processes, ExitStack() as begun:
        if processes.first:
            read = begin(
                run, out, lambda: None if is_claimed(out) else check_data(run.scenes, size=training.size)
            )
            begun.enter_context(read)
            # What the first one encodes the others read.
            load_data(run.scenes, space.to(target_device), training, cache=out / DATA_FILE)
        processes.wait()
        data = load_data(run.scenes, space.to(target_device), training, cache=out / DATA_FILE)
        prior, averaged = (new_prior(run, data, space_hash(space)).to(target_device) for _ in range(2))
        dashboard = Dashboard(out, run, space, command=command)
        trainer = PriorTrainer(
            prior,
            averaged.requires_grad_(False).eval(),
            data,
            training,
            processes=processes,
            observe=dashboard.observe,
        )
        trained = processes.train(
            trainer,
            steps=training.steps,
            folder=out,
            label="prior",
            options=replace(loop or LoopConfig(), seconds=seconds),
        )
        result = trainer.average.refresh()
        if not processes.first:
            return result.cpu()
        measured = {
            "steps": int(trainer.average.state_dict()["steps"]),
            "held_out_loss": trainer.held_out_loss(),
            "parameters": sum(parameter.numel() for parameter in result.parameters()),
        }
        dashboard.write(result, "finished")
        result = result.cpu()
        result.save(out / PRIOR_FOLDER)
        result.name = str(out)
        write_metrics(out, measured, seconds=trained, device=target_device)
        return result


def new_prior(run: PriorRunConfig, data: PriorData, space: str) -> LatentPrior:
    """A prior with random weights, those of the seed."""
    training = run.training
    config = PriorConfig(
        network=training.network,
        parameterisation=training.parameterisation,
        timesteps=training.timesteps,
        classes=data.names,
        autoencoder=run.autoencoder,
        space=space,
        channels=data.shape[0],
        side=data.shape[1],
        rig=data.rig,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(training.seed)
        return LatentPrior(config, name=run.autoencoder)
