"""Trainings, scores and exports on a device that refuses what CUDA refuses and counts what the host waits for."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from helpers.simulated_device import DEVICE, simulated_device
from helpers.tiny import TINY_FIT, TINY_GAUSSIANS
from helpers.trainings import FITS, TRAININGS, Materials, training
from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.export.config import MeshConfig, PointsConfig
from latentfields.export.gaussians import export_gaussians
from latentfields.export.mesh import export_mesh
from latentfields.export.points import export_points
from latentfields.export.scene_file import export_scene
from latentfields.latent_nerf import fit as fit_module
from latentfields.latent_nerf.config import FitConfig
from latentfields.latent_nerf.fit import fit
from latentfields.latent_nerf.scene_cameras import SceneCameras
from latentfields.priors import prior as prior_module
from latentfields.priors import train as prior_training
from latentfields.rendering.kernels import backend
from latentfields.scenes.scene import Scene

CPU = torch.device("cpu")

GRID, VIEWS, SCENES, OBJECTS = 3, 5, 5, 6
GRID_OF_BOTH, VIEWS_OF_BOTH = 5, 9
"""The values at the end; and two sizes of the density grid's; or of two views, two of the PyTorch twin's; or of two
scenes, two of each one's density grid; or of two objects of a collection, the same, and both on their way to the disk.
Scenes in the space both are looked at twice."""
WAITS = {
    **dict.fromkeys(TRAININGS, 1),
    **dict.fromkeys(("tri-planes", "one ray per latent", "instant-ngp", "squashed latents", "rgb"), GRID),
    "generation": GRID,
    **dict.fromkeys(("gaussians", "gaussians by mcmc", "gaussians in rgb"), VIEWS),
    "both": GRID_OF_BOTH,
    "gaussians of both": VIEWS_OF_BOTH,
    **dict.fromkeys(("igae pretraining", "igae joint"), SCENES),
    **dict.fromkeys(("collection warmup", "collection joint"), OBJECTS),
}
"""Times that the host waits for values of the device in a step."""
MORE_IN_SOME = {
    **dict.fromkeys((*FITS, "generation"), 1),
    **dict.fromkeys(FITS.keys() & {n for n in WAITS if "gauss" in n}, 9),
}
"""As many more in steps that refine Gaussians, or know their density grid for the first time."""


@pytest.fixture(scope="module")
def materials(tmp_path_factory: pytest.TempPathFactory) -> Materials:
    return Materials.write(tmp_path_factory.mktemp("materials"))


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAININGS)
def test_a_training_computes_the_same_and_waits_little(
    materials: Materials, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    # The twins run on the device; they add up in another order than the kernels, and first steps magnify that.
    monkeypatch.setattr(backend, "kernel_backend", lambda device_type="cpu": "torch")
    # And it has no bfloat16, which the CPU may have.
    for module in (prior_module, prior_training):
        monkeypatch.setattr(module, "has_bfloat16", lambda device: False)
    with training(name, materials, CPU) as (trainable, steps):
        expected = [trainable.step(index, index / steps) for index in range(steps)]
    with simulated_device() as waits, training(name, materials, DEVICE) as (trainable, steps):
        counts = []
        for index in range(steps):
            before = (waits.count, waits.blocking_uploads)
            values = trainable.step(index, index / steps)
            counts.append((waits.count - before[0], waits.blocking_uploads - before[1]))
            numbers = {key: value for key, value in values.items() if isinstance(value, float)}
            assert {key: expected[index][key] for key in numbers if "seconds" not in key} == pytest.approx(
                {key: value for key, value in numbers.items() if "seconds" not in key}, rel=1e-5
            )
        tensors, metadata = trainable.state()
        trainable.restore({key: tensor.cpu() for key, tensor in tensors.items()}, metadata)
        trainable.step(steps - 1, (steps - 1) / steps)
    if name in FITS and FITS[name].space != "rgb":
        del counts[FITS[name].supervision.steps]  # It scores the test views before the decoder moves.
    assert statistics.mode(count for count, _ in counts) == WAITS[name], waits
    assert max(count for count, _ in counts) <= WAITS[name] + MORE_IN_SOME.get(name, 0), waits
    assert not any(uploads for _, uploads in counts), waits.uploads


@pytest.mark.slow
@pytest.mark.parametrize("config", [TINY_FIT, TINY_GAUSSIANS], ids=["field", "gaussians"])
def test_a_fit_is_scored_reloaded_and_exported(
    scene: Scene,
    autoencoder: Autoencoder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    config: FitConfig,
) -> None:
    monkeypatch.setattr(backend, "kernel_backend", lambda device_type="cpu": "torch")
    short = replace(config, statistics="scene", decoder_precision="float32").with_steps(
        supervision=12, alignment=2
    )
    with simulated_device(), monkeypatch.context() as patch:
        patch.setattr(fit_module, "choose_device", lambda _: DEVICE)
        run = fit(scene, autoencoder, out=tmp_path / "device", config=short)
        assert run.model.device == DEVICE
        views = SceneCameras.of(scene)
        images = run.render(views.cameras)
        options = MeshConfig(resolution=12, views=2, threshold=1e-3)
        if config is TINY_GAUSSIANS:
            export_gaussians(run, out=tmp_path / "cloud.ply")
        else:
            export_mesh(run, views, out=tmp_path / "mesh.ply", options=options)
        export_points(run, views, out=tmp_path / "points.ply", options=PointsConfig())
        export_scene(run, views, out=tmp_path / "scene.safetensors")
    reference = fit(scene, autoencoder, out=tmp_path / "cpu", config=short, device="cpu")
    torch.testing.assert_close(images, reference.render(views.cameras), atol=1e-3, rtol=0)


Attempt = Callable[[Tensor, Tensor], object]
REFUSED: dict[str, Attempt] = {
    "two devices": lambda here, there: here + there,
    "indices of the device": lambda here, there: there[here.long()],
    "a generator of the CPU": lambda here, there: here.normal_(generator=torch.Generator()),
    "memory of the host": lambda here, there: here.numpy(),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cuda_refuses_is_refused(what: str) -> None:
    with simulated_device(), pytest.raises(RuntimeError):
        REFUSED[what](torch.zeros(3, device=DEVICE), torch.ones(3))


def test_waiting_is_counted_and_copies_that_do_not_wait_arrive_late() -> None:
    with simulated_device() as waits:
        values = torch.arange(4.0).to(DEVICE)
        assert (waits.count, waits.blocking_uploads) == (0, 1)
        assert float(values[1]) == 1
        assert values[values > 1].cpu().tolist() == [2, 3]
        assert bool((values.nonzero() > 0).all())
        assert waits.count == 5
        late = values.to("cpu", non_blocking=True)
        assert late.tolist() == [0, 0, 0, 0]
        torch.get_device_module(DEVICE).synchronize()
        assert late.tolist() == [0, 1, 2, 3]
