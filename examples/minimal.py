"""The latent NeRF of IG-AE Sec. 3 in one file of plain PyTorch: read it to see the whole method.

    latentfields scenes generate vases --count 1 --out data          # any scene in the NeRF-synthetic layout will do
    python examples/minimal.py data/vases-0000

Posed images are encoded once; a Tri-Plane is fitted to the latents (Latent Supervision, Eq. 2), then together with the
decoder to the images (RGB Alignment, Eq. 3). The package does the same with empty-space skipping, several rays per
latent, other fields, resume and reports; `tests/examples/test_minimal.py` proves both equal where they should be.

Shape suffixes: B views, C latent channels, H, W image size, h = H / f, w = W / f, R rays, S samples per ray, P points.
"""

from __future__ import annotations

import argparse
import json
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

# --- Posed images ----------------------------------------------------------------------------------------------------


def load_views(folder: Path, split: str) -> tuple[Tensor, Tensor, float]:
    """Images (B, 3, H, W) on white in [0, 1], camera-to-world (B, 4, 4) in OpenGL axes, focal length in pixels."""
    description = json.loads((folder / f"transforms_{split}.json").read_text())
    images, poses = [], []
    for frame in description["frames"]:
        path = folder / frame["file_path"]
        rgba = np.asarray(Image.open(path if path.suffix else path.with_suffix(".png")).convert("RGBA")) / 255
        images.append(rgba[..., :3] * rgba[..., 3:] + 1 - rgba[..., 3:])
        poses.append(frame["transform_matrix"])
    stacked = torch.tensor(np.stack(images), dtype=torch.float32).permute(0, 3, 1, 2)
    focal = 0.5 * stacked.shape[-1] / np.tan(0.5 * description["camera_angle_x"])
    return stacked, torch.tensor(poses), float(focal)


