"""A field of one's own: a grid of voxels, fitted in latent space by the package without being part of it.

    python examples/02_own_field.py [FOLDER]    # half a minute on one CPU core, offline

A field says how dense a point is and what it looks like; rays, sampling, both stages, resume and rendering are there.
To make it part of the package, for the command line and the presets: docs/architecture.md, "To add a field".
"""

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

import latentfields
from latentfields.fields.config import OwnFieldConfig
from latentfields.fields.field import Field, Head, apply_head
from latentfields.scenes.objects.config import RenderConfig
from latentfields.scenes.objects.object_scenes import render_object_scene
from latentfields.scenes.procedural import generate_object


@dataclass(frozen=True)
class VoxelsConfig(OwnFieldConfig):
    """Size and optimisation of `Voxels`: plain numbers, which config.json holds and a resumed fit is checked by."""

    kind: ClassVar[str] = "voxels"
    resolution: int = 32
    """Voxels per side."""
    learning_rate: float = 0.1
    """Adam learning rate of all values."""
    smoothness: float = 1e-2
    """Weight of the mean squared difference between neighbours."""

    def new_field(self, *, channels: int, head: Head) -> Field:
        """Return the field with `channels` outputs: latent channels, or 3 colours."""
        return Voxels(self, channels=channels, head=head)


class Voxels(Field):
    """Densities and features at the corners of a grid over [-1, 1]^3, interpolated between them.

    Shape suffixes: P points, C output channels, R resolution.
    """

    def __init__(self, config: VoxelsConfig, *, channels: int, head: Head) -> None:
        super().__init__()
        self.config, self.channels, self.head = config, channels, head
        self.values = nn.Parameter(0.1 * torch.randn(1, 1 + channels, *[config.resolution] * 3))

    def density(self, points: Tensor) -> Tensor:
        """Density (P,) at points (P, 3)."""
        return self._density(self._look_up(points))

    def forward(self, points: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Density (P,) and features (P, C) at points (P, 3); from every direction (P, 3) the same."""
        values = self._look_up(points)
        return self._density(values), apply_head(values[:, 1:], self.head)

    def regularisation(self) -> Tensor:
        """Squared differences between neighbours: few rays see a latent scene, and each voxel is free."""
        differences = [self.values.diff(dim=axis).square().mean() for axis in (2, 3, 4)]
        return self.config.smoothness * torch.stack(differences).sum()

    def parameter_groups(self, *, learning_rate_factor: float) -> list[dict[str, object]]:
        """All values in one group, at the factor of the stage."""
        return [{"params": [self.values], "lr": self.config.learning_rate * learning_rate_factor}]

    def _look_up(self, points: Tensor) -> Tensor:
        """Interpolated values (P, 1 + C)."""
        found = nn.functional.grid_sample(self.values, points.view(1, -1, 1, 1, 3), align_corners=True)
        return found.view(1 + self.channels, -1).T

    def _density(self, values: Tensor) -> Tensor:
        """Thin fog at first, opaque where a value rises to 1 or more."""
        return 25 * nn.functional.softplus(values[:, 0] - 3)


def main(out: Path) -> float:
    """Fit a generated mug by voxels; return the PSNR of the test views in dB."""
    if not (out / "mug").exists():
        render_object_scene(generate_object("mugs", 0), out / "mug", options=RenderConfig(views=24, size=64))
    scene = latentfields.load_scene(out / "mug")
    autoencoder = latentfields.load_autoencoder("base-f4")

    # Everything but the field is as in a preset; one ray per latent is enough for latents of 4x4 pixels.
    settings = dataclasses.replace(latentfields.preset("triplane"), subpixels=1)
    run = latentfields.fit(
        scene,
        autoencoder,
        out=out / "run",
        field=VoxelsConfig(),
        config=settings.with_steps(supervision=100, alignment=100),
    )

    # Read again, as another program would; it has to be told of the field.
    again = latentfields.Run.load(out / "run", fields=(VoxelsConfig,))
    test = scene.cameras[scene.indices("test")]
    assert torch.equal(again.render(test), run.render(test))
    scores = latentfields.evaluate_run(again, scene=scene)
    psnr = float(scores["test"]["images"]["mean"]["psnr"])
    print(f"{psnr:.2f} dB on views that the fit has not seen")
    return psnr


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/example-own-field"))
