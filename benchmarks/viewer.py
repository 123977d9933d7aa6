"""What a viewer that nobody looks at costs a fit: `python -m benchmarks.viewer`; frames of one who does: with a run.

Steps with the server open take turns with steps without it, in blocks, in one process; CPU time of the whole process,
the server's threads included. `python -m benchmarks.viewer RUN` turns around a fitted scene as a browser does whose
window is 512 pixels high, and times the frames by the processor time that they take.
"""

from __future__ import annotations

import io
import statistics
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import torch
from PIL import Image

from latentfields.autoencoders.load import load_autoencoder
from latentfields.latent_nerf.build import new_model
from latentfields.latent_nerf.presets import preset
from latentfields.latent_nerf.render import orbit
from latentfields.latent_nerf.trainer import LatentNerfTrainer
from latentfields.scenes.load import load_scene
from latentfields.scenes.objects.config import RenderConfig
from latentfields.scenes.objects.object_scenes import render_object_scene
from latentfields.scenes.procedural import generate_object
from latentfields.viewer.frames import Choice, draw
from latentfields.viewer.resolution import Sharpening, frame_size
from latentfields.viewer.server import Address, watched
from latentfields.viewer.source import open_source

BLOCKS, STEPS = 5, 40
SETTLING_SECONDS = 0.5
"""Between opening the server and the first step that counts."""
TURN, HEIGHT, SETTLED = 40, 512, 10
"""Frames of a turn, the height at rest, and the frames after which the resolution is that of this machine."""


def main() -> None:
    """Print how many frames there are in a second, or what an open viewer costs a step."""
    torch.set_num_threads(1)
    if len(sys.argv) > 1:
        moving(Path(sys.argv[1]))
    else:
        waiting()


def moving(folder: Path) -> None:
    """Print the median of frames per second while the camera moves, and their size; 8 are asked for."""
    scene = open_source(folder, scene=None, cache=None, device=torch.device("cpu")).scenes[0]
    sharpening, seconds, heights = Sharpening(), [], []
    path = orbit(scene.cameras, frames=TURN)
    for camera in (path[index : index + 1] for index in range(TURN)):
        sharpening.moved(0.0)
        frame = sharpening.next(0.0, full=HEIGHT, aspect=1.0)
        assert frame is not None
        size = frame_size(frame.height, aspect=1.0, factor=scene.factor)
        start = time.process_time()
        picture = draw(scene, camera.resized(width=size.width, height=size.height), Choice(), aspect=1.0)
        Image.fromarray(picture.pixels).save(io.BytesIO(), "jpeg", quality=75)
        seconds.append(time.process_time() - start)
        heights.append(size.height)
        sharpening.drew(frame, size=size, seconds=seconds[-1])
    rate = 1 / statistics.median(seconds[SETTLED:])
    print(
        f"{rate:.1f} frames a second of {statistics.median(heights[SETTLED:]):.0f} pixels while the camera moves"
    )


def waiting() -> None:
    """Print the median CPU time of a step with and without the viewer, and their ratio; the project allows 1.1."""
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
