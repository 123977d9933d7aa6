"""`python -m benchmarks.nerfacto SCENE`: Nerfstudio's nerfacto on a scene, beside `latentfields bench captures`.

In an environment with Nerfstudio (docs/nerfstudio.md). The model is Nerfstudio's with its defaults, in plain PyTorch
(its implementation "torch": the other one needs CUDA) and without the correction of poses, which are known; it sees the
views, the frame and the splits that this package reads. A step has as many rays as is said: Nerfstudio's 4096 are
seconds of a CPU.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latentfields.cameras import Rays
from latentfields.integrations.nerfstudio.environment import declare_torchvision_operators, require_nerfstudio
from latentfields.measures.metrics import psnr, ssim
from latentfields.scenes.load import load_scene
from latentfields.scenes.scene import Scene

CHUNK = 2048
"""Rays that are rendered at a time."""
LEARNING_RATE = 1e-2
"""Nerfstudio's for nerfacto; its decay is for tens of thousands of steps."""


def main() -> None:
    """Print the scores on the test views as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.nerfacto", description=__doc__)
    parser.add_argument("scene", type=Path, help="scene folder")
    parser.add_argument("--size", type=int, default=256, help="longer side of the pictures")
    parser.add_argument("--cpu-seconds", type=float, default=60.0, help="time of training")
    parser.add_argument("--rays", type=int, default=1024, help="rays of a step")
    arguments = parser.parse_args()
    require_nerfstudio()
    declare_torchvision_operators()
    torch.set_num_threads(1)
    scene = load_scene(arguments.scene, max_size=arguments.size)
    model = new_nerfacto(scene)
    steps = fit(model, scene, rays=arguments.rays, cpu_seconds=arguments.cpu_seconds)
    print(
        json.dumps(
            {"scene": scene.name, **vars(arguments), **score(model, scene), "steps": steps}, default=str
        )
    )


def new_nerfacto(scene: Scene) -> Any:
    """An untrained nerfacto of a scene, on the CPU."""
    from nerfstudio.cameras.camera_optimizers import CameraOptimizerConfig
    from nerfstudio.data.scene_box import SceneBox
    from nerfstudio.models.nerfacto import NerfactoModelConfig

    from latentfields.integrations.nerfstudio.adapter import without_perceptual_network

    torch.manual_seed(0)
    config = NerfactoModelConfig(
        implementation="torch",
        average_init_density=0.01,
        near_plane=scene.near,
        camera_optimizer=CameraOptimizerConfig(mode="off"),
    )
    box = SceneBox(aabb=torch.tensor([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]]))
    with without_perceptual_network():
        return config.setup(scene_box=box, num_train_data=len(scene.indices("train")), metadata={})


def fit(model: Any, scene: Scene, *, rays: int, cpu_seconds: float) -> int:
    """Train for so long, as Nerfstudio's trainer does; return the number of steps."""
    from nerfstudio.engine.callbacks import TrainingCallbackAttributes, TrainingCallbackLocation

    train = scene.indices("train")
    cameras, pictures = scene.cameras[train], scene.pictures(train)
    optimizer = torch.optim.Adam(
        [parameter for group in model.get_param_groups().values() for parameter in group],
        lr=LEARNING_RATE,
        eps=1e-15,
    )
    callbacks = model.get_training_callbacks(TrainingCallbackAttributes(None, None, None, None))

    def call_back(step: int, where: TrainingCallbackLocation) -> None:
        for callback in callbacks:
            callback.run_callback_at_location(step, where)

    generator = torch.Generator().manual_seed(0)
    height, width = scene.size
    model.train()
    started, step = time.process_time(), 0
    while time.process_time() - started < cpu_seconds:
        call_back(step, TrainingCallbackLocation.BEFORE_TRAIN_ITERATION)
        view, row, column = (
            torch.randint(count, (rays,), generator=generator) for count in (len(train), height, width)
        )
        positions = torch.stack([column, row], dim=-1) + 0.5
        outputs = model(bundle(cameras[view].rays_at(positions), view, pixel=_pixel(scene)))
        batch = {"image": pictures.colors(view, row, column)}
        losses = model.get_loss_dict(outputs, batch, model.get_metrics_dict(outputs, batch))
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        call_back(step, TrainingCallbackLocation.AFTER_TRAIN_ITERATION)
        step += 1
    return step


@torch.no_grad()
def score(model: Any, scene: Scene) -> dict[str, float]:
    """Mean PSNR and SSIM of the test views."""
    model.eval()
    height, width = scene.size
    scores: dict[str, list[Tensor]] = {"psnr": [], "ssim": []}
    measures: dict[str, Callable[..., Tensor]] = {"psnr": psnr, "ssim": ssim}
    for index in scene.indices("test").split(1):
        parts = scene.cameras[index].rays().flatten().split(CHUNK)
        colors = [
            model(bundle(rays, torch.zeros(len(rays), dtype=torch.int64), pixel=_pixel(scene)))["rgb"]
            for rays in parts
        ]
        image = torch.cat(colors).view(1, height, width, 3).permute(0, 3, 1, 2).clamp(0, 1)
        for name, measure in measures.items():
            scores[name].append(measure(image, scene.images(index)))
    return {name: float(torch.cat(values).mean()) for name, values in scores.items()}


def bundle(rays: Rays, view: Tensor, *, pixel: float) -> Any:
    """Nerfstudio's rays of ours (R,), of training views (R,); `pixel` is a pixel's area at a distance of 1."""
    from nerfstudio.cameras.rays import RayBundle

    count = len(rays)
    return RayBundle(
        origins=rays.origins.contiguous(),
        directions=rays.directions.contiguous(),
        pixel_area=torch.full((count, 1), pixel),
        camera_indices=view[:, None],
        metadata={"directions_norm": torch.ones(count, 1)},
    )


def _pixel(scene: Scene) -> float:
    return float(1 / scene.cameras.focal.prod(dim=-1).mean())


if __name__ == "__main__":
    main()
