"""The package in a few lines: a scene, an autoencoder, a fit in its latent space, and a picture from a new viewpoint.

python examples/01_fit.py [FOLDER]          # fifteen seconds of one CPU core, offline
"""

import sys
from dataclasses import replace
from pathlib import Path

import latentfields
from latentfields.pages.pictures import save_png, to_pixels
from latentfields.scenes.objects.config import RenderConfig
from latentfields.scenes.objects.object_scenes import render_object_scene
from latentfields.scenes.procedural import generate_object


def main(out: Path) -> float:
    """Fit a generated mug; return the PSNR of the test views in dB."""
    # Any folder of posed images does: NeRF-synthetic, Nerfstudio, IG-AE, COLMAP. This one is made here.
    if not (out / "mug").exists():
        render_object_scene(generate_object("mugs", 0), out / "mug", options=RenderConfig(views=24, size=64))
    scene = latentfields.load_scene(out / "mug")

    # Images (B, 3, H, W) in [0, 1] to latents (B, C, H/4, W/4) of unit scale, and back. Any diffusers VAE does.
    autoencoder = latentfields.load_autoencoder("base-f4")

    # First the field learns the latents of the training views, then field and decoder learn their pixels. The run is
    # a folder: run again, it resumes, or is only loaded where it is finished.
    config = replace(latentfields.preset("kplanes"), subpixels=1).with_steps(supervision=100, alignment=150)
    run = latentfields.fit(scene, autoencoder, out=out / "run", config=config)

    picture = to_pixels(run.render(scene.cameras[scene.indices("test")[:1]]))[0]
    save_png(out / "test_view.png", picture)
    scores = latentfields.evaluate_run(run, scene=scene)
    psnr = float(scores["test"]["images"]["mean"]["psnr"])
    print(f"{psnr:.2f} dB on views that the fit has not seen, like {out / 'test_view.png'}")
    return psnr


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/example-fit"))
