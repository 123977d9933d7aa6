"""An autoencoder of one's own: trained by the package on a scene, loaded again, and fitted in.

    python examples/04_own_autoencoder.py [FOLDER]    # fifteen seconds of one CPU core, offline

A codec maps images in [0, 1] to latents of any scale and back; normalised latents, batches, losses, schedules, resume
and the alignment of its decoder to a scene are there. To make it part of the package, for every command:
docs/architecture.md, "To add an autoencoder".
"""

import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

import latentfields
from latentfields.autoencoders.autoencoder import Codec, TrainableCodec
from latentfields.autoencoders.config import AutoencoderTrainingConfig
from latentfields.autoencoders.linear_codec import principal_components
from latentfields.autoencoders.load import CLASSES, load_autoencoder
from latentfields.scenes.objects.config import RenderConfig
from latentfields.scenes.objects.object_scenes import render_object_scene
from latentfields.scenes.procedural import generate_object
from latentfields.training.checkpoint import load_tensors, save_tensors


@dataclass(frozen=True)
class SquaresConfig:
    """Sizes of a `SquaresCodec`."""

    channels: int = 8
    """Latent channels."""
    factor: int = 4
    """Side of the squares of pixels that become one latent."""
    width: int = 24
    """Channels of the decoder's correction."""


class SquaresCodec(TrainableCodec):
    """Squares of pixels, projected linearly, and a decoder that corrects their borders.

    Shape suffixes: B images, C latent channels, H, W image size, h, w latent size, F factor.
    """

    config: SquaresConfig
    variational = False

    def __init__(self, config: SquaresConfig = SquaresConfig()) -> None:
        super().__init__()
        self.config = config
        self.encoder = nn.Conv2d(3, config.channels, config.factor, stride=config.factor)
        self.squares = nn.ConvTranspose2d(config.channels, 3, config.factor, stride=config.factor)
        self.look = nn.Conv2d(3, config.width, 3, padding=1, padding_mode="replicate")
        self.correct = nn.Conv2d(config.width, 3, 3, padding=1, padding_mode="replicate")

    @property
    def channels(self) -> int:
        """Latent channels."""
        return self.config.channels

    @property
    def factor(self) -> int:
        """Pixels per latent along one side."""
        return self.config.factor

    @torch.no_grad()
    def initialise(self, images: Tensor) -> None:
        """Start from the principal components of the training images' squares, and without a correction."""
        mean, basis = principal_components(images, factor=self.factor, channels=self.channels)
        assert self.encoder.bias is not None
        assert self.squares.bias is not None
        self.encoder.weight.copy_(basis)
        self.encoder.bias.copy_(-(basis * mean).sum(dim=(1, 2, 3)))
        self.squares.weight.copy_(basis)
        self.squares.bias.copy_(mean.mean(dim=(1, 2)))
        for parameter in self.correct.parameters():
            nn.init.zeros_(parameter)

    def encode(self, images: Tensor) -> tuple[Tensor, None]:
        """Latents (B, C, h, w) of images (B, 3, H, W) in [0, 1]; no log-variance, as nothing is drawn."""
        return self.encoder(images), None

    def decode(self, latents: Tensor) -> Tensor:
        """Images (B, 3, H, W), nominally in [0, 1], of latents (B, C, h, w)."""
        rough: Tensor = self.squares(latents)
        corrected: Tensor = rough + self.correct(torch.relu(self.look(rough)))
        return corrected

    def encoder_module(self) -> nn.Module:
        """The part that only encoding uses."""
        return self.encoder

    def decoder_module(self) -> nn.Module:
        """The part that is aligned to a scene."""
        return nn.ModuleList([self.squares, self.look, self.correct])

    def save(self, folder: Path) -> None:
        """Write weights as safetensors, and a config.json that names the class."""
        save_tensors(folder / "model.safetensors", self.state_dict(), {})
        about = {"_class_name": type(self).__name__, **asdict(self.config)}
        (folder / "config.json").write_text(json.dumps(about))

    @classmethod
    def load(cls, folder: Path) -> "SquaresCodec":
        """Read what `save` wrote."""
        about = json.loads((folder / "config.json").read_text())
        codec = cls(SquaresConfig(channels=about["channels"], factor=about["factor"], width=about["width"]))
        codec.load_state_dict(load_tensors(folder / "model.safetensors")[0])
        return codec


MINE = {**CLASSES, "SquaresCodec": SquaresCodec.load}
"""Every class that folders of autoencoders may name, here."""


def main(out: Path) -> tuple[float, float, float]:
    """Train a codec on a generated mug and fit in its latent space.

    Return PSNRs in dB of the test views: autoencoded before and after the training, which sees all views of the scene,
    and rendered by the fit, which does not see them.
    """
    if not (out / "mug").exists():
        render_object_scene(generate_object("mugs", 0), out / "mug", options=RenderConfig(views=24, size=64))
    scene = latentfields.load_scene(out / "mug")
    images = scene.images(scene.indices("test"))

    codec = SquaresCodec()
    codec.initialise(scene.images(scene.indices("train")))
    before = psnr(codec, images)

    training = AutoencoderTrainingConfig(
        steps=150, photos_per_batch=0, renders_per_batch=8, size=64, learning_rate=2e-3, muon_factor=5.0
    )
    latentfields.train_autoencoder(
        training, scenes=out / "mug", out=out / "codec", architecture=SquaresCodec()
    )
    autoencoder = load_autoencoder(out / "codec" / "autoencoder", classes=MINE)
    after = psnr(autoencoder.codec, images)

    config = replace(latentfields.preset("gaussians"), subpixels=1).with_steps(supervision=100, alignment=100)
    latentfields.fit(scene, autoencoder, out=out / "run", config=config)
    run = latentfields.Run.load(out / "run", classes=MINE)
    scores = latentfields.evaluate_run(run, scene=scene, autoencoder=autoencoder)
    rendered = float(scores["test"]["images"]["mean"]["psnr"])
    print(f"autoencoded: {before:.2f} dB linearly, {after:.2f} dB trained; rendered: {rendered:.2f} dB")
    return before, after, rendered


@torch.no_grad()
def psnr(codec: Codec, images: Tensor) -> float:
    """Return the PSNR in dB of images (B, 3, H, W), encoded and decoded."""
    decoded = codec.decode(codec.encode(images)[0]).clamp(0, 1)
    return float(-10 * (decoded - images).square().mean().log10())


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/example-own-autoencoder"))
