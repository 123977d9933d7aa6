"""What a viewer that nobody looks at costs a fit: `python -m benchmarks.viewer`.

Steps with the server open take turns with steps without it, in blocks, in one process; CPU time of the whole process,
the server's threads included.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import torch

from latentfields.autoencoders.load import load_autoencoder
from latentfields.latent_nerf.build import new_model
from latentfields.latent_nerf.presets import preset
from latentfields.latent_nerf.trainer import LatentNerfTrainer
from latentfields.scenes.load import load_scene
from latentfields.scenes.objects.config import RenderConfig
from latentfields.scenes.objects.object_scenes import render_object_scene
from latentfields.scenes.procedural import generate_object
from latentfields.viewer.server import Address, watched

BLOCKS, STEPS = 5, 40
SETTLING_SECONDS = 0.5
"""Between opening the server and the first step that counts."""


def main() -> None:
    """Print the median CPU time of a step with and without the viewer, and their ratio; the project allows 1.1."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        trainer = _trainer(Path(folder) / "scene")
        times: dict[bool, list[float]] = {False: [], True: []}
        for block in range(2 * BLOCKS):
            viewed = block % 2 == 1
            address = Address("127.0.0.1", 0)
            with (
                watched(trainer, folder=Path(folder), address=address)
                if viewed
                else nullcontext(trainer) as fit
            ):
                time.sleep(SETTLING_SECONDS)
                for index in range(block * STEPS, (block + 1) * STEPS):
                    start = time.process_time()
                    fit.step(index, index / trainer.total_steps)
                    times[viewed].append(time.process_time() - start)
    plain, viewed_ms = (1000 * statistics.median(times[viewed]) for viewed in (False, True))
    print(f"step: {plain:.1f} ms alone, {viewed_ms:.1f} ms with a viewer, ratio {viewed_ms / plain:.3f}")


def _trainer(folder: Path) -> LatentNerfTrainer:
    render_object_scene(generate_object("vases", 7), folder, options=RenderConfig(views=24), seed=7)
    autoencoder = load_autoencoder("base")
    scene = load_scene(folder).cropped_to_multiple(autoencoder.factor)
    return LatentNerfTrainer(new_model(scene, autoencoder, preset("kplanes")), scene, preset("kplanes"))


if __name__ == "__main__":
    main()
