"""The whole scene as one file: the same pictures bit for bit, without the run's folder and its scene."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from helpers.tiny import TINY_FIT, TINY_GAUSSIANS, fitted_run
from latentfields import fit
from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.errors import InputError
from latentfields.export.gaussians import export_gaussians
from latentfields.export.scene_file import export_scene
from latentfields.fields.config import GaussiansConfig
from latentfields.fields.densification import McmcDensificationConfig
from latentfields.latent_nerf.config import Space
from latentfields.latent_nerf.evaluate import evaluate_run
from latentfields.latent_nerf.latent_gaussians import LatentGaussians
from latentfields.latent_nerf.portable import PortableRun, read_portable, write_portable
from latentfields.latent_nerf.render import render_run, run_views
from latentfields.latent_nerf.run import Run
from latentfields.latent_nerf.scene_cameras import SceneCameras
from latentfields.scenes.scene import Scene

CONFIG = TINY_FIT.with_steps(supervision=2, alignment=2)


@pytest.fixture(scope="module")
def latent_run(
    scene: Scene, autoencoder: Autoencoder, autoencoder_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Run:
    out = tmp_path_factory.mktemp("runs") / "latent"
    return Run.load(
        fitted_run(scene, autoencoder, stored=autoencoder_folder, out=out, supervision=2, alignment=2)
    )


@pytest.fixture(scope="module")
def scene_file(latent_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("files") / "scene.safetensors"
    summary = export_scene(latent_run, run_views(latent_run), out=file)
    assert summary.bytes == file.stat().st_size < 4e6
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    return file


def test_it_renders_what_the_run_renders(latent_run: Run, scene_file: Path, scene: Scene) -> None:
    loaded = Run.load(scene_file)
    assert loaded.config == latent_run.config
    assert loaded.frame == latent_run.frame
    assert loaded.views is not None
    assert loaded.views.names == scene.image_names
    for split in ("train", "val", "test"):
        assert loaded.views.splits[split].tolist() == scene.splits[split].tolist()
    assert torch.equal(loaded.views.cameras.camera_to_world, scene.cameras.camera_to_world)
    cameras = scene.cameras[scene.indices("test")]
    assert torch.equal(loaded.render(cameras), latent_run.render(cameras))


def test_an_rgb_run_has_no_autoencoder(scene: Scene, tmp_path: Path) -> None:
    run = fit(scene, None, out=tmp_path / "run", config=CONFIG)
    export_scene(run, SceneCameras.of(scene), out=tmp_path / "scene.safetensors")
    cameras = scene.cameras[scene.indices("test")]
    loaded = Run.load(tmp_path / "scene.safetensors")
    assert loaded.model.autoencoder is None
    assert torch.equal(loaded.render(cameras), Run.load(tmp_path / "run").render(cameras))


@pytest.mark.slow
@pytest.mark.parametrize("space", ["latent", "rgb"])
def test_gaussians_go_in_and_come_back(
    scene: Scene, autoencoder: Autoencoder, tmp_path: Path, space: Space
) -> None:
    # MCMC adds Gaussians: the file has more of them than the configuration begins with.
    field = GaussiansConfig(initial=50, densification=McmcDensificationConfig(growth=0.5))
    config = replace(TINY_GAUSSIANS, field=field, space=space).with_steps(supervision=20, alignment=1)
    run = fit(scene, autoencoder if space == "latent" else None, out=tmp_path / "run", config=config)
    assert isinstance(run.model, LatentGaussians)
    assert len(run.model.field.means) > 50
    file = tmp_path / "scene.safetensors"
    export_scene(run, SceneCameras.of(scene), out=file)
    loaded = Run.load(file)
    cameras = scene.cameras[scene.indices("test")]
    assert torch.equal(loaded.render(cameras), run.render(cameras))
    clouds = [export_gaussians(each, out=tmp_path / f"{i}.ply").file for i, each in enumerate((run, loaded))]
    assert clouds[0].read_bytes() == clouds[1].read_bytes()


def test_autoencoders_of_diffusers_go_in_and_come_back(latent_run: Run, tmp_path: Path) -> None:
    diffusers = pytest.importorskip("diffusers")
    from latentfields.autoencoders.autoencoder import LatentStatistics
    from latentfields.autoencoders.diffusers_codec import DiffusersCodec

    torch.manual_seed(0)
    model = diffusers.AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        norm_num_groups=4,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        layers_per_block=1,
    )
    statistics = LatentStatistics((0.1,) * 4, (1.3,) * 4)
    original = Autoencoder(DiffusersCodec(model.eval()), statistics, name="x").eval()
    file = tmp_path / "scene.safetensors"
    stored = PortableRun({}, {}, {}, original, run_views(latent_run))
    write_portable(file, stored)
    loaded = read_portable(file).autoencoder
    assert loaded is not None
    latents = torch.randn(1, 4, 4, 4)
    with torch.no_grad():
        assert torch.equal(loaded.decode(latents), original.decode(latents))


@pytest.mark.slow
def test_commands_work_without_the_scene_where_they_can(
    scene_file: Path, scene_folder: Path, latent_run: Run, tmp_path: Path
) -> None:
    run = Run.load(scene_file)
    run.config = type(run.config)(**(vars(run.config) | {"scene": tmp_path / "gone", "places": None}))
    render_run(run, out=tmp_path / "png", views="test", frames=1, fps=1)
    assert len(list((tmp_path / "png").iterdir())) == 3
    with pytest.raises(
        InputError, match="gone: there is no such folder; say with `scene` where the scene is now"
    ):
        evaluate_run(run)
    assert evaluate_run(run, scene_folder=scene_folder) == evaluate_run(latent_run)


def rewrite(change: Callable[[dict[str, torch.Tensor], dict[str, Any]], object]) -> Callable[[Path], None]:
    """A damage that changes tensors and metadata of a file."""

    def damage(path: Path) -> None:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = json.loads(file.metadata()["json"])
        change(tensors, metadata)
        save_file(tensors, path, metadata={"json": json.dumps(metadata)})

    return damage


def fit_of(metadata: dict[str, Any]) -> dict[str, Any]:
    """The settings of the fit in a file's metadata."""
    fit_settings: dict[str, Any] = metadata["config"]["fit"]
    return fit_settings


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-99]), "not a readable safetensors file"),
        (lambda path: path.write_bytes(b""), "not a readable safetensors file"),
        (rewrite(lambda t, m: m.pop("format")), "is not a scene file; expected the format"),
        (rewrite(lambda t, m: m.pop("views")), "field 'views' should be an object"),
        (rewrite(lambda t, m: m["views"].update(train=[99])), r"'views\.train': expected indices of the 15"),
        (rewrite(lambda t, m: m["views"].update(train=[])), r"'views\.train': expected indices"),
        (rewrite(lambda t, m: t["views.focal"].fill_(torch.nan)), r"'views\.focal': expected finite numbers"),
        (rewrite(lambda t, m: t.pop("views.camera_to_world")), r"'views\.camera_to_world': expected"),
        (rewrite(lambda t, m: t.pop("model.background")), "does not fit config.json"),
        (rewrite(lambda t, m: m.update(autoencoder={})), "space is 'latent', which does not fit"),
        (rewrite(lambda t, m: m.update(autoencoder=[])), "'autoencoder' should be an object"),
        (rewrite(lambda t, m: m["autoencoder"].update({"../x.json": 1})), "files without folders"),
        (rewrite(lambda t, m: m["autoencoder"].pop("config.json")), r"autoencoder: .*has no config\.json"),
        (rewrite(lambda t, m: m["config"].update(size="big")), r"field 'config\.size' is 'big'"),
        (rewrite(lambda t, m: m.update(frame=None)), "field 'frame' should be an object"),
        (rewrite(lambda t, m: m["frame"].update(near=float("nan"))), "expected 0 <= near < far"),
        (rewrite(lambda t, m: m["frame"].update(width=0)), "are 0x32; expected pixels"),
        (rewrite(lambda t, m: m["frame"].update(world_to_scene=[])), "expected a 4x4 matrix"),
        (rewrite(lambda t, m: fit_of(m)["field"].update(kind=[])), r"field 'config\.fit\.field\.kind'"),
        (
            rewrite(lambda t, m: fit_of(m)["sampling"].update(grid_resolution=0)),
            r"'sampling\.grid_resolution' is 0",
        ),
    ],
)
def test_damaged_files_get_one_line(
    scene_file: Path, tmp_path: Path, damage: Callable[[Path], None], problem: str
) -> None:
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(scene_file.read_bytes())
    damage(copy)
    with pytest.raises(InputError, match=problem) as caught:
        Run.load(copy)
    assert "\n" not in str(caught.value)
    assert caught.value.source == str(copy)
    assert [path.name for path in tmp_path.iterdir()] == [copy.name]
