"""`latentfields view` and `fit --viewer`, up to where the server starts."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from latentfields.cli.fit import Fit
from latentfields.cli.main import main, parse
from latentfields.cli.view import View


def test_only_this_machine_can_connect_by_default() -> None:
    command = parse(["view", "runs/x"])
    assert isinstance(command, View)
    assert (command.run_folder, command.host, command.port) == (Path("runs/x"), "127.0.0.1", 8080)
    fit = parse(["fit", "data/chair", "--viewer", "--viewer-port", "0"])
    assert isinstance(fit, Fit)
    assert (fit.viewer, fit.viewer_port) == (True, 0)


@pytest.mark.parametrize("arguments", [["view"], ["fit", "--viewer"]])
def test_without_viser_the_extra_is_named(
    arguments: list[str],
    scene_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit) as caught:
        main([*arguments, str(scene_folder)])
    assert caught.value.code == 2
    assert not list(tmp_path.iterdir())
    assert (
        capsys.readouterr().err
        == "error: viewer: needs the package viser; pip install 'latentfields[viewer]'\n"
    )
    assert not [*tmp_path.iterdir()]


def test_what_is_not_a_run_gets_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["view", str(tmp_path)])
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path}: is not a run")