def latent_rays(poses: Tensor, focal: float, height: int, width: int, factor: int) -> tuple[Tensor, Tensor]:
    """Origins and unit directions (B h w, 3) through the centres of the latents of images of H x W pixels."""
    rows, columns = torch.meshgrid(
        torch.arange(height // factor) + 0.5, torch.arange(width // factor) + 0.5, indexing="ij"
    )
    x = (columns * factor - width / 2) / focal
    y = -(rows * factor - height / 2) / focal
    local = torch.stack([x, y, -torch.ones_like(x)], dim=-1)
    directions = torch.einsum("bij,hwj->bhwi", poses[:, :3, :3], local)
    origins = poses[:, None, None, :3, 3].expand_as(directions)
    return origins.reshape(-1, 3), F.normalize(directions, dim=-1).reshape(-1, 3)


# --- The autoencoder -------------------------------------------------------------------------------------------------


def conv(inputs: int, outputs: int, size: int = 3) -> nn.Conv2d:
    """Convolution that keeps the size and repeats the border."""
    return nn.Conv2d(inputs, outputs, size, padding=size // 2, padding_mode="replicate")


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(relu(x))))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = conv(width, width), conv(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) to the same shape."""
        out: Tensor = x + self.second(torch.relu(self.first(torch.relu(x))))
        return out


class Branch(nn.Module):
    """A convolutional branch added to a linear one."""

    def __init__(self, layers: list[nn.Module], linear: nn.Module) -> None:
        super().__init__()
        self.layers, self.linear = nn.Sequential(*layers), linear

    def forward(self, x: Tensor) -> Tensor:
        """The sum of both branches."""
        out: Tensor = self.layers(x) + self.linear(x)
        return out


class Autoencoder(nn.Module):
    """E_phi and D_psi: a packaged autoencoder, with latents normalised to unit scale per channel."""

    def __init__(self, name: str) -> None:
        super().__init__()
        folder = Path(str(resources.files("latentfields"))) / "weights" / name
        config = json.loads((folder / "config.json").read_text())
        channels, patch, (fine, coarse), (a, b) = (
            config[key] for key in ("channels", "patch", "widths", "blocks")
        )
        self.factor = 2 * patch
        self.encoder = Branch(
            [
                nn.PixelUnshuffle(patch),
                conv(3 * patch**2, fine),
                *(ResidualBlock(fine) for _ in range(a)),
                nn.PixelUnshuffle(2),
                conv(4 * fine, coarse, 1),
                *(ResidualBlock(coarse) for _ in range(b)),
                nn.ReLU(),
                conv(coarse, channels),
            ],
            nn.Conv2d(3, channels, self.factor, stride=self.factor),
        )
        self.decoder = Branch(
            [
                conv(channels, coarse),
                *(ResidualBlock(coarse) for _ in range(b)),
                conv(coarse, 4 * fine, 1),
                nn.PixelShuffle(2),
                *(ResidualBlock(fine) for _ in range(a)),
                nn.ReLU(),
                conv(fine, 3 * patch**2),
                nn.PixelShuffle(patch),
            ],
            nn.ConvTranspose2d(channels, 3, self.factor, stride=self.factor),
        )
        self.load_state_dict(load_file(folder / "model.safetensors"))
        statistics = json.loads((folder / "latent_statistics.json").read_text())
        self.mean = torch.tensor(statistics["mean"]).view(1, -1, 1, 1)
        self.std = torch.tensor(statistics["std"]).view(1, -1, 1, 1)

    def encode(self, images: Tensor) -> Tensor:
        """z = E(x): images (B, 3, H, W) to normalised latents (B, C, h, w)."""
        latents: Tensor = (self.encoder(images) - self.mean) / self.std
        return latents

    def decode(self, latents: Tensor) -> Tensor:
        """x = D(z): normalised latents (B, C, h, w) to images (B, 3, H, W)."""
        images: Tensor = self.decoder(latents * self.std + self.mean)
        return images


# --- The field and how it is rendered --------------------------------------------------------------------------------


class TriPlane(nn.Module):
    """Density and latents of points in [-1, 1]^3, from features on the planes xy, xz, yz."""

    def __init__(self, channels: int, *, resolution: int = 64, features: int = 32, hidden: int = 32) -> None:
        super().__init__()
        self.planes = nn.Parameter(0.1 * torch.randn(3, resolution, resolution, features))
        self.geometry = nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, 1 + hidden))
        self.color = nn.Sequential(
            nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, channels)
        )

    def forward(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Density (P,) per unit length and latents (P, C) at points (P, 3)."""
        grid = torch.stack([points[:, [0, 1]], points[:, [0, 2]], points[:, [1, 2]]])[:, None]
        planes = self.planes.permute(0, 3, 1, 2)
        read = F.grid_sample(planes, grid, padding_mode="border", align_corners=False)
        hidden = self.geometry(read.sum(dim=0)[:, 0].T)
        return hidden[:, 0].clamp(max=11).exp(), self.color(hidden[:, 1:])

    def total_variation(self) -> Tensor:
        """Mean squared difference of neighbouring cells, (p, q) = (2, 2) in Eq. 13."""
        rows, columns = self.planes.diff(dim=1), self.planes.diff(dim=2)
        return rows.square().mean() + columns.square().mean()


def render(
    field: TriPlane, origins: Tensor, directions: Tensor, background: Tensor, *, samples: int, jitter: bool
) -> Tensor:
    """Latents (R, C) of rays: the volume rendering integral over [-1, 1]^3, in front of `background` (C,)."""
    inverse = 1 / torch.where(directions.abs() < 1e-9, 1e-9, directions)
    first, second = (-1 - origins) * inverse, (1 - origins) * inverse
    enter = torch.minimum(first, second).amax(dim=1).clamp(min=0)
    leave = torch.maximum(torch.maximum(first, second).amin(dim=1), enter)
    edges = torch.linspace(0, 1, samples + 1).repeat(len(origins), 1)
    if jitter:
        edges[:, 1:-1] += (torch.rand(len(origins), samples - 1) - 0.5) / samples
    distances = enter[:, None] + (leave - enter)[:, None] * edges
    middle, lengths = (distances[:, 1:] + distances[:, :-1]) / 2, distances.diff(dim=1)
    points = origins[:, None] + directions[:, None] * middle[..., None]
    density, latents = field(points.flatten(0, 1))
    depth = density.view_as(lengths) * lengths
    transmittance = torch.exp(-F.pad(depth.cumsum(dim=1), (1, 0)))
    weights = transmittance[:, :-1] * (1 - torch.exp(-depth))
    seen = torch.einsum("rs,rsc->rc", weights, latents.view(*lengths.shape, -1))
    return seen + transmittance[:, -1:] * background


# --- The two stages --------------------------------------------------------------------------------------------------


