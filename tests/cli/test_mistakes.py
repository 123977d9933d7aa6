"""Mistyped commands and options are said in two lines, with the nearest that there is."""

from __future__ import annotations

import pytest

from latentfields.cli.main import main


@pytest.mark.parametrize(
    ("line", "first", "second"),
    [
        (
            "fit data/x --feild kplanes",
            "--feild: no such option of latentfields fit; the nearest is --field",
            "latentfields fit",
        ),
        (
            "fit x --supervision.stepz=3",
            "--supervision.stepz: no such option of latentfields fit; the nearest is --supervision.steps",
            "latentfields fit",
        ),
        (
            "export mesh x --resolutoin 3",
            "--resolutoin: no such option of latentfields export mesh; the nearest is --resolution",
            "latentfields export mesh",
        ),
        # Options of what --field chose, not of the default.
        (
            "fit x --field gaussians --field.initail 3",
            "--field.initail: no such option of latentfields fit; the nearest is --field.initial",
            "latentfields fit",
        ),
        ("view x --zzzzzz", "--zzzzzz: no such option of latentfields view", "latentfields view"),
        ("rendr x", "rendr: no such command; the nearest is render", "latentfields"),
        ("evaluate x y", "y: more arguments than latentfields evaluate takes", "latentfields evaluate"),
        (
            "export cameras x --path orbits",
            "invalid choice 'orbits' for argument '--path'. Expected one of capture, orbit.",
            "latentfields export cameras",
        ),
        # With a value that no option took, and in the place of the scene.
        (
            "fit x --steps 100",
            "--steps: no such option of latentfields fit; the nearest is --more-steps",
            "latentfields fit",
        ),
        (
            "fit --sene x",
            "--sene: no such option of latentfields fit; the nearest is --seed",
            "latentfields fit",
        ),
        (
            "bench field",
            "field: no such command of latentfields bench; the nearest is fields",
            "latentfields bench",
        ),
        ("fit x --seconds 1m", "--seconds: is '1m'; expected a number", "latentfields fit"),
        ("fit x --threads=a", "--threads: is 'a'; expected a whole number", "latentfields fit"),
        ("fit x --size big", "--size: is 'big'; expected a whole number or full", "latentfields fit"),
        (
            "render x --views front",
            "invalid choice 'front' for argument '--views'. Expected one of orbit, path, test.",
            "latentfields render",
        ),
        ("evaluate", "Missing from latentfields evaluate: PATH", "latentfields evaluate"),
        ("export", "Expected one of {mesh, points, gaussians, cameras, scene}.", "latentfields export"),
    ],
)
def test_a_mistake_is_two_lines(
    line: str, first: str, second: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(line.split())
    said = capsys.readouterr()
    assert caught.value.code == 2
    assert said.err == f"error: {first}\n{second} --help lists what there is\n"
    assert said.out == ""


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == "latentfields 0.1.0\n"


def test_help_is_still_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["render", "--help"])
    assert caught.value.code == 0
    assert "--what" in capsys.readouterr().out
