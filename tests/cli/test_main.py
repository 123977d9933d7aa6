"""What becomes of a command's result: exit codes and the last line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from latentfields.cli import main as main_module
from latentfields.cli.evaluate import Evaluate
from latentfields.cli.fit import Fit
from latentfields.cli.main import main, parse
from latentfields.errors import InputError
from latentfields.training.loop import Interrupted


@dataclass
class Command:
    problem: BaseException | None = None

    def run(self) -> None:
        if self.problem is not None:
            raise self.problem


@pytest.fixture(autouse=True)
def plain_allocator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATENTFIELDS_MALLOC", "default")


@pytest.mark.parametrize(
    ("problem", "status", "line"),
    [
        (InputError("x.json", "field 'a' is 1"), 2, "error: x.json: field 'a' is 1\n"),
        (KeyboardInterrupt(), 130, "\ninterrupted\n"),
        (
            Interrupted(Path("runs/a"), 7),
            130,
            "\ninterrupted at step 7; run the same command again to resume runs/a\n",
        ),
    ],
)
def test_expected_ends_have_a_status_and_a_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    problem: BaseException,
    status: int,
    line: str,
) -> None:
    monkeypatch.setattr(main_module, "parse", lambda _: Command(problem))
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == status
    assert capsys.readouterr().err == line


def test_defects_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main_module, "parse", lambda _: Command(ZeroDivisionError("a defect")))
    with pytest.raises(ZeroDivisionError, match="a defect"):
        main([])
    monkeypatch.setattr(main_module, "parse", lambda _: Command())
    main([])


def test_options_reach_their_fields() -> None:
    command = parse(
        ["fit", "data/chair", "--out", "runs/x", "--space", "rgb", "--supervision.steps", "7",
         "--triplane.view-dependent", "--sampling.samples", "9", "--seconds", "2.5", "--size", "64"]
    )  # fmt: skip
    assert isinstance(command, Fit)
    assert (command.scene, command.out) == (Path("data/chair"), Path("runs/x"))
    assert (command.seconds, command.size) == (2.5, 64)
    assert command.config.space == "rgb"
    assert command.config.supervision.steps == 7
    assert command.config.triplane.view_dependent
    assert command.config.sampling.samples == 9
    command = parse(["evaluate", "runs/x", "--json"])
    assert isinstance(command, Evaluate)
    assert command.json


@pytest.mark.parametrize(
    "arguments",
    [[], ["fly"], ["fit"], ["fit", "a", "--supervision.steps", "many"], ["fit", "a", "--space", "lab"]],
)
def test_wrong_arguments_exit_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(arguments)
    assert caught.value.code == 2
    assert "Traceback" not in capsys.readouterr().err
