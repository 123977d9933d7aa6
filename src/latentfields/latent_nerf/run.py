"""A fitted scene as a folder that loads again without the scene's images.

config.json          what was computed: scene, autoencoder, every setting
model.safetensors    field, sampler, background, and what rendering needs to know of the scene
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

from torch import Tensor

from latentfields.autoencoders.load import load_autoencoder
from latentfields.cameras import Cameras
from latentfields.errors import InputError
from latentfields.latent_nerf.build import SceneFrame, build_model
from latentfields.latent_nerf.config import FitConfig
from latentfields.latent_nerf.scene_model import SceneModel
from latentfields.scenes.load import load_scene
from latentfields.scenes.scene import Scene
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


class Run:
    """A fitted scene."""

    def __init__(self, folder: Path, config: RunConfig, model: SceneModel, frame: SceneFrame) -> None:
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
            model = build_model(config.fit, autoencoder, tensors["background"], frame)
            model.load_scene_state(tensors)
        except (KeyError, RuntimeError) as error:
            detail = " ".join(str(error).split())[:200]
            raise InputError(folder / MODEL_FILE, f"does not fit {CONFIG_FILE} ({detail})") from None
        return cls(folder, config, model, frame)

    @classmethod
    def save(cls, folder: Path, config: RunConfig, model: SceneModel, scene: Scene) -> Run:
        """Write a finished model into its run folder."""
        frame = SceneFrame.of(scene)
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
