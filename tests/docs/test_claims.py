"""Scores that documents state: what states one is found, and every document states the same of the same fit."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.claims import Claim, chosen, claims

from latentfields.cli.fit import Fit
from latentfields.cli.main import parse

ROOT = Path(__file__).parents[2]


def stated(document: str) -> dict[str, Claim]:
    return {claim.command: claim for claim in claims((ROOT / document).read_text(encoding="utf-8"))}


def test_a_claim_has_its_scene_time_and_score() -> None:
    text = (
        "```sh\nlatentfields scenes generate vases --out data/v  # 9 s\n"
        "latentfields fit data/v --out r  # words: 4 min, 28.3 dB\nlatentfields fit data/v --out s  # 1 dB\n```\n"
    )
    expected = Claim(
        "latentfields fit data/v --out r", 240, 28.3, ("latentfields scenes generate vases --out data/v",)
    )
    assert claims(text) == [expected]


def test_single_lines_are_chosen_by_the_words_of_their_command() -> None:
    found = list(stated("README.md").values())
    assert chosen(found, ()) == found
    assert [claim.command for claim in chosen(found, ("base",))] == [
        "latentfields fit data/vases-0000 --autoencoder base --out runs/fast"
    ]
    assert chosen(found, ("rgb", "gaussians")) == [
        claim for claim in found if "gaussians" in claim.command or "rgb" in claim.command.split()
    ]
    with pytest.raises(ValueError, match="no line with the word 'bas'"):
        chosen(found, ("bas",))


def test_readme_states_the_fits_that_it_shows() -> None:
    found = stated("README.md")
    assert len(found) >= 4
    for command, claim in found.items():
        fit = parse(command.split()[1:])
        assert isinstance(fit, Fit)
        assert claim.scenes
        assert 30 <= claim.seconds <= 600
        assert 20 < claim.psnr < 40


def test_the_same_fit_is_stated_alike_everywhere() -> None:
    readme = stated("README.md")
    for page in sorted((ROOT / "docs").rglob("*.md")):
        for command, claim in stated(str(page.relative_to(ROOT))).items():
            assert readme[command].psnr == claim.psnr, page


def test_the_default_of_the_first_line_is_that_of_the_demo() -> None:
    from latentfields.cli.demo import Demo

    first = next(iter(stated("README.md")))
    fit = parse(first.split()[1:])
    assert isinstance(fit, Fit)
    assert fit.autoencoder == Demo.autoencoder
    assert fit.config.subpixels == 1
