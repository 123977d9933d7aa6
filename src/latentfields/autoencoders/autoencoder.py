"""`Autoencoder`: one interface to every image autoencoder, with normalised latents.

Outside this module images are in [0, 1] and latents have zero mean and unit variance per channel, whatever the
network inside expects. Shape suffixes: B batch, C latent channels, H, W image size, h = H / factor, w = W / factor.
"""

from __future__ import annotations

import abc
import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from latentfields.autoencoders.losses import sampled
from latentfields.config.checks import require_type
from latentfields.errors import ArgumentError, InputError
from latentfields.files import write_json
from latentfields.measures.metrics import LATENT_RANGE

STATISTICS_FILE = "latent_statistics.json"


class Codec(Protocol):
    """A network as `Autoencoder` uses it: raw latents, images in [0, 1], its own folder format."""

    @property
    def channels(self) -> int:
        """Latent channels."""
        ...

    @property
    def factor(self) -> int:
        """Pixels per latent along one side."""
        ...

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Posterior mean and log-variance (None if deterministic), (B, C, h, w), of images in [0, 1]."""
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """Images (B, 3, H, W), nominally in [0, 1], not clamped, of raw latents."""
        ...

    def encoder_module(self) -> nn.Module:
        """The part with the encoder's parameters."""
        ...

    def decoder_module(self) -> nn.Module:
        """The part with the decoder's parameters."""
        ...

    def save(self, folder: Path) -> None:
        """Write the network in its own format."""
        ...


@runtime_checkable
class OwnCodec(Protocol):
    """What networks of this package can be made into, beside what every `Codec` does."""

    def grown(self, *, blocks: tuple[int, ...] | None = None, channels: int | None = None) -> Codec:
        """Return the same function with more residual blocks per level, and more channels."""
        ...

    def rounded(self) -> Codec:
        """Return nearly the same function with weights of half precision."""
        ...


