from typing import Any

import pytest

from latentfields.bench.claims import Claim
from latentfields.bench.igae_claims import claims
from latentfields.bench.igae_report import tables
from latentfields.bench.markdown import markdown

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


def judged(**changes: dict[str, float]) -> dict[str, Claim]:
    return {claim.statement: claim for claim in claims(results(**changes))}


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
    measured["score"] = {role: measured["score"][role] for role in ("base", "igae")}
    statements = [claim.statement for claim in claims(measured)]
    assert len(statements) == 6
    assert not any("Without" in statement or "preserved" in statement for statement in statements)


def test_tables_have_a_row_per_autoencoder_and_a_column_per_family() -> None:
    measured = results() | {"claims": []}
    novel = next(
        table for table in tables(measured) if table.title.startswith("Decoded novel views after RGB")
    )
    assert novel.columns == ("autoencoder", "vases", "bags", "all")
    assert novel.rows[0] == ("base", "20.05 ± 0.07", "20.05 ± 0.07", "20.05 ± 0.06")
    assert markdown(novel).splitlines()[2:4] == ["| autoencoder | vases | bags | all |", "|---|---|---|---|"]
