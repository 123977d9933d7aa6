"""Latents of a fitted scene in a network of diffusers, and that network's gradient back in the scene and its cameras.

    python examples/05_latents_for_diffusers.py [FOLDER]    # fifteen seconds of one CPU core, offline

A diffusion model works on latents, and a latent field renders them. Here a small `UNet2DModel` learns what latents of
this object look like, and is then put behind the field: it removes noise from what the field renders of viewpoints
that were not trained on, and its loss moves the scene, as score distillation does. For a published model take its own
autoencoder, `latentfields.load_autoencoder("stabilityai/sd-vae-ft-mse")`, and give the model `raw` latents times its
`scaling_factor`; the small one here takes normalised latents as they are.

Needs diffusers: pip install 'latentfields[diffusers]'.
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import diffusers
import torch
from torch import Tensor

import latentfields
from latentfields.scenes.objects.config import RenderConfig
from latentfields.scenes.objects.object_scenes import render_object_scene
from latentfields.scenes.procedural import generate_object

NOISE_STEP = 60
"""Of 1000: how much noise is put on rendered latents before it is removed."""


@dataclass(frozen=True)
class Outcome:
    """What the example found."""

    noisy: float
    """Root mean squared error of the latents with noise, in units of latent spread."""
    denoised: float
    """That of what the network makes of them."""
    scene_gradient: float
    """Largest gradient of the network's loss in the field's parameters."""
    camera_gradient: float
    """Largest gradient in the camera's pose."""


def main(out: Path) -> Outcome:
    """Fit a generated mug, train a denoiser of its latents, and use both together."""
    torch.manual_seed(0)
    if not (out / "mug").exists():
        render_object_scene(generate_object("mugs", 0), out / "mug", options=RenderConfig(views=24, size=64))
    scene = latentfields.load_scene(out / "mug")
    autoencoder = latentfields.load_autoencoder("base-f4")
    config = replace(latentfields.preset("kplanes"), subpixels=1).with_steps(supervision=60, alignment=0)
    run = latentfields.fit(scene, autoencoder, out=out / "run-for-diffusers", config=config)

    library: Any = diffusers  # Without types.
    scheduler = library.DDPMScheduler(1000, prediction_type="sample")
    network = library.UNet2DModel(
        sample_size=16,
        in_channels=autoencoder.channels,
        out_channels=autoencoder.channels,
        block_out_channels=(32, 64),
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        norm_num_groups=8,
    )
    train(network, scheduler, autoencoder.encode_batches(scene.images(scene.indices("train"))))

    # Views that nothing was trained on: render, add noise, remove it, decode.
    cameras = scene.cameras[scene.indices("test")]
    with torch.no_grad():
        clean = run.render_latents(cameras).latents
        noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
        step = torch.full((len(clean),), NOISE_STEP)
        noisy = scheduler.add_noise(clean, noise, step)
        denoised = network(noisy, step).sample
        images = run.decode(denoised).clamp(0, 1)
    print(f"decoded {tuple(images.shape)} from latents {tuple(clean.shape)}")

    # The other direction: what the network would change is a gradient in the scene, and in the camera.
    camera = cameras[0]
    pose = camera.camera_to_world.clone().requires_grad_()
    latents = run.render_latents(replace(camera, camera_to_world=pose)).latents
    with torch.no_grad():
        better = network(scheduler.add_noise(latents, noise[:1], step[:1]), step[:1]).sample
    (latents - better).square().mean().backward()
    assert pose.grad is not None
    outcome = Outcome(
        noisy=rms(noisy - clean),
        denoised=rms(denoised - clean),
        scene_gradient=max(float(p.grad.abs().max()) for p in run.model.parameters() if p.grad is not None),
        camera_gradient=float(pose.grad.abs().max()),
    )
    print(f"error with noise {outcome.noisy:.3f}, after the network {outcome.denoised:.3f}")
    print(
        f"gradients: {outcome.scene_gradient:.1e} in the scene, {outcome.camera_gradient:.1e} in the camera"
    )
    return outcome


def train(network: Any, scheduler: Any, latents: Tensor, *, steps: int = 100) -> None:
    """Let the network learn to find latents (N, C, h, w) again under noise of every strength up to `NOISE_STEP`."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    for _ in range(steps):
        chosen = latents[torch.randint(len(latents), (4,))]
        step = torch.randint(1, NOISE_STEP + 1, (4,))
        noisy = scheduler.add_noise(chosen, torch.randn_like(chosen), step)
        loss = (network(noisy, step).sample - chosen).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def rms(values: Tensor) -> float:
    """Root of the mean square."""
    return float(values.square().mean().sqrt())


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/example-latents"))
