"""Latents against RGB: what is claimed at equal time and of looking, and the study itself on a small object."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from latentfields.bench.rgb_vs_latent import RgbVsLatentStudyConfig
from latentfields.bench.scales import RGB_VS_LATENT_SCALES
from latentfields.cli.main import main
from latentfields.errors import ArgumentError

STUDY = RgbVsLatentStudyConfig(meshes=(Path("cup.glb"), Path("drill.glb")))


def record(
    space: str, scene: str, psnr: float, *, limit: float, look: float, rays: int = 1
) -> dict[str, Any]:
    factor = {} if space == "rgb" else {"factor": 4}
    about = {"field": "kplanes", "space": space, "family": scene, "seed": 3, "size": 128, "rays": rays}
    return {**about, **factor, "limit": limit, "psnr": psnr, "ssim": 0.9, "look_milliseconds": look}


FITS = [
    record("rgb", "vases", 33.0, limit=300, look=2000),
    record("rgb", "cup", 36.0, limit=300, look=2400),
    record("rgb", "drill", 35.0, limit=300, look=2400),
    record("rgb", "cup", 34.0, limit=75, look=2400),
    record("base-f4", "vases", 32.5, limit=300, look=200),
    record("base-f4", "cup", 34.5, limit=300, look=200),
    record("base-f4", "drill", 32.0, limit=300, look=200),
    record("base-f4", "cup", 31.5, limit=75, look=600, rays=4),
]


def test_claims_are_of_meshes_of_the_vase_and_of_looking() -> None:
    claims = STUDY.claims(STUDY.rows({"fits": FITS}))
    found = {claim.statement: (claim.required, claim.measured, claim.holds) for claim in claims}
    one, four = "base-f4, kplanes, 1 ray a latent, 300 CPU s", "base-f4, kplanes, 4 rays a latent, 75 CPU s"
    assert found == {
        f"{one}: mean over meshes against RGB": (">= -2.00 dB", "-2.25 ± 1.06 dB", False),
        f"{one}: the vase against RGB": (">= -1.00 dB", "-0.50 dB", True),
        f"{one}: a view of 512 pixels, CPU ms": ("<= 250.00", "200.00 ± 0.00", True),
        f"{one}: times faster to look at than RGB": (">= 10", "11.3 ± 1.2", True),
        f"{four}: mean over meshes against RGB": (">= -3.00 dB", "-2.50 dB", True),
        f"{four}: a view of 512 pixels, CPU ms": ("<= 250.00", "600.00", False),
        f"{four}: times faster to look at than RGB": (">= 10", "4.0", False),
    }


def test_with_reference_views_the_same_is_claimed_of_them() -> None:
    fits = [FITS[0], FITS[3], *({**fit, "references_psnr": fit["psnr"] + 0.75} for fit in (FITS[4], FITS[7]))]
    found = {claim.statement: claim.measured for claim in STUDY.claims(STUDY.rows({"fits": fits}))}
    with_references = {name: text for name, text in found.items() if "with reference views" in name}
    assert with_references == {
        "base-f4, kplanes, 1 ray a latent, 300 CPU s, with reference views: the vase against RGB": "+0.25 dB",
        "base-f4, kplanes, 4 rays a latent, 75 CPU s, with reference views: mean over meshes against RGB": (
            "-1.75 dB"
        ),
    }


def test_on_several_grids_the_same_is_claimed_of_them() -> None:
    study = replace(STUDY, grids=2)
    fits = [FITS[3], {**FITS[7], "grids_psnr": 32.0}]
    found = {claim.statement: claim.measured for claim in study.claims(study.rows({"fits": fits}))}
    name = "base-f4, kplanes, 4 rays a latent, 75 CPU s"
    assert found[f"{name}, on 4 grids: mean over meshes against RGB"] == "-2.00 dB"
    assert found[f"{name}: mean over meshes against RGB"] == "-2.50 dB"


def test_without_colours_nothing_is_claimed() -> None:
    assert STUDY.claims(STUDY.rows({"fits": FITS[4:]})) == []


def test_fits_end_by_the_clock_and_colours_have_one_ray_a_pixel() -> None:
    small = RGB_VS_LATENT_SCALES["small"]
    fit = small.fit("kplanes", factor=4, rays=2, seed=3)
    assert (fit.batch_images, fit.subpixels, fit.total_steps, small.views.views) == (1, 2, 100_000, 120)
    colors = small.fit("kplanes", factor=1, seed=3)
    assert (fit.alignment_grid, fit.field) == ("shifted", colors.field)
    assert (colors.alignment_grid, colors.subpixels) == ("fixed", 1)
    study = RgbVsLatentStudyConfig(subpixels=(1, 2))
    assert [study.rays(factor) for factor in (1, 4, 8)] == [(1,), (1, 2), (1, 2)]
    # As many as pixels of a step in RGB: 64x64 of a picture of 128x128.
    assert [STUDY.rays(factor) for factor in (1, 2, 4, 8)] == [(1,), (1,), (2,), (2,)]
    assert [small.fit("kplanes", factor=factor, seed=3).batch_images for factor in (2, 4, 8)] == [1, 1, 4]
    assert small.fit("gaussians", factor=4, seed=3).batch_images == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"subpixels": (3,)}, "subpixels: is 3; expected 1 or an even number"),
        ({"meshes": (Path("a/x.glb"), Path("b/x.obj"))}, "meshes: has two files of the name x"),
        ({"families": ()}, "families: name at least one family, or meshes"),
    ],
)
def test_what_cannot_be_compared_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        RgbVsLatentStudyConfig(**changes).check()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rgb-vs-latent") / "out"
    options = [
        "--fields",
        "triplane",
        "--spaces",
        "rgb",
        "base-f4",
        "--subpixels",
        "1",
        "2",
        "--grids",
        "2",
        "--reference-views",
        "2",
        "--scale",
        "tiny",
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RgbVsLatentStudyConfig, "look", 128)  # Pixels of the views that are looked at.
        main(["bench", "rgb-vs-latent", "--out", str(folder), *options])
    return folder


def test_every_number_of_rays_is_fitted_in_latents_and_looked_at(finished: Path) -> None:
    fits = json.loads((finished / "results.json").read_text())["fits"]
    assert [(fit["space"], fit["rays"], fit["family"]) for fit in fits] == [
        ("rgb", 1, "vases"),
        ("base-f4", 1, "vases"),
        ("base-f4", 4, "vases"),
    ]
    assert all(fit["frame_milliseconds"] > 0 for fit in fits)
    assert all(fit["references_psnr"] > 0 for fit in fits)
    # A field that is hardly fitted is smooth: what is decoded on other grids is alike, and their mean no worse.
    assert ["grids_psnr" in fit for fit in fits] == [False, True, True]
    assert all(abs(fit["grids_psnr"] - fit["psnr"]) < 1 for fit in fits[1:])
    # A view of 512 pixels by the time that the process computes: of all rays, a sixteenth, and a quarter of them.
    colors, one_ray, four_rays = (fit["look_milliseconds"] for fit in fits)
    assert colors > four_rays > one_ray > 0
    assert len(json.loads((finished / "results.json").read_text())["claims"]) == 4
