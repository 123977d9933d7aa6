"""`LatentPrior`: a denoiser of views of objects in the latent space of an autoencoder, and its folder.

config.json          kind, sizes, classes, cameras, and which latent space it is of
model.safetensors    weights, in half precision

Shape suffixes: B views, C latent channels, h, w latent size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.autoencoders.fingerprint import space_hash
from latentfields.autoencoders.load import load_autoencoder
from latentfields.cameras import Cameras, look_at
from latentfields.config.arguments import checked
from latentfields.config.checks import Checked, Range, check_stored
from latentfields.config.typed_json import from_json, to_json
from latentfields.devices import has_bfloat16
from latentfields.errors import ArgumentError, InputError
from latentfields.files import read_json, write_json
from latentfields.priors.conditions import Condition
from latentfields.priors.config import PriorNetworkConfig
from latentfields.priors.network import PriorNetwork, require_diffusers
from latentfields.priors.schedule import NoiseSchedule, predicted_noise
from latentfields.training.checkpoint import bounded_by, byte_count, load_tensors, save_tensors

CONFIG_FILE = "config.json"
MODEL_FILE = "model.safetensors"
_MIN_NEAR = 0.02


@dataclass(frozen=True)
class Rig(Checked):
    """Where the cameras stood that a prior knows: on a sphere, looking at its centre, z up."""

    distance: Annotated[float, Range(above=0)]
    """Of the cameras from the centre of [-1, 1]^3, whose middle fills a picture from twice the focal length."""
    focal: Annotated[float, Range(above=0)]
    """Focal length in image widths."""
    lowest: Annotated[float, Range(low=-90, high=90)]
    """Lowest elevation of a camera, in degrees."""
    highest: Annotated[float, Range(low=-90, high=90)]
    """Highest elevation of a camera, in degrees."""
    extent: Annotated[float, Range(above=0, high=1)]
    """Longer side of the box around an object in a picture, as a share of the picture's: its mean over all views."""

    @property
    def near(self) -> float:
        """Distance along a ray before which there is nothing: objects lie in the unit ball."""
        return max(_MIN_NEAR, self.distance - 1)

    @property
    def far(self) -> float:
        """Distance along a ray after which there is nothing."""
        return self.distance + 1

    def cameras(self, directions: Tensor, *, size: int, centre: Tensor | None = None) -> Cameras:
        """Square cameras of `size` pixels in `directions` (N, 3), unit vectors, from the point that they look at.

        It is `centre` (3,), by default the origin.
        """
        count = len(directions)
        middle = torch.zeros(3) if centre is None else centre
        return Cameras(
            camera_to_world=look_at(
                middle + self.distance * directions, middle, torch.tensor([0.0, 0.0, 1.0])
            ),
            focal=torch.full((count, 2), self.focal * size),
            principal=torch.full((count, 2), size / 2),
            width=size,
            height=size,
        )

    def random_directions(self, count: int, generator: torch.Generator) -> Tensor:
        """(count, 3) unit vectors, evenly spread over the part of the sphere where cameras stood."""
        drawn = torch.rand(count, 2, generator=generator)
        low, high = (math.sin(math.radians(elevation)) for elevation in (self.lowest, self.highest))
        up = low + (high - low) * drawn[:, 0]
        around, out = 2 * math.pi * drawn[:, 1], (1 - up.square()).clamp(min=0).sqrt()
        return torch.stack([out * around.cos(), out * around.sin(), up], dim=1)


@dataclass(frozen=True)
class PriorConfig(Checked):
    """Everything about a prior but its weights."""

    kind: ClassVar[str] = "latent prior"

    network: PriorNetworkConfig
    """Sizes of the network."""
    parameterisation: Literal["epsilon", "v"]
    """What the network predicts."""
    timesteps: Annotated[int, Range(low=2, high=10_000)]
    """Levels of noise of the squared-cosine schedule."""
    classes: tuple[str, ...]
    """Names of the classes."""
    autoencoder: str
    """Name or folder of the autoencoder whose latents it knows."""
    space: str
    """Hash of that autoencoder (`space_hash`)."""
    channels: int
    """Latent channels."""
    side: int
    """Latents along each side of a view."""
    rig: Rig
    """Where cameras stand."""