class TrainableCodec(nn.Module, abc.ABC):
    """A `Codec` that `train_autoencoder` can train. To add one:

    - a file in `autoencoders/` with a subclass, whose `save` writes a `config.json` that names the class in the field
      "_class_name";
    - its line in `autoencoders/load.py:CLASSES`, which makes its folders autoencoders for every command.

    One that is not part of the package is passed instead: to `train_autoencoder(architecture=...)`, in an `Autoencoder`
    to `fit`, and as `classes` to what loads it (`examples/04_own_autoencoder.py`).
    """

    config: Any
    """Frozen dataclass of sizes; a training is only resumed with the same ones."""

    @property
    @abc.abstractmethod
    def channels(self) -> int:
        """Latent channels."""

    @property
    @abc.abstractmethod
    def factor(self) -> int:
        """Pixels per latent along one side."""

    @property
    @abc.abstractmethod
    def variational(self) -> bool:
        """True where `encode` gives a log-variance, which a KL term then looks at."""

    @abc.abstractmethod
    def initialise(self, images: Tensor) -> None:
        """Start from training images (B, 3, H, W) in [0, 1], or leave the weights as they were drawn."""

    @abc.abstractmethod
    def encode(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Posterior mean and log-variance (None if deterministic), (B, C, h, w), of images in [0, 1]."""

    @abc.abstractmethod
    def decode(self, latents: Tensor) -> Tensor:
        """Images (B, 3, H, W), nominally in [0, 1], not clamped, of raw latents."""

    @abc.abstractmethod
    def encoder_module(self) -> nn.Module:
        """The part with the encoder's parameters."""

    @abc.abstractmethod
    def decoder_module(self) -> nn.Module:
        """The part with the decoder's parameters."""

    @abc.abstractmethod
    def save(self, folder: Path) -> None:
        """Write the network in its own format."""

    @classmethod
    @abc.abstractmethod
    def load(cls, folder: Path) -> TrainableCodec:
        """Read what `save` wrote. Raises InputError for missing or unfitting files."""


@dataclass(frozen=True)
class LatentStatistics:
    """Mean and standard deviation of raw latents, per channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, *latents: Tensor) -> LatentStatistics:
        """Statistics of raw latents (B, C, h, w), those of several sizes together."""
        values = torch.cat([part.double().transpose(0, 1).flatten(1) for part in latents], dim=1)
        return cls(tuple(values.mean(1).tolist()), tuple(values.std(1).clamp(min=1e-6).tolist()))

    @classmethod
    def extent(cls, *latents: Tensor) -> LatentStatistics:
        """Statistics that bring the least and the largest raw latent of every channel to -3 and 3: the ends of
        `LATENT_RANGE`, for latents (B, C, h, w)."""
        low = torch.stack([part.double().amin(dim=(0, 2, 3)) for part in latents]).amin(dim=0)
        high = torch.stack([part.double().amax(dim=(0, 2, 3)) for part in latents]).amax(dim=0)
        scale = ((high - low) / LATENT_RANGE).clamp(min=1e-6)
        return cls(tuple(((low + high) / 2).tolist()), tuple(scale.tolist()))


class Autoencoder(nn.Module):
    """Encodes images to normalised latents and back."""

    latent_mean: Tensor
    latent_std: Tensor

    def __init__(self, codec: Codec, statistics: LatentStatistics | None, *, name: str) -> None:
        """Wrap `codec`. Without statistics, `measure_statistics` must be called before use."""
        super().__init__()
        self.codec = codec
        self.name = name
        self.has_statistics = False
        self.register_buffer("latent_mean", torch.zeros(codec.channels), persistent=False)
        self.register_buffer("latent_std", torch.ones(codec.channels), persistent=False)
        if statistics is not None:
            self.set_statistics(statistics)

    def __repr__(self) -> str:
        return (
            f"<Autoencoder {self.name!r}: {self.channels} channels, {self.factor} pixels per latent and side>"
        )

    @property
    def channels(self) -> int:
        """Latent channels."""
        return self.codec.channels

    @property
    def factor(self) -> int:
        """Pixels per latent along one side."""
        return self.codec.factor

    @property
    def device(self) -> torch.device:
        """The device that it computes on."""
        return self.latent_mean.device

    @property
    def statistics(self) -> LatentStatistics:
        """The statistics that latents are normalised with."""
        return LatentStatistics(tuple(self.latent_mean.tolist()), tuple(self.latent_std.tolist()))

    def set_statistics(self, statistics: LatentStatistics) -> None:
        """Normalise latents with these statistics from now on."""
        self.latent_mean.copy_(torch.tensor(statistics.mean))
        self.latent_std.copy_(torch.tensor(statistics.std))
        self.has_statistics = True

    @torch.no_grad()
    def measure_statistics(
        self,
        images: Tensor | Iterable[Tensor],
        *,
        scale: Literal["spread", "extent"] = "spread",
        batch_size: int = 8,
    ) -> LatentStatistics:
        """Statistics of the raw latents of images (B, 3, H, W) in [0, 1], on any device; does not set them.

        Images may come in batches, a batch at a time in memory. Latents are given unit spread, or the same extent
        (`LatentStatistics.extent`).
        """
        chunks = images.split(batch_size) if isinstance(images, Tensor) else images
        latents = torch.cat([self.codec.encode(chunk.to(self.device))[0] for chunk in chunks])
        return LatentStatistics.of(latents) if scale == "spread" else LatentStatistics.extent(latents)

    def renew_statistics(self, images: Tensor) -> None:
        """Normalise latents with their statistics on images (B, 3, H, W) in [0, 1] from now on."""
        self.set_statistics(self.measure_statistics(images))

    def ensure_statistics(self, images: Callable[[], Tensor]) -> None:
        """Measure the statistics on the images (B, 3, H, W) that are read then, unless there are some."""
        if not self.has_statistics:
            self.renew_statistics(images())

    @torch.no_grad()
    def require_finite(self, images: Tensor) -> None:
        """Raise InputError, naming the autoencoder, when the latents or the reconstructions of images are not finite.

        `images` (B, 3, H, W) in [0, 1] are on any device. Half precision, and weights of other software, can do that.
        """
        latents = self.codec.encode(images.to(self.device))[0]
        for what, values in (("latents", latents), ("reconstructions", self.codec.decode(latents))):
            if not values.isfinite().all():
                raise InputError(
                    self.name, f"the autoencoder gives {what} that are not finite; use another one"
                )

    def posterior(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Mean and log-variance of the normalised latents, (B, C, h, w), of images (B, 3, H, W) in [0, 1].

        The log-variance is None for deterministic autoencoders. Raises InputError when H or W are no multiples of the
        factor, and for pixels that are no floating-point numbers.
        """
        self._check_images(images)
        mean, log_variance = self.codec.encode(images)
        if log_variance is not None:
            log_variance = log_variance - 2 * _per_channel(self.latent_std).log()
        return self.normalized(mean), log_variance

    def _check_images(self, images: Tensor) -> None:
        """Raise ArgumentError for what is no batch of images, or of images that are no whole latents."""
        require_type("images", images, Tensor)
        if images.ndim != 4 or images.shape[1] != 3:
            raise ArgumentError("images", f"have the shape {tuple(images.shape)}; expected (B, 3, H, W)")
        if not images.is_floating_point():
            kind = str(images.dtype).removeprefix("torch.")
            raise ArgumentError("images", f"are {kind}; expected float in [0, 1], as Scene.images gives them")
        height, width = images.shape[-2:]
        if height % self.factor or width % self.factor:
            raise ArgumentError(
                "images", f"are {width}x{height}; expected multiples of the factor {self.factor}"
            )

    def normalized(self, raw: Tensor) -> Tensor:
        """Latents (B, C, h, w) as everything outside of this class has them, of raw ones."""
        return (raw - _per_channel(self.latent_mean)) / _per_channel(self.latent_std)

    def raw(self, latents: Tensor) -> Tensor:
        """Latents (B, C, h, w) as the network has them, of normalised ones."""
        return latents * _per_channel(self.latent_std) + _per_channel(self.latent_mean)

    def raw_posterior(self, mean: Tensor, log_variance: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance (B, C, h, w) of raw latents, of those of normalised ones."""
        return self.raw(mean), log_variance + 2 * _per_channel(self.latent_std).log()

    def encode(self, images: Tensor) -> Tensor:
        """Posterior means: normalised latents (B, C, h, w) of images (B, 3, H, W) in [0, 1]."""
        return self.posterior(images)[0]

    def sample(self, images: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """A draw from the posterior; the mean for deterministic autoencoders."""
        mean, log_variance = self.posterior(images)
        return mean if log_variance is None else sampled(mean, log_variance, generator=generator)

    def decode(self, latents: Tensor) -> Tensor:
        """Images (B, 3, H, W) of normalised latents (B, C, h, w); nominally in [0, 1], not clamped.

        Raises InputError for what are no such latents.
        """
        require_type("latents", latents, Tensor)
        if latents.ndim != 4 or latents.shape[1] != self.channels:
            shape = tuple(latents.shape)
            raise ArgumentError("latents", f"have the shape {shape}; expected (B, {self.channels}, h, w)")
        return self.codec.decode(self.raw(latents))

    @torch.no_grad()
    def encode_batches(self, images: Tensor, *, batch_size: int = 8) -> Tensor:
        """`encode` without gradients, in chunks."""
        return torch.cat([self.encode(chunk) for chunk in images.split(batch_size)])

    @torch.no_grad()
    def decode_batches(self, latents: Tensor, *, batch_size: int = 8) -> Tensor:
        """`decode` without gradients, in chunks, clamped to [0, 1]."""
        return torch.cat([self.decode(chunk).clamp(0, 1) for chunk in latents.split(batch_size)])

    def background_latent(self, color: tuple[float, float, float]) -> Tensor:
        """Normalised code (C,) of an image of constant `color` in [0, 1]; differentiable.

        Taken at the centre of an image large enough that borders do not reach it.
        """
        cells = 8
        flat = (
            self.latent_mean.new_tensor(color)
            .view(1, 3, 1, 1)
            .expand(1, 3, cells * self.factor, cells * self.factor)
        )
        return self.encode(flat)[0, :, cells // 2, cells // 2]

    def encoder_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters that only encoding uses."""
        return self.codec.encoder_module().parameters()

    def decoder_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters that only decoding uses."""
        return self.codec.decoder_module().parameters()

    def clone(self) -> Autoencoder:
        """An independent copy."""
        return copy.deepcopy(self)

    def grown(
        self, *, blocks: tuple[int, ...] | None = None, channels: int | None = None, name: str
    ) -> Autoencoder:
        """Return the same function, called `name`, with `blocks` residual blocks per level and `channels`.

        To be trained on; what is not given stays. New channels have no statistics, and with them the whole has none.
        Raises ArgumentError for autoencoders that are not of this package, other levels, and fewer blocks or channels
        than now.
        """
        codec = self._own_codec().grown(blocks=blocks, channels=channels)
        return self._in_place(codec, name)

    def rounded(self, *, name: str) -> Autoencoder:
        """Return nearly the same function, called `name`, with weights of half precision: half of the bytes in a file.

        Raises ArgumentError for autoencoders that are not of this package.
        """
        return self._in_place(self._own_codec().rounded(), name)

    def _own_codec(self) -> OwnCodec:
        """The network, if it is one of this package."""
        if not isinstance(self.codec, OwnCodec):
            kind = type(self.codec).__name__
            raise ArgumentError("autoencoder", f"is a {kind}; expected one of this package")
        return self.codec

    def _in_place(self, codec: Codec, name: str) -> Autoencoder:
        """An autoencoder called `name` with a network in the place of this one, whose first latents are the same."""
        known = self.has_statistics and codec.channels == self.channels
        return Autoencoder(codec, self.statistics if known else None, name=name)

    def save(self, folder: Path) -> None:
        """Write the network in its own format, and the latent statistics beside it, if there are any."""
        self.codec.save(folder)
        if self.has_statistics:
            write_json(folder / STATISTICS_FILE, asdict(self.statistics))


def _per_channel(values: Tensor) -> Tensor:
    return values.view(1, -1, 1, 1)
