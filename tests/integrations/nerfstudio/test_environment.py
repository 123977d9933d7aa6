"""What is said where Nerfstudio is absent, of another version, or broken; needs no Nerfstudio."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

import pytest

from latentfields.cli.main import main, parse
from latentfields.cli.ns import Ns
from latentfields.errors import InputError
from latentfields.integrations.nerfstudio import entry_points
from latentfields.integrations.nerfstudio.environment import SUPPORTED, require_nerfstudio
from latentfields.integrations.nerfstudio.launcher import launch

PROJECT = Path(__file__).parents[3] / "pyproject.toml"


def pretend(monkeypatch: pytest.MonkeyPatch, version: str | None) -> None:
    """Nerfstudio is installed in that version, or not at all."""

    def answer(name: str) -> str:
        assert name == "nerfstudio"
        if version is None:
            raise metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(metadata, "version", answer)


@pytest.mark.parametrize("version", [None, "1.0.3", "2.0.0"])
def test_unusable_nerfstudio_is_one_line_and_status_2(
    version: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend(monkeypatch, version)
    monkeypatch.setenv("LATENTFIELDS_MALLOC", "default")
    with pytest.raises(SystemExit) as caught:
        main(["ns", "train", "latent-tensorf", "--help"])
    assert caught.value.code == 2
    error = capsys.readouterr().err
    expected = "is not installed" if version is None else f"is version {version}; expected {SUPPORTED}"
    assert error == f"error: nerfstudio: {expected}; docs/nerfstudio.md says how to install it\n"


def test_supported_version_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, SUPPORTED)
    require_nerfstudio()


@pytest.mark.parametrize(("arguments", "got"), [((), "nothing"), (("export", "mesh"), "export")])
def test_unknown_commands_are_named(arguments: tuple[str, ...], got: str) -> None:
    with pytest.raises(InputError, match=rf"^ns: got {got}; expected one of train, eval, render, viewer"):
        launch(arguments)


def test_options_after_ns_are_nerfstudios() -> None:
    arguments = ["ns", "train", "latent-tensorf", "--data", "x", "--pipeline.supervision.steps", "7"]
    assert parse(arguments) == Ns(tuple(arguments[1:]))


def test_a_method_that_cannot_be_had_says_why_and_raises_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, None)
    found = entry_points.latent_kplanes
    assert isinstance(found, entry_points.Unavailable)
    assert "latent-kplanes" in repr(found)
    assert "is not installed" in repr(found)


@pytest.mark.parametrize("broken", ["latentfields.integrations.nerfstudio.methods", "safetensors"])
def test_broken_dependencies_raise_nothing_either(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, SUPPORTED)
    for name in [name for name in sys.modules if name.startswith("latentfields.integrations.nerfstudio.")]:
        if name.rpartition(".")[2] not in ("entry_points", "environment"):
            monkeypatch.delitem(sys.modules, name)
    # None in this table makes an import fail.
    monkeypatch.setitem(sys.modules, broken, None)
    if broken == "safetensors":
        for name in [name for name in sys.modules if name.startswith("latentfields.training")]:
            monkeypatch.delitem(sys.modules, name)
    found = entry_points.latent_tensorf
    assert isinstance(found, entry_points.Unavailable)
    assert "Error" in found.reason


def test_other_names_are_no_methods() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'tensorf'"):
        entry_points.tensorf  # noqa: B018


def test_registered_names_lead_to_their_methods() -> None:
    text = PROJECT.read_text().partition('[project.entry-points."nerfstudio.method_configs"]')[2]
    lines = [line for line in text.partition("\n\n")[0].splitlines() if line]
    assert len(lines) == 6
    for line in lines:
        name, target = line.split(" = ")
        module, attribute = target.strip('"').split(":")
        assert module == entry_points.__name__
        assert attribute.replace("_", "-") == name
