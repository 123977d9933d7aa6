"""`PatchAutoencoder`: a small convolutional autoencoder that is cheap on a CPU.

Space-to-depth first, so that nothing is computed at full resolution; no normalisation layers, so that a latent
depends on its neighbourhood only and a constant image has a constant code; replicated borders for the same reason.
A linear patch codec (initialised with principal components) carries the low frequencies, the convolutions add the
rest, so training starts from the best linear codec of the same size instead of from noise.

Shape suffixes: B batch, C latent channels, H height, W width, h = H / factor, w = W / factor.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from latentfields.autoencoders.autoencoder import TrainableCodec
from latentfields.autoencoders.config import PatchAutoencoderConfig
from latentfields.autoencoders.linear_codec import balanced_rotation, principal_components
from latentfields.config.checks import check_stored
from latentfields.config.typed_json import from_json
from latentfields.errors import ArgumentError, InputError
from latentfields.files import read_json, write_json
from latentfields.training.checkpoint import bounded_by, byte_count, load_tensors, save_tensors

WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
CLASS_FIELD = "_class_name"


class BorderedConv2d(nn.Conv2d):
    """A convolution whose borders are padded in whatever its input is, where nobody asks for gradients.

    Under autocast they would be padded in float32: the same values, after two conversions that take a tenth of it all.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H, W)."""
        kind = x.device.type
        under_autocast = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
        if self.padding_mode == "zeros" or torch.is_grad_enabled() or not under_autocast:
            return super().forward(x)
        with torch.autocast(kind, enabled=False):
            padded = torch.nn.functional.pad(x, self._reversed_padding_repeated_twice, mode=self.padding_mode)
        return torch.nn.functional.conv2d(padded, self.weight, self.bias)


def _conv(inputs: int, outputs: int, size: int = 3) -> nn.Conv2d:
    if size == 1:
        return nn.Conv2d(inputs, outputs, size)
    return BorderedConv2d(inputs, outputs, size, padding=size // 2, padding_mode="replicate")


class ResidualBlock(nn.Module):
    """ReLU, conv, ReLU, conv, added to the input; the last convolution starts at zero."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.activation: nn.Module = nn.ReLU()
        self.first: nn.Module = _conv(width, width)
        second = _conv(width, width)
        nn.init.zeros_(second.weight)
        assert second.bias is not None
        nn.init.zeros_(second.bias)
        self.second: nn.Module = second

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, H, W) to the same shape."""
        out: Tensor = x + self.second(self.activation(self.first(self.activation(x))))
        return out


class Encoder(nn.Module):
    """Images in [0, 1] to posterior means (and log-variances)."""

    def __init__(self, config: PatchAutoencoderConfig) -> None:
        super().__init__()
        outputs = config.channels * (2 if config.variational else 1)
        layers: list[nn.Module] = [
            nn.PixelUnshuffle(config.patch),
            _conv(3 * config.patch**2, config.widths[0]),
        ]
        for level, (width, count) in enumerate(zip(config.widths, config.blocks, strict=True)):
            if level:
                layers += [nn.PixelUnshuffle(2), _conv(4 * config.widths[level - 1], width, 1)]
            layers += [ResidualBlock(width) for _ in range(count)]
        layers += [nn.ReLU(), _conv(config.widths[-1], outputs)]
        self.layers = nn.Sequential(*layers)
        self.linear = nn.Conv2d(3, outputs, config.factor, stride=config.factor)

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, 3, H, W) in [0, 1] to (B, C or 2C, h, w)."""
        out: Tensor = self.layers(images) + self.linear(images)
        return out


