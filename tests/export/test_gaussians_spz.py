"""Gaussians as SPZ: what comes back is what was written, as far as bytes tell."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from helpers.gaussian_clouds import random_cloud, tiny_gaussians_fit
from latentfields import fit
from latentfields.errors import InputError
from latentfields.export.gaussians import export_gaussians
from latentfields.export.gaussians_ply import GaussianCloud, read_gaussians_ply, write_gaussians_ply
from latentfields.export.gaussians_spz import read_gaussians_spz, write_gaussians_spz
from latentfields.scenes.scene import Scene


@pytest.fixture(autouse=True)
def needs_gsply() -> None:
    pytest.importorskip("gsply")


def moderate(*, degree: int, extent: float = 1.0) -> GaussianCloud:
    """Values as scenes have them: lengths of hundredths, colours and opacities within their ranges."""
    cloud = random_cloud(300, channels=3, degree=degree)
    return replace(
        cloud,
        means=extent * cloud.means,
        scales=0.5 * cloud.scales - 4,
        features_dc=0.5 * cloud.features_dc,
        features_rest=0.2 * cloud.features_rest,
    )


@pytest.mark.parametrize(("degree", "extent"), [(0, 1.0), (3, 100.0), (1, 900.0)])
def test_what_is_written_is_read_back_within_its_steps(tmp_path: Path, degree: int, extent: float) -> None:
    cloud = moderate(degree=degree, extent=extent)
    threads = torch.get_num_threads()
    write_gaussians_spz(tmp_path / "cloud.spz", cloud)
    found = read_gaussians_spz(tmp_path / "cloud.spz")
    assert torch.get_num_threads() == threads
    assert found.features_rest.shape == cloud.features_rest.shape
    largest = float(cloud.means.abs().max())
    torch.testing.assert_close(found.means, cloud.means, atol=max(largest * 2**-21, 2**-16), rtol=0)
    torch.testing.assert_close(found.scales, cloud.scales, atol=1 / 32 + 1e-5, rtol=0)
    torch.testing.assert_close(found.opacities.sigmoid(), cloud.opacities.sigmoid(), atol=0.003, rtol=0)
    torch.testing.assert_close(found.features_dc, cloud.features_dc, atol=0.02, rtol=0)
    torch.testing.assert_close(found.features_rest, cloud.features_rest, atol=0.005, rtol=0)
    cosines = torch.nn.functional.cosine_similarity(found.rotations, cloud.rotations).abs()
    assert float(cosines.min()) > 0.9999


def test_it_is_a_tenth_of_a_ply(tmp_path: Path) -> None:
    cloud = moderate(degree=3)
    write_gaussians_spz(tmp_path / "cloud.spz", cloud)
    write_gaussians_ply(tmp_path / "cloud.ply", cloud)
    small, large = ((tmp_path / name).stat().st_size for name in ("cloud.spz", "cloud.ply"))
    assert small < 0.3 * large


def test_a_run_of_colours_is_exported(scene: Scene, tmp_path: Path) -> None:
    run = fit(scene, None, out=tmp_path / "run", config=tiny_gaussians_fit("rgb"))
    for name in ("scene.spz", "scene.ply"):
        export_gaussians(run, out=tmp_path / name)
    exact, rounded = read_gaussians_ply(tmp_path / "scene.ply"), read_gaussians_spz(tmp_path / "scene.spz")
    torch.testing.assert_close(rounded.means, exact.means, atol=1e-3, rtol=0)


def test_what_it_cannot_hold_or_read_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "cloud.spz"
    with pytest.raises(InputError, match=r"holds colours alone, and the Gaussians have 16 channels"):
        write_gaussians_spz(file, random_cloud(3, channels=16, degree=0))
    assert not file.exists()
    with pytest.raises(InputError, match=r"cloud\.spz: no such file"):
        read_gaussians_spz(file)
    write_gaussians_spz(file, moderate(degree=0))
    whole = file.read_bytes()
    for damaged in (b"", b"ply\n", whole[: len(whole) // 2], b"x" * 100):
        file.write_bytes(damaged)
        with pytest.raises(InputError, match=r"cloud\.spz: is no SPZ file that can be read"):
            read_gaussians_spz(file)
    monkeypatch.setitem(sys.modules, "gsply", None)
    with pytest.raises(
        InputError, match=r"spz: needs gsply; install it with: pip install 'latentfields\[spz\]'"
    ):
        write_gaussians_spz(file, moderate(degree=0))
