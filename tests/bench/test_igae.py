"""Claims from results that were made up, and the whole study at its smallest scale, as a user runs it."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from latentfields import IgaeStudyConfig
from latentfields.bench.igae import HEADLINE
from latentfields.bench.rows import Claim
from latentfields.cli.main import main
from latentfields.errors import ArgumentError
from latentfields.pages.markdown import markdown
from latentfields.pages.report import Table

IGAE = IgaeStudyConfig()
COMMAND = ["bench", "igae", "--scale", "tiny", "--seeds", "1", "--families", "vases", "--trained-families"]
COMMAND += ["--regimes", "full", "--out"]


def command(folder: Path) -> list[str]:
    """Of four roles, two are trained here; the plain one's copy stands in for `no-3d`, which ablations train."""
    plain = folder.parent / "plain"
    return [*COMMAND, str(folder), "--base", str(plain), "--no-3d", str(plain.with_name("copy"))]


@pytest.fixture(scope="module")
def finished(plain_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench") / "igae"
    for name in ("plain", "copy"):
        shutil.copytree(plain_folder, folder.parent / name)
    main(command(folder))
    return folder


def test_every_autoencoder_is_trained_and_measured_on_every_family(finished: Path) -> None:
    results = json.loads((finished / "results.json").read_text())
    assert list(results["autoencoders"]) == ["base", "igae", "no-3d", "no-preservation"]
    assert len(results["fits"]) == 4
    assert {fit["family"] for fit in results["fits"]} == {"vases"}
    assert all(fit["psnr"] > fit["supervision_psnr"] - 1 > 8 for fit in results["fits"])
    assert list(results["score"]) == list(results["autoencoders"])
    assert len(results["claims"]) == 8
    assert results["notes"] == []


def test_the_page_shows_every_fit(finished: Path) -> None:
    page = (finished / "report.html").read_text()
    assert page.count("data:image/png") >= 2 * 4
    assert not list((finished / "fits").glob("*"))


def test_run_again_it_reads_its_cells(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (finished / "results.json").read_bytes()
    monkeypatch.setattr("latentfields.bench.fits.fit", None)
    main(command(finished))
    assert (finished / "results.json").read_bytes() == before
    assert "| no-preservation |" in capsys.readouterr().out


def test_other_settings_need_another_folder(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([*command(finished), "--base", "igae"])
    assert stop.value.code == 2
    assert (
        f"holds a run with other settings (base: '{finished.parent / 'plain'}' there"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--seeds", "0"], "--seeds: is 0; expected 1 to 1000\n"),
        (["--igae", "igea"], "igea: no such autoencoder"),
        (["--meshes", "nosuch.obj"], "nosuch.obj: no such file"),
        (["--test-photos", "nosuch"], "nosuch: no photographs here"),
        (["--training-scenes", "nosuch", "--training-photos", "nosuch"], "nosuch: no photographs here"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    tmp_path: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["bench", "igae", "--out", str(tmp_path / "bench"), *options])
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith(f"error: {message}")
    assert not (tmp_path / "bench").exists()


PSNR = {"base": 20.0, "igae": 22.0, "no-3d": 20.1, "no-preservation": 22.5}
LATENT = {"base": 25.0, "igae": 32.0, "no-3d": 24.9, "no-preservation": 33.0}
PHOTOS = {"base": 28.0, "igae": 27.8, "no-3d": 28.1, "no-preservation": 22.0}
SCORE = {"base": 0.2, "igae": 0.1, "no-3d": 0.21, "no-preservation": 0.09}


def results(**changes: dict[str, float]) -> dict[str, Any]:
    """What the benchmark would measure if everything were as in the paper, but for the changes."""
    psnr, latent = PSNR | changes.get("psnr", {}), LATENT | changes.get("latent", {})
    photos, score = PHOTOS | changes.get("photos", {}), SCORE | changes.get("score", {})
    bags = changes.get("bags", {})
    return {
        "autoencoders": {role: role for role in PSNR},
        "fits": [
            {
                "autoencoder": role,
                "family": family,
                "seed": seed,
                "psnr": psnr[role] + 0.1 * seed + (bags.get(role, 0.0) if family == "bags" else 0.0),
                "ssim": 0.9,
                "supervision_psnr": psnr[role] - 2,
                "supervision_latent_psnr": latent[role],
                "autoencoder_psnr": photos[role] + 5,
            }
            for role in PSNR
            for family in ("vases", "bags")
            for seed in (0, 1)
        ],
        "photos": {role: {"images": 3, "psnr": photos[role], "ssim": 0.9, "ms_gmsd": 0.03} for role in PSNR},
        "score": {role: {"latents": {"inconsistency": score[role]}, "noise_psnr": 30.0} for role in PSNR},
        "notes": [],
    }


def tables(measured: dict[str, Any]) -> dict[str, Table]:
    return {table.title: table for table in IGAE.all_tables(IGAE.rows(measured))}


def judged(**changes: dict[str, float]) -> dict[str, Claim]:
    return {claim.statement: claim for claim in IGAE.claims(IGAE.rows(results(**changes)))}


def failing(**changes: dict[str, float]) -> set[str]:
    return {statement.split(" ")[0] for statement, claim in judged(**changes).items() if not claim.holds}


def test_everything_holds_when_the_numbers_are_the_papers() -> None:
    assert failing() == set()
    gain = judged()["Latent NeRFs gain by 3D-consistency (decoded test PSNR)"]
    assert gain.measured == "+2.00 ± 0.00 dB"
    assert gain.required == ">= +1.50 dB"


@pytest.mark.parametrize(
    ("changes", "fails"),
    [
        ({"psnr": {"igae": 21.4}}, {"Latent", "Without"}),
        ({"bags": {"igae": -2.5}}, {"Latent", "They", "Without"}),
        ({"latent": {"igae": 30.9}}, {"Latents"}),
        ({"photos": {"igae": 27.5}}, {"Photographs", "Objects"}),
        ({"photos": {"no-preservation": 25.0}}, {"Without"}),
        ({"score": {"igae": 0.19}}, {"The"}),
    ],
)
def test_each_claim_fails_by_its_own_number(changes: dict[str, dict[str, float]], fails: set[str]) -> None:
    assert failing(**changes) == fails


def test_autoencoders_that_are_missing_are_not_judged() -> None:
    measured = results()
    measured["autoencoders"] = {"base": "base", "igae": "igae"}
    measured["fits"] = [fit for fit in measured["fits"] if fit["autoencoder"] in ("base", "igae")]
    measured["score"] = {role: measured["score"][role] for role in ("base", "igae")}
    statements = [claim.statement for claim in IGAE.claims(IGAE.rows(measured))]
    assert len(statements) == 6
    assert not any("Without" in statement or "preserved" in statement for statement in statements)


def test_tables_have_a_row_per_autoencoder_and_a_column_per_family() -> None:
    novel = tables(results())["Decoded novel views after RGB Alignment (PSNR, dB)"]
    assert novel.columns == ("autoencoder", "vases", "bags", "all")
    assert novel.rows[0] == ("base", "20.05 ± 0.07", "20.05 ± 0.07", "20.05 ± 0.06")
    assert markdown(novel).splitlines()[2:4] == ["| autoencoder | vases | bags | all |", "|---|---|---|---|"]


def test_several_fields_have_rows_each_but_for_the_autoencoder_alone() -> None:
    measured = results()
    measured["fits"] = [
        fit | {"field": field} for field in ("kplanes", "tensorf") for fit in measured["fits"]
    ]
    found = tables(measured)
    novel = found["Decoded novel views after RGB Alignment (PSNR, dB)"]
    assert novel.columns == ("NeRF", "autoencoder", "vases", "bags", "all")
    assert [row[:2] for row in novel.rows[3:5]] == [("kplanes", "no-preservation"), ("tensorf", "base")]
    assert [row[:2] for row in found["The same: SSIM"].rows] == [row[:2] for row in novel.rows]
    assert "The same: SSIM" not in tables(results())
    alone = found["The same views through the autoencoder alone (PSNR, dB)"]
    assert alone.columns == ("autoencoder", "vases", "bags", "all")
    assert len(alone.rows) == 4


def mapped() -> dict[str, Any]:
    """Two regimes in and out of distribution, where the gain is gone after alignment of families never seen."""
    measured = results()
    fits = []
    for regime in ("scene", "full"):
        for fit in measured["fits"]:
            family = {"vases": "vases", "bags": "mugs"}[fit["family"]]
            lost = 2.0 if regime == "full" and family == "vases" and fit["autoencoder"] == "igae" else 0.0
            kept = {"train_psnr": fit["psnr"] + 1, "spread_ratio": 0.9, "detail_ratio": 0.5, "factor": 8}
            fits.append(fit | kept | {"regime": regime, "family": family, "psnr": fit["psnr"] - lost})
    return measured | {"fits": fits}


def test_the_map_tells_regimes_and_distributions_apart() -> None:
    (table,) = (table for table in IGAE.all_tables(IGAE.rows(mapped())) if table.title.startswith("The map"))
    assert table.columns[:3] == ("alignment", "families", "test, dB")
    assert [(*row[:3], row[5], row[8]) for row in table.rows] == [
        ("scene", "unseen", "+2.00 ± 0.00", "0.90 ± 0.00", "0.50 ± 0.00"),
        ("scene", "trained", "+2.00 ± 0.00", "0.90 ± 0.00", "0.50 ± 0.00"),
        ("full", "unseen", "+0.00 ± 0.00", "0.90 ± 0.00", "0.50 ± 0.00"),
        ("full", "trained", "+2.00 ± 0.00", "0.90 ± 0.00", "0.50 ± 0.00"),
    ]


def test_gains_are_claimed_of_every_regime_in_distribution_and_out_of_it() -> None:
    claims = IGAE.claims(IGAE.rows(mapped()))
    gains = [claim for claim in claims if claim.statement.startswith(HEADLINE)]
    assert [(claim.statement.split("; ")[1], claim.required, claim.holds) for claim in gains] == [
        ("alignment scene, unseen families", ">= +2.00 dB", True),
        ("alignment scene, trained families", ">= +2.00 dB", True),
        ("alignment full, unseen families", ">= +1.50 dB", False),
        ("alignment full, trained families", ">= +1.50 dB", True),
    ]
    assert sum("RGB Alignment matters" in claim.statement for claim in claims) == 4
    # What depends on no alignment is claimed once.
    assert sum("Latents are 3D-consistent" in claim.statement for claim in claims) == 1
    assert not any("RGB Alignment matters" in c.statement for c in IGAE.claims(IGAE.rows(unaligned())))


def unaligned() -> dict[str, Any]:
    measured = mapped()
    return measured | {"fits": [fit | {"regime": "none"} for fit in measured["fits"][:16]]}


def test_regimes_move_what_they_say_and_table_16_is_the_papers() -> None:
    found = {regime: IGAE.fit("tensorf", seed=1, regime=regime) for regime in IGAE.regimes}
    assert list(found) == ["none", "scene", "table-16", "full"]
    assert [fit.alignment_kind for fit in found.values()] == ["none", "scene", "full", "full"]
    rates = [(fit.alignment.learning_rate_factor, fit.decoder_learning_rate) for fit in found.values()]
    assert rates == [(0.5, 1e-3), (0.5, 1e-3), (0.1, 1e-4), (0.5, 1e-3)]
    alone = mapped() | {"fits": [fit | {"regime": ""} for fit in mapped()["fits"][:16]]}
    study = IgaeStudyConfig(regimes=("scene",), trained_families=())
    assert study.claims(study.rows(alone))[0].required == ">= +2.00 dB"
    slow = IgaeStudyConfig(alignment_factor=0.05, decoder_learning_rate=2e-4).fit("kplanes", seed=1)
    assert (slow.alignment.learning_rate_factor, slow.decoder_learning_rate) == (0.05, 2e-4)


def test_gaussians_are_in_the_map_but_not_in_table_16() -> None:
    study = IgaeStudyConfig(fields=("kplanes", "gaussians"), regimes=("none", "scene"))
    study.check()
    fit = study.fit("gaussians", seed=1, regime="scene")
    assert (fit.field.__class__.__name__, fit.alignment_kind, fit.subpixels) == (
        "GaussiansConfig",
        "scene",
        1,
    )
    with pytest.raises(ArgumentError, match="regimes: has table-16, in which there are no gaussians"):
        replace(study, regimes=("none", "table-16")).check()


def test_folders_of_one_regime_go_on_with_it() -> None:
    earlier = IgaeStudyConfig.from_earlier({"alignment": "scene", "field": "tensorf", "start": "base"})
    assert earlier == {"regimes": ["scene"], "trained_families": [], "fields": ["tensorf"], "base": "base"}
    assert IgaeStudyConfig.from_earlier({"regimes": ["none"]}) == {"regimes": ["none"]}
    with pytest.raises(ArgumentError, match="regimes: name at least one"):
        IgaeStudyConfig(regimes=()).check()


def test_the_headline_is_the_gain_whatever_else_is_claimed() -> None:
    measured = IGAE.rows(results())
    (headline,) = IGAE.headlines(measured, list(reversed(IGAE.claims(measured))))
    assert (headline.label, headline.value, headline.unit) == (HEADLINE, "+2.00", "dB")
    assert IGAE.headlines(measured, []) == []