class Decoder(nn.Module):
    """Latents to images."""

    def __init__(self, config: PatchAutoencoderConfig) -> None:
        super().__init__()
        widths = config.widths[::-1]
        layers: list[nn.Module] = [_conv(config.channels, widths[0])]
        for level, (width, count) in enumerate(zip(widths, config.blocks[::-1], strict=True)):
            if level:
                layers += [_conv(widths[level - 1], 4 * width, 1), nn.PixelShuffle(2)]
            layers += [ResidualBlock(width) for _ in range(count)]
        layers += [nn.ReLU(), _conv(widths[-1], 3 * config.patch**2), nn.PixelShuffle(config.patch)]
        self.layers = nn.Sequential(*layers)
        self.linear = nn.ConvTranspose2d(config.channels, 3, config.factor, stride=config.factor)

    def forward(self, latents: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, 3, H, W), not clamped."""
        out: Tensor = self.layers(latents) + self.linear(latents)
        return out


@torch.no_grad()
def _take_over(old: nn.Module, new: nn.Module, *, groups: int) -> None:
    """Write the weights of `old` into `new`, a layer like it that may have more latents at one end.

    Latents lie in `groups` of equal size there, in each of which those of `old` come first; others stay as they are.
    """
    to = new.state_dict()
    for name, given in old.state_dict().items():
        axis = next((a for a, size in enumerate(given.shape) if to[name].shape[a] != size), 0)
        mine, theirs = (tensor.unflatten(axis, (groups, -1)) for tensor in (given, to[name]))
        theirs.narrow(axis + 1, 0, mine.shape[axis + 1]).copy_(mine)


class PatchAutoencoder(TrainableCodec):
    """An encoder and a decoder of matching architecture."""

    config: PatchAutoencoderConfig

    def __init__(self, config: PatchAutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Posterior mean (B, C, h, w) of images (B, 3, H, W) in [0, 1], and log-variance if variational."""
        out = self.encoder(images.contiguous(memory_format=torch.channels_last))
        if not self.config.variational:
            return out, None
        mean, log_variance = out.chunk(2, dim=1)
        return mean, log_variance.clamp(-30.0, 20.0)

    def decode(self, latents: Tensor) -> Tensor:
        """Images (B, 3, H, W) of latents (B, C, h, w); nominally in [0, 1], not clamped."""
        out: Tensor = self.decoder(latents.contiguous(memory_format=torch.channels_last))
        return out

    def initialise(self, images: Tensor) -> None:
        """Start as the best linear patch codec of images (B, 3, H, W)."""
        channels = self.config.channels
        mean, basis = principal_components(images, factor=self.config.factor, channels=channels)
        self.initialise_linear(mean, torch.einsum("cd,dxyz->cxyz", balanced_rotation(channels), basis))

    @torch.no_grad()
    def initialise_linear(self, mean: Tensor, basis: Tensor) -> None:
        """Start from a linear patch codec: the convolutional branches output zero at first.

        `mean` (3, f, f) is the mean patch and `basis` (C, 3, f, f) holds orthonormal directions, f the factor.
        """
        channels = self.config.channels
        for linear in (self.encoder.linear, self.decoder.linear):
            nn.init.zeros_(linear.weight)
            assert linear.bias is not None
            nn.init.zeros_(linear.bias)
        self.encoder.linear.weight[:channels] = basis
        assert self.encoder.linear.bias is not None
        self.encoder.linear.bias[:channels] = -(basis * mean).flatten(1).sum(1)
        self.decoder.linear.weight.copy_(basis)
        # The mean patch enters as its mean colour: the transposed convolution has one bias per colour.
        assert self.decoder.linear.bias is not None
        self.decoder.linear.bias.copy_(mean.mean(dim=(1, 2)))
        for branch, before in ((self.encoder.layers, None), (self.decoder.layers, nn.PixelShuffle)):
            last = branch[-1] if before is None else branch[-2]
            assert isinstance(last, nn.Conv2d)
            assert last.bias is not None
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        if self.config.variational:
            self.encoder.linear.bias[channels:] = -6.0

    @property
    def variational(self) -> bool:
        """True where the encoder predicts a log-variance, too."""
        return self.config.variational

    @property
    def channels(self) -> int:
        """Latent channels."""
        return self.config.channels

    @property
    def factor(self) -> int:
        """Pixels per latent along one side."""
        return self.config.factor

    def encoder_module(self) -> nn.Module:
        """The encoder."""
        return self.encoder

    def decoder_module(self) -> nn.Module:
        """The decoder."""
        return self.decoder

    def grown(
        self, *, blocks: tuple[int, ...] | None = None, channels: int | None = None
    ) -> PatchAutoencoder:
        """Return the same function with `blocks` residual blocks per level and `channels`, to be trained on.

        New blocks come after those of their level and add nothing yet. New channels come after the others, with any
        values; the decoder does not look at them yet. What is not given stays. Raises ArgumentError for other levels
        than this network's, fewer blocks and fewer channels.
        """
        mine = self.config.blocks
        blocks = mine if blocks is None else blocks
        channels = self.channels if channels is None else channels
        if len(blocks) != len(mine) or any(new < old for new, old in zip(blocks, mine, strict=False)):
            raise ArgumentError("blocks", f"are {blocks}; expected one number per level, at least {mine}")
        if channels < self.channels:
            raise ArgumentError("channels", f"are {channels}; expected at least {self.channels}")
        config = replace(self.config, blocks=blocks, channels=channels)
        config.check()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            larger = PatchAutoencoder(config)
        if channels > self.channels:
            nn.init.zeros_(larger.decoder.layers[0].weight)  # type: ignore[arg-type]
            nn.init.zeros_(larger.decoder.linear.weight)
        means_and_variances = 2 if self.config.variational else 1
        for old, new, groups in (
            (self.encoder, larger.encoder, means_and_variances),
            (self.decoder, larger.decoder, 1),
        ):
            _take_over(old.linear, new.linear, groups=groups)
            known = list(old.layers)
            for layer in new.layers:
                if isinstance(layer, ResidualBlock) and not isinstance(known[0], ResidualBlock):
                    continue  # A new one.
                _take_over(known.pop(0), layer, groups=groups)
        return larger

    def rounded(self) -> PatchAutoencoder:
        """Return a copy whose weights are those of half precision, which `save` writes in half of the bytes."""
        model = PatchAutoencoder(self.config)
        model.load_state_dict({name: tensor.half() for name, tensor in self.state_dict().items()})
        return model

    def save(self, folder: Path) -> None:
        """Write `config.json` and `model.safetensors` into `folder`; in half precision where that loses nothing."""
        weights = self.state_dict()
        halves = {name: tensor.half() for name, tensor in weights.items()}
        exact = all(torch.equal(halves[name].float(), tensor) for name, tensor in weights.items())
        save_tensors(folder / WEIGHTS_FILE, halves if exact else weights, {})
        write_json(folder / CONFIG_FILE, {CLASS_FIELD: type(self).__name__, **asdict(self.config)})

    @classmethod
    def load(cls, folder: Path) -> PatchAutoencoder:
        """Read what `save` wrote. Raises InputError for missing or unfitting files."""
        source = folder / CONFIG_FILE
        values = read_json(source)
        if isinstance(values, dict):
            values.pop(CLASS_FIELD, None)
        config = from_json(PatchAutoencoderConfig, values, source=source)
        check_stored(config, source)
        tensors, _ = load_tensors(folder / WEIGHTS_FILE)
        try:
            # Weights to begin with, which the file replaces, would take longer than reading it.
            with bounded_by(byte_count(tensors), source), torch.device("meta"):
                model = cls(config)
            model.to_empty(device="cpu").load_state_dict(tensors)
        except RuntimeError as error:
            # The first line only names the class; the next ones name tensors.
            detail = " ".join(str(error).split())[:200]
            raise InputError(folder / WEIGHTS_FILE, f"does not fit {source.name} ({detail})") from None
        return model