class LatentNerf(nn.Module):
    """F_theta and D_psi (Eq. 1)."""

    def __init__(
        self, autoencoder: Autoencoder, size: tuple[int, int], focal: float, *, samples: int
    ) -> None:
        super().__init__()
        self.autoencoder, self.size, self.focal, self.samples = autoencoder, size, focal, samples
        with torch.no_grad():
            white = autoencoder.encode(torch.ones(1, 3, 8 * autoencoder.factor, 8 * autoencoder.factor))
        self.background = white[0, :, 4, 4]
        self.field = TriPlane(len(self.background))

    def latents(self, poses: Tensor, *, jitter: bool) -> Tensor:
        """z~ = F_theta(p): rendered latents (B, C, h, w) of views."""
        factor = self.autoencoder.factor
        height, width = self.size
        origins, directions = latent_rays(poses, self.focal, height, width, factor)
        rendered = render(
            self.field, origins, directions, self.background, samples=self.samples, jitter=jitter
        )
        return rendered.view(len(poses), height // factor, width // factor, -1).permute(0, 3, 1, 2)

    @torch.no_grad()
    def test_psnr(self, images: Tensor, poses: Tensor) -> float:
        """Mean PSNR in dB of decoded renderings (Eq. 1's x~ = D(z~)) against images."""
        decoded = torch.cat([self.autoencoder.decode(self.latents(p[None], jitter=False)) for p in poses])
        error = (decoded.clamp(0, 1) - images).square().mean(dim=(1, 2, 3))
        return float((-10 * error.log10()).mean())


def optimizer(model: LatentNerf, *, factor: float, decoder: bool) -> torch.optim.Optimizer:
    """Adam for the field, its rates multiplied by xi, and for the decoder where it learns."""
    field = model.field
    groups = [
        {"params": [field.planes], "lr": 2e-2 * factor},
        {"params": [*field.geometry.parameters(), *field.color.parameters()], "lr": 5e-3 * factor},
    ]
    if decoder:
        groups.append({"params": list(model.autoencoder.decoder.parameters()), "lr": 1e-3})
    return torch.optim.Adam(groups, betas=(0.9, 0.99), eps=1e-15)


def fit(
    model: LatentNerf, images: Tensor, poses: Tensor, *, supervision: int, alignment: int, batch: int = 4
) -> None:
    """Latent Supervision, then RGB Alignment; rates fall to a tenth in each."""
    with torch.no_grad():
        encoded = torch.cat([model.autoencoder.encode(image[None]) for image in images])
    for steps, aligning in ((supervision, False), (alignment, True)):
        adam = optimizer(model, factor=0.5 if aligning else 1.0, decoder=aligning)
        schedule = torch.optim.lr_scheduler.ExponentialLR(adam, 0.1 ** (1 / max(1, steps)))
        for step in range(steps):
            chosen = torch.randperm(len(images))[:batch]
            rendered = model.latents(poses[chosen], jitter=True)
            if aligning:  # Eq. 3
                loss = F.mse_loss(model.autoencoder.decode(rendered), images[chosen])
            else:  # Eq. 2
                loss = F.mse_loss(rendered, encoded[chosen])
            adam.zero_grad()
            (loss + 1e-3 * model.field.total_variation()).backward()
            adam.step()
            schedule.step()
            if step % 50 == 0:
                print(f"{'alignment' if aligning else 'supervision'} {step:5d}  loss {float(loss):.5f}")


def main() -> None:
    """Fit one scene and print the PSNR of its test views."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scene", type=Path, help="folder with transforms_train.json and transforms_test.json")
    parser.add_argument("--autoencoder", default="base", help="packaged autoencoder")
    parser.add_argument("--supervision", type=int, default=400, help="steps of Latent Supervision")
    parser.add_argument("--alignment", type=int, default=600, help="steps of RGB Alignment")
    parser.add_argument("--samples", type=int, default=64, help="samples per ray")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    images, poses, focal = load_views(arguments.scene, "train")
    autoencoder = Autoencoder(arguments.autoencoder)
    model = LatentNerf(autoencoder, (images.shape[2], images.shape[3]), focal, samples=arguments.samples)
    fit(model, images, poses, supervision=arguments.supervision, alignment=arguments.alignment)
    test_images, test_poses, _ = load_views(arguments.scene, "test")
    print(f"test PSNR {model.test_psnr(test_images, test_poses):.2f} dB")


if __name__ == "__main__":
    main()