class LatentPrior(nn.Module):
    """A network with its schedule of noise; a `Denoiser` of latents that are normalised per channel."""

    alpha: Tensor
    sigma: Tensor

    def __init__(self, config: PriorConfig, *, name: str) -> None:
        """With random weights, from torch's generator. Raises InputError when diffusers is not installed."""
        super().__init__()
        self.config, self.name = config, name
        self.network = PriorNetwork(
            config.network, channels=config.channels, side=config.side, classes=len(config.classes)
        )
        levels = cosine_schedule(config.timesteps)
        # They move with the network and follow from the configuration.
        self.register_buffer("alpha", levels.alpha, persistent=False)
        self.register_buffer("sigma", levels.sigma, persistent=False)

    @property
    def schedule(self) -> NoiseSchedule:
        """Its levels of noise, on its device."""
        return NoiseSchedule(self.alpha, self.sigma)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, h, w) of the latents of a view."""
        return self.config.channels, self.config.side, self.config.side

    @property
    def device(self) -> torch.device:
        """The device that it computes on."""
        return next(self.parameters()).device

    @torch.no_grad()
    def noise(self, noisy: Tensor, times: Tensor, given: Condition) -> Tensor:
        """The noise, (B, C, h, w), in noisy latents (B, C, h, w) at levels `times` (B,). No gradient flows."""
        alpha, sigma = self.schedule.at(times)
        with torch.autocast(noisy.device.type, dtype=torch.bfloat16, enabled=has_bfloat16(noisy.device)):
            prediction = self.network(noisy, times, given).float()
        return predicted_noise(self.config.parameterisation, prediction, noisy, alpha=alpha, sigma=sigma)

    def class_index(self, name: str, *, argument: str = "category") -> int:
        """The index of a class. Raises ArgumentError, of that argument, naming the classes that there are."""
        if name not in self.config.classes:
            known = ", ".join(self.config.classes)
            raise ArgumentError(argument, f"is '{name}'; the prior {self.name} knows {known}")
        return self.config.classes.index(name)

    def check_space(self, autoencoder: Autoencoder) -> None:
        """Raise InputError when `autoencoder` has another latent space than the one that this is of."""
        if space_hash(autoencoder) != self.config.space:
            raise InputError(
                self.name,
                f"is a prior of the latents of '{self.config.autoencoder}', which those of {autoencoder.name} are not; "
                "train one with: latentfields prior train",
            )

    def load_autoencoder(self) -> Autoencoder:
        """The autoencoder whose latents it knows. Raises InputError when it is gone, or another one by now."""
        autoencoder = load_autoencoder(self.config.autoencoder)
        self.check_space(autoencoder)
        return autoencoder

    def save(self, folder: Path) -> None:
        """Write the prior. Half precision changes weights by less than 0.05 %."""
        tensors = {name: tensor.half() for name, tensor in self.network.state_dict().items()}
        save_tensors(folder / MODEL_FILE, tensors, {})
        # Last: with it, the folder is a prior's.
        write_json(folder / CONFIG_FILE, to_json(self.config))


def cosine_schedule(timesteps: int) -> NoiseSchedule:
    """The squared cosine of Nichol and Dhariwal (2021), as diffusers has it, of so many levels."""
    require_diffusers()
    import diffusers

    scheduler: Any = diffusers.DDPMScheduler
    made = scheduler(num_train_timesteps=timesteps, beta_schedule="squaredcos_cap_v2")
    return NoiseSchedule.variance_preserving(made.alphas_cumprod)


def packaged_priors() -> dict[str, Path]:
    """Names of the priors that come with the package, and their folders."""
    root = Path(str(resources.files("latentfields"))) / "weights" / "priors"
    return {path.parent.name: path.parent for path in sorted(root.glob(f"*/{CONFIG_FILE}"))}


def located_prior(name: str | Path) -> str:
    """A name that means the same in every working directory: of a folder its whole path, else `name`."""
    return str(name) if str(name) in packaged_priors() else str(Path(name).resolve())


def is_prior(folder: Path) -> bool:
    """True when a folder holds a prior of this package."""
    path = folder / CONFIG_FILE
    about = read_json(path) if path.is_file() else None
    return isinstance(about, dict) and about.get("kind") == PriorConfig.kind


@checked
def load_prior(name: str | Path) -> LatentPrior:
    """The packaged prior of this name, or the one in a folder that `prior train` wrote, on the CPU, for inference.

    Raises InputError when there is none, when its files do not fit together or hold weights that are not finite.
    """
    packaged = packaged_priors()
    folder = packaged.get(str(name), Path(name))
    # The folder of a training holds the prior that came of it.
    folder = folder / "prior" if not is_prior(folder) and is_prior(folder / "prior") else folder
    if not is_prior(folder):
        names = ", ".join(f"'{known}'" for known in packaged) or "none"
        raise InputError(name, f"is no prior; packaged: {names}; or give a folder that `prior train` wrote")
    source = folder / CONFIG_FILE
    config = from_json(PriorConfig, read_json(source), source=source)
    check_stored(config, source)
    tensors, _ = load_tensors(folder / MODEL_FILE)
    if not all(tensor.isfinite().all() for tensor in tensors.values()):
        raise InputError(folder / MODEL_FILE, "holds weights that are not finite; the file is damaged")
    try:
        # Stored in half precision.
        with torch.random.fork_rng(devices=[]), bounded_by(2 * byte_count(tensors), source):
            prior = LatentPrior(config, name=str(name))
        prior.network.load_state_dict({key: tensor.float() for key, tensor in tensors.items()})
    except RuntimeError as error:
        detail = " ".join(str(error).split())[:200]
        raise InputError(folder / MODEL_FILE, f"does not fit {CONFIG_FILE} ({detail})") from None
    return prior.requires_grad_(False).eval()
