"""A fitted scene as a folder that loads again without the scene's images.

config.json          what was computed: scene, autoencoder, every setting
model.safetensors    field, density grid, background, and what rendering needs to know of the scene
decoder/             the autoencoder, its decoder as aligned to this scene (absent in RGB space)
metrics.json         scores on the test split
log.jsonl            loss and PSNR while training
state/               checkpoint for resuming
report.html          everything to look at, with pictures/ and orbit.mp4
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.autoencoders.load import load_autoencoder
from latentfields.cameras import Cameras
from latentfields.errors import InputError
from latentfields.fields.triplane import TriPlane
from latentfields.latent_nerf.config import FitConfig
from latentfields.latent_nerf.model import LatentNerf
from latentfields.latent_nerf.subpixel import SubpixelProjection
from latentfields.scenes.load import load_scene
from latentfields.scenes.scene import Scene
from latentfields.scenes.visual_hull import visual_hull_cells
from latentfields.training.checkpoint import load_tensors, read_json, save_tensors
from latentfields.training.runs import CONFIG_FILE
from latentfields.training.typed_json import from_json, to_json

MODEL_FILE = "model.safetensors"
DECODER_FOLDER = "decoder"


@dataclass(frozen=True)
class RunConfig:
    """What a run computes."""

    scene: Path
    """Folder of the scene."""
    autoencoder: str | None
    """Name or folder of the autoencoder; None in RGB space."""
    size: int | None
    """Longer side that images are resized to, in pixels; None keeps them."""
    seconds: float | None
    """Limit on the training time, in seconds; None trains all steps."""
    fit: FitConfig
    """How the scene is fitted."""

    def load_scene(self) -> Scene:
        """The scene, resized as configured and cropped to whole latents."""
        return load_scene(self.scene, max_size=self.size)


@dataclass(frozen=True)
class SceneFrame:
    """What rendering needs to know of the scene."""

    near: float
    far: float
    width: int
    height: int
    learn_background: bool
    world_to_scene: list[list[float]]


def new_model(scene: Scene, autoencoder: Autoencoder | None, config: FitConfig) -> LatentNerf:
    """An untrained model for `scene`; `autoencoder` is copied, its decoder will be aligned."""
    if autoencoder is None:
        background = torch.tensor(scene.background)
    else:
        autoencoder = autoencoder.clone()
        with torch.no_grad():
            background = autoencoder.background_latent(scene.background)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = _model(config, autoencoder, background, _frame(scene))
    if scene.alpha is not None:
        # What no training view shows is empty: the same knowledge for latents and for pixels.
        cells = visual_hull_cells(
            scene.cameras,
            scene.alpha,
            views=scene.indices("train"),
            resolution=config.sampling.grid_resolution,
        )
        if cells.any():
            model.grid.restrict(cells)
    return model


def _frame(scene: Scene) -> SceneFrame:
    return SceneFrame(
        near=scene.near, far=scene.far, width=scene.cameras.width, height=scene.cameras.height,
        learn_background=scene.alpha is None, world_to_scene=scene.world_to_scene.tolist(),
    )  # fmt: skip


def _model(
    config: FitConfig, autoencoder: Autoencoder | None, background: Tensor, frame: SceneFrame
) -> LatentNerf:
    rgb = autoencoder is None
    field = TriPlane(config.triplane, channels=len(background), head="sigmoid" if rgb else "linear")
    projection = None
    if not rgb and config.subpixels > 1:
        projection = SubpixelProjection(
            len(background), subpixels=config.subpixels, width=config.subpixel_width
        )
    return LatentNerf(
        field, autoencoder=autoencoder, background=background, projection=projection,
        # Before a projection, the background is a feature that only the projection makes a latent of.
        learn_background=frame.learn_background or projection is not None,
        near=frame.near, far=frame.far, sampling=config.sampling,
    )  # fmt: skip


class Run:
    """A fitted scene."""

    def __init__(self, folder: Path, config: RunConfig, model: LatentNerf, frame: SceneFrame) -> None:
        self.folder, self.config, self.model, self.frame = folder, config, model, frame

    @classmethod
    def load(cls, folder: Path) -> Run:
        """Read a finished run. Raises InputError when `folder` is not one."""
        if not (folder / CONFIG_FILE).is_file():
            raise InputError(folder, f"is not a run; expected a folder with {CONFIG_FILE}")
        config = from_json(RunConfig, read_json(folder / CONFIG_FILE), source=folder / CONFIG_FILE)
        if not (folder / MODEL_FILE).is_file():
            raise InputError(folder, "has no finished model yet; run the same fit command again to finish it")
        tensors, metadata = load_tensors(folder / MODEL_FILE)
        frame = from_json(SceneFrame, metadata, source=folder / MODEL_FILE)
        autoencoder = load_autoencoder(folder / DECODER_FOLDER) if config.fit.space == "latent" else None
        try:
            model = _model(config.fit, autoencoder, tensors["background"], frame)
            model.load_scene_state(tensors)
        except (KeyError, RuntimeError) as error:
            detail = " ".join(str(error).split())[:200]
            raise InputError(folder / MODEL_FILE, f"does not fit {CONFIG_FILE} ({detail})") from None
        return cls(folder, config, model, frame)

    @classmethod
    def save(cls, folder: Path, config: RunConfig, model: LatentNerf, scene: Scene) -> Run:
        """Write a finished model into its run folder."""
        frame = _frame(scene)
        if model.autoencoder is not None:
            model.autoencoder.save(folder / DECODER_FOLDER)
        save_tensors(folder / MODEL_FILE, model.scene_state(), to_json(frame))
        return cls(folder, config, model, frame)

    def render(self, cameras: Cameras) -> Tensor:
        """Decoded images (N, 3, H, W) in [0, 1] of cameras in the scene's normalised frame.

        Raises InputError when H or W are no multiples of the factor; `Scene.cropped_to_multiple` makes them so.
        """
        factor = self.model.factor
        if cameras.width % factor or cameras.height % factor:
            raise InputError(
                "cameras", f"are {cameras.width}x{cameras.height}; expected multiples of the factor {factor}"
            )
        return self.model.render(cameras)[0]

    def to_json(self) -> dict[str, Any]:
        """The run's configuration."""
        config: dict[str, Any] = to_json(self.config)
        return config
