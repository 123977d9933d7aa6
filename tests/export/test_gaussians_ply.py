"""Gaussians as PLY files: read back bit for bit, by another library, and only when they are whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import plyfile
import pytest
import torch

from helpers.gaussian_clouds import random_cloud, tiny_gaussians_fit
from helpers.tiny import TINY_FIT
from latentfields import fit
from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.autoencoders.load import load_autoencoder
from latentfields.errors import InputError
from latentfields.export.gaussians import export_gaussians
from latentfields.export.gaussians_ply import (
    read_gaussians_ply,
    write_gaussians_ply,
)
from latentfields.latent_nerf.feature_scene import FeatureGaussians
from latentfields.latent_nerf.latent_gaussians import LatentGaussians
from latentfields.latent_nerf.run import Run
from latentfields.rendering.config import MipSplattingConfig
from latentfields.scenes.scene import Scene
from latentfields.training.checkpoint import load_tensors

NAMES = ("means", "scales", "rotations", "opacities", "features_dc", "features_rest")


@pytest.fixture(scope="module")
def rgb_run(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return fit(scene, None, out=tmp_path_factory.mktemp("rgb") / "run", config=tiny_gaussians_fit("rgb"))


@pytest.mark.parametrize(("channels", "degree"), [(3, 3), (16, 3), (4, 0), (1, 2)])
def test_what_is_written_is_read_back_bit_for_bit(tmp_path: Path, channels: int, degree: int) -> None:
    cloud = random_cloud(7, channels=channels, degree=degree)
    write_gaussians_ply(tmp_path / "cloud.ply", cloud)
    again = read_gaussians_ply(tmp_path / "cloud.ply")
    for name in NAMES:
        assert torch.equal(getattr(again, name), getattr(cloud, name)), name


def test_an_independent_reader_finds_the_properties_of_3dgs(tmp_path: Path) -> None:
    cloud = random_cloud(5, channels=3, degree=3)
    write_gaussians_ply(tmp_path / "cloud.ply", cloud)
    vertices = plyfile.PlyData.read(tmp_path / "cloud.ply")["vertex"]
    expected = [
        "x",
        "y",
        "z",
        "nx",
        "ny",
        "nz",
        *(f"f_dc_{i}" for i in range(3)),
        *(f"f_rest_{i}" for i in range(45)),
        "opacity",
        *(f"scale_{i}" for i in range(3)),
        *(f"rot_{i}" for i in range(4)),
    ]
    assert [p.name for p in vertices.properties] == expected
    assert np.array_equal(vertices["y"], cloud.means[:, 1].numpy())
    assert np.array_equal(vertices["f_dc_2"], cloud.features_dc[:, 0, 2].numpy())
    # Channel by channel: the second channel's first harmonic comes after all 15 of the first channel.
    assert np.array_equal(vertices["f_rest_15"], cloud.features_rest[:, 0, 1].numpy())
    assert np.array_equal(vertices["rot_0"], cloud.rotations[:, 0].numpy())


def test_files_of_other_writers_are_read(tmp_path: Path) -> None:
    cloud = random_cloud(4, channels=3, degree=1)
    write_gaussians_ply(tmp_path / "ours.ply", cloud)
    vertices = plyfile.PlyData.read(tmp_path / "ours.ply")["vertex"].data
    other = np.zeros(4, dtype=[("confidence", "f4"), *vertices.dtype.descr])
    for name in vertices.dtype.names:
        other[name] = vertices[name]
    plyfile.PlyData([plyfile.PlyElement.describe(other, "vertex")]).write(tmp_path / "other.ply")
    again = read_gaussians_ply(tmp_path / "other.ply")
    for name in NAMES:
        assert torch.equal(getattr(again, name), getattr(cloud, name)), name


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"ply\n", b"obj\n", "is not a PLY file"),
        (b"property float opacity", b"property float opacitx", "lacks the property opacity"),
        (b"property float f_dc_1\n", b"property float g_dc_1\n", "2 properties f_dc_i and 9 f_rest_i"),
        (b"binary_little_endian", b"ascii", "header has 'format ascii 1.0'"),
        (b"float rot_3", b"uchar rot_3", "header has 'property uchar rot_3'"),
        (b"element vertex 4", b"element vertex 9", "claims 9 vertices, but only"),
        (b"float rot_2", b"float rot_3", "expected a binary little-endian format"),
    ],
)
def test_damaged_files_are_refused_in_one_line(tmp_path: Path, old: bytes, new: bytes, message: str) -> None:
    path = tmp_path / "cloud.ply"
    write_gaussians_ply(path, random_cloud(4, channels=3, degree=1))
    whole = path.read_bytes()
    assert old in whole
    path.write_bytes(whole.replace(old, new, 1))
    with pytest.raises(InputError, match=f"cloud.ply: .*{message}"):
        read_gaussians_ply(path)


def test_numbers_that_are_not_finite_and_absent_files_are_refused(tmp_path: Path) -> None:
    cloud = random_cloud(4, channels=3, degree=0)
    write_gaussians_ply(
        tmp_path / "a.ply", replace(cloud, means=cloud.means.index_fill(0, torch.tensor(1), torch.nan))
    )
    with pytest.raises(InputError, match=r"a.ply: x: expected finite numbers"):
        read_gaussians_ply(tmp_path / "a.ply")
    with pytest.raises(InputError, match="cannot be read"):
        read_gaussians_ply(tmp_path / "b.ply")


def test_gaussians_are_exported_in_the_coordinates_of_the_capture(rgb_run: Run, tmp_path: Path) -> None:
    cloud = read_gaussians_ply(export_gaussians(rgb_run, out=tmp_path / "cloud.ply").file)
    assert isinstance(rgb_run.model, LatentGaussians)
    field = rgb_run.model.field
    similarity = torch.tensor(rgb_run.frame.world_to_scene)
    assert float(similarity[0, 0]) != pytest.approx(1, abs=0.01)
    back = cloud.means @ similarity[:3, :3].T + similarity[:3, 3]
    torch.testing.assert_close(back, field.means.detach(), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(cloud.scales.exp() * similarity[0, 0], field.scales.detach().exp())
    assert torch.equal(cloud.features_dc, field.features_dc.detach())
    assert [p.name for p in tmp_path.iterdir()] == ["cloud.ply"]


def test_a_decoder_lies_beside_gaussians_of_latents(
    scene: Scene, autoencoder: Autoencoder, tmp_path: Path
) -> None:
    run = fit(scene, autoencoder, out=tmp_path / "run", config=tiny_gaussians_fit("latent"))
    export_gaussians(run, out=tmp_path / "out" / "scene.ply")
    decoder = load_autoencoder(tmp_path / "out" / "scene-decoder")
    assert run.model.autoencoder is not None
    latents = torch.randn(1, 8, 4, 4)
    with torch.no_grad():
        assert torch.equal(decoder.decode(latents), run.model.autoencoder.decode(latents))
    tensors, details = load_tensors(tmp_path / "out" / "scene.safetensors")
    assert details == {"factor": 4, "subpixels": 2, "normalizer": "standard"}
    assert torch.equal(tensors["background"], run.model.background.detach())
    assert any(name.startswith("projection.") for name in tensors)


def test_other_fields_have_no_gaussians_to_export(scene: Scene, tmp_path: Path) -> None:
    run = fit(scene, None, out=tmp_path / "run", config=TINY_FIT.with_steps(supervision=1, alignment=0))
    with pytest.raises(InputError, match="has the field triplane, which has no Gaussians"):
        export_gaussians(run, out=tmp_path / "cloud.ply")


def test_the_name_must_end_in_ply(rgb_run: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a file that ends in .ply"):
        export_gaussians(rgb_run, out=tmp_path / "cloud.splat")


def test_colours_and_latents_are_two_files_of_the_same_gaussians(
    scene: Scene, autoencoder: Autoencoder, tmp_path: Path
) -> None:
    """Colours as those of a run that has them alone, with the filter's scales and opacities; latents beside."""
    filtered = replace(tiny_gaussians_fit("both"), sampling=MipSplattingConfig())
    run = fit(scene, autoencoder, out=tmp_path / "run", config=filtered)
    assert isinstance(run.model, FeatureGaussians)
    export_gaussians(run, out=tmp_path / "cloud.ply")
    colors = read_gaussians_ply(tmp_path / "cloud.ply")
    latents = read_gaussians_ply(tmp_path / "cloud-latents.ply")
    field, values = run.model.colors.field, run.model.values
    assert colors.features_dc.shape[2] == 3
    assert torch.equal(colors.features_dc, field.features_dc)
    assert torch.equal(latents.features_dc, values.features_dc)
    assert torch.equal(latents.features_rest, values.features_rest)
    for name in ("means", "scales", "rotations", "opacities"):
        assert torch.equal(getattr(colors, name), getattr(latents, name))
    smoothed = run.model.colors.gaussians()
    scale = 1 / float(torch.tensor(run.frame.world_to_scene)[0, 0])
    torch.testing.assert_close(colors.scales.exp(), scale * smoothed.scales)
    torch.testing.assert_close(torch.sigmoid(colors.opacities), smoothed.opacities)
    assert bool((colors.scales.exp() > scale * field.scales.exp()).all())
    details = load_tensors(tmp_path / "cloud-latents.safetensors")
    assert details[1]["factor"] == autoencoder.factor
    assert "background" in details[0]
    load_autoencoder(tmp_path / "cloud-latents-decoder")
    assert not (tmp_path / "cloud-decoder").exists()
