"""A discriminator of image patches and its losses (Isola et al., CVPR 2017; Lim and Ye, "Geometric GAN", 2017)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from latentfields.lrf.encoder.config import DiscriminatorConfig
from latentfields.training.schedules import set_learning_rates, with_peaks

_LARGEST_FACTOR = 1e4


class PatchDiscriminator(nn.Module):
    """Says of overlapping patches of 70 x 70 pixels how real they look. Images need 24 pixels on a side."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        width = config.width
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for inputs, outputs, stride in ((1, 2, 2), (2, 4, 2), (4, 8, 1)):
            layers += [
                nn.Conv2d(inputs * width, outputs * width, 4, stride=stride, padding=1, bias=False),
                nn.BatchNorm2d(outputs * width),
                nn.LeakyReLU(0.2),
            ]
        self.layers = nn.Sequential(*layers, nn.Conv2d(8 * width, 1, 4, padding=1))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0.0, 0.02)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.weight, 1.0, 0.02)

    def forward(self, images: Tensor) -> Tensor:
        """Scores (B, 1, h, w), larger for more real, of images (B, 3, H, W) in [0, 1]."""
        scores: Tensor = self.layers(images * 2 - 1)
        return scores


class Adversary:
    """A discriminator with its optimiser, as it takes part in the training of an autoencoder."""

    def __init__(
        self,
        config: DiscriminatorConfig,
        *,
        learning_rate: float,
        betas: tuple[float, float],
        seed: int,
        device: torch.device,
    ) -> None:
        """Weights are drawn by `seed`, on the CPU; Adam has the learning rate and betas."""
        self.config = config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = PatchDiscriminator(config).to(device)
        self.optimizer = with_peaks(
            torch.optim.Adam(self.network.parameters(), lr=learning_rate, betas=betas)
        )

    def plays(self, index: int) -> bool:
        """True when it takes part in step `index`."""
        return index + 1 >= self.config.start

    def generator_term(self, reconstruction: Tensor, decoded: Tensor) -> Tensor:
        """The weighted adversarial term of L_VAE, for decoded images (B, 3, H, W) and their scalar other losses."""
        generator = generator_loss(self.network(decoded))
        return self.config.weight * adaptive_weight(reconstruction, generator, decoded) * generator

    def step(self, images: Tensor, decoded: Tensor, decay: float) -> Tensor:
        """Train the discriminator on images and decoded images, at `decay` of its rate; returns its loss."""
        set_learning_rates(self.optimizer, decay)
        self.optimizer.zero_grad()
        loss = discriminator_loss(self.network(images), self.network(decoded))
        loss.backward()
        self.optimizer.step()
        return loss


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Hinge loss of scores of real and of decoded images: what the discriminator lowers."""
    return 0.5 * (relu(1 - real).mean() + relu(1 + fake).mean())


def generator_loss(fake: Tensor) -> Tensor:
    """The autoencoder's part of the game: minus the mean score of its decoded images."""
    return -fake.mean()


def adaptive_weight(reconstruction: Tensor, generator: Tensor, decoded: Tensor) -> Tensor:
    """Factor, without gradient, that makes the gradients of both scalar losses at the decoded images equally long.

    Rombach et al. compare gradients at the decoder's last weights; at the images no layer needs to be singled out, so
    this works for any autoencoder. At most 10 000.
    """
    (of_reconstruction,) = torch.autograd.grad(reconstruction, decoded, retain_graph=True)
    (of_generator,) = torch.autograd.grad(generator, decoded, retain_graph=True)
    ratio: Tensor = of_reconstruction.norm() / of_generator.norm().clamp(min=1e-12)
    return ratio.clamp(max=_LARGEST_FACTOR)
