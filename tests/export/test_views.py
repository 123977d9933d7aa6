"""Rendered latents, depth and opacity as numbers: what a reader of the files needs to go on with them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from helpers.analytic_run import RADIUS, analytic_views
from helpers.tiny import sphere_cameras
from latentfields.cli.main import main
from latentfields.errors import InputError
from latentfields.export.views import export_views, render_depth
from latentfields.latent_nerf.render import NamedViews, chosen_views
from latentfields.latent_nerf.run import Run
from latentfields.scenes.scene import Scene
from latentfields.training.checkpoint import load_tensors


def test_depth_is_that_of_the_sphere_along_the_viewing_axis(sphere_run: Run) -> None:
    camera = sphere_cameras(4)[1]
    seen = render_depth(sphere_run, camera)
    rays = camera.rays()
    along = -(rays.origins * rays.directions).sum(-1)
    closest = rays.origins.square().sum(-1) - along.square()
    hit = along - (RADIUS**2 - closest).clamp(min=0).sqrt()
    expected = hit * (rays.directions * camera.forward[:, None, None]).sum(-1)
    # Well inside the outline, and well outside of it.
    inside, outside = closest[0].sqrt() < 0.7 * RADIUS, closest[0].sqrt() > 1.2 * RADIUS
    assert inside.sum() > 20
    torch.testing.assert_close(
        seen.depth[0, 0][inside], expected[0][inside], atol=0.04, rtol=0
    )  # Half the shell.
    assert seen.depth[0, 0][outside].isinf().all()
    assert (seen.opacity[0, 0][outside] < 0.05).all()
    assert (seen.opacity[0, 0][inside] > 0.9).all()
    # The picture's own resolution, whatever the factor; and the axis is nearer than the rays beside it.
    assert seen.depth.shape[-2:] == (camera.height, camera.width)
    middle = seen.depth[0, 0, camera.height // 2, camera.width // 2]
    assert float(middle) == pytest.approx(3 - RADIUS, abs=0.02)


def test_one_file_has_all_that_decoding_elsewhere_needs(
    latent_run: Path, scene: Scene, tmp_path: Path
) -> None:
    run = Run.load(latent_run)
    views = chosen_views(run, "test", frames=1)
    file = export_views(run, views, out=tmp_path / "views", what=("latents", "depth", "opacity", "rgb"))
    assert file == tmp_path / "views" / "rendered.safetensors"
    tensors, about = load_tensors(file)
    autoencoder = run.model.autoencoder
    assert autoencoder is not None
    mean, std = (tensors[name].view(1, -1, 1, 1) for name in ("latent_mean", "latent_std"))
    torch.testing.assert_close(tensors["latents"] * std + mean, tensors["latents_raw"])
    with torch.no_grad():
        decoded = autoencoder.codec.decode(tensors["latents_raw"]).clamp(0, 1)
    torch.testing.assert_close(decoded, run.render(views.cameras))
    assert tensors["depth"].shape == tensors["opacity"].shape == (len(views.cameras), 1, 32, 32)
    assert about["names"] == [Path(name).stem for name in views.names]
    assert (about["width"], about["height"], about["factor"]) == (32, 32, autoencoder.factor)
    assert all((tmp_path / "views" / name).is_file() for name in views.names)
    # Depth and cameras fit together, in the frame that the file takes back to the capture.
    assert torch.equal(tensors["camera_to_world"], views.cameras.camera_to_world)
    assert torch.equal(tensors["world_to_scene"], scene.world_to_scene)


def test_arrays_of_numpy_hold_the_same(latent_run: Path, tmp_path: Path) -> None:
    run = Run.load(latent_run)
    views = chosen_views(run, "orbit", frames=2)
    file = export_views(run, views, out=tmp_path / "one", what=("latents", "opacity"))
    folder = export_views(run, views, out=tmp_path / "many", what=("latents", "opacity"), format="npy")
    expected = load_file(file)
    assert {path.stem for path in folder.glob("*.npy")} == set(expected)
    for name, tensor in expected.items():
        assert np.array_equal(np.load(folder / f"{name}.npy"), tensor.numpy()), name
    assert json.loads((folder / "rendered.json").read_text()) == load_tensors(file)[1]


def test_colours_have_depth_but_no_latents(sphere_run: Run, tmp_path: Path) -> None:
    views = NamedViews(analytic_views().cameras[:2], ("0.png", "1.png"))
    with pytest.raises(InputError, match=r"what: is latents, but .* was fitted in RGB; expected rgb, depth"):
        export_views(sphere_run, views, out=tmp_path / "views", what=("rgb", "latents"))
    assert not (tmp_path / "views").exists()
    tensors = load_file(export_views(sphere_run, views, out=tmp_path / "views", what=("depth",)))
    assert "opacity" not in tensors
    assert "latent_mean" not in tensors
    assert math.isclose(float(tensors["depth"].amin()), 3 - RADIUS, abs_tol=0.03)


def test_films_and_nothing_are_refused(sphere_run: Run, tmp_path: Path) -> None:
    views = NamedViews(analytic_views().cameras[:1], ("0.png",))
    with pytest.raises(InputError, match=r"orbit.mp4: is a file; expected a folder for rgb, depth"):
        export_views(sphere_run, views, out=tmp_path / "orbit.mp4", what=("rgb", "depth"))
    with pytest.raises(InputError, match="what: is empty; expected one or more of rgb"):
        export_views(sphere_run, views, out=tmp_path / "views", what=())


@pytest.mark.slow
def test_the_command_writes_them(
    latent_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATENTFIELDS_MALLOC", "default")
    out = tmp_path / "numbers"
    main(["render", str(latent_run), "--what", "latents", "depth", "--out", str(out)])
    assert capsys.readouterr().out.strip() == str(out / "rendered.safetensors")
    assert {"latents", "latents_raw", "depth"} <= set(load_file(out / "rendered.safetensors"))
    orbit = ["--views", "orbit", "--frames", "2", "--what", "opacity", "--format", "npy"]
    main(["render", str(latent_run), *orbit, "--out", str(out)])
    assert np.load(out / "opacity.npy").shape == (2, 1, 32, 32)
    with pytest.raises(SystemExit):
        main(["render", str(latent_run), "--what", "latents", "--out", str(tmp_path / "film.mp4")])
    assert capsys.readouterr().err.endswith("film.mp4: is a file; expected a folder for latents\n")
