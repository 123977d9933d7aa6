"""Exports, completion and output for machines, as a user runs them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import plyfile
import pytest

from helpers.commands import latentfields, small_fit
from latentfields.cli.main import main

SMALL = ("--space", "rgb", *small_fit(supervision=30, alignment=30), "--batch-rays", "512")


@pytest.fixture(autouse=True)
def plain_allocator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATENTFIELDS_MALLOC", "default")


@pytest.fixture(scope="module")
def run_folder(scene_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "sphere"
    done = latentfields("fit", scene_folder, "--out", folder, *SMALL, "--json", "--log-level", "warning")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    stored = json.loads((folder / "metrics.json").read_text())
    assert json.loads(done.stdout) == {
        "run": str(folder),
        "report": str(folder / "report.html"),
        "training_seconds": stored["training_seconds"],
        "test": {"images": stored["test"]["images"]["mean"]},
    }
    return folder


@pytest.fixture(scope="module")
def scene_file(run_folder: Path) -> Path:
    main(["export", "scene", str(run_folder)])
    return run_folder / "exports" / "scene.safetensors"


@pytest.mark.slow
def test_one_file_serves_every_command(
    scene_file: Path, scene_folder: Path, run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = shutil.copy(scene_file, tmp_path / "moved.safetensors")
    for command, file in (
        ("mesh", "mesh.ply"),
        ("points", "points.ply"),
        ("cameras", "cameras/transforms.json"),
    ):
        options = ["--resolution", "24"] if command != "cameras" else []
        main(["export", command, str(moved), "--json", *options])
        result = json.loads(capsys.readouterr().out)
        assert result["file"] == str(tmp_path / "exports" / file)
        assert Path(result["file"]).is_file()
    vertices = plyfile.PlyData.read(tmp_path / "exports" / "mesh.ply")["vertex"]
    main(["export", "mesh", str(moved), "--resolution", "24"])
    line = capsys.readouterr().out
    assert line.startswith(f"{tmp_path / 'exports' / 'mesh.ply'}: vertices {len(vertices)}, triangles ")
    main(["render", str(moved), "--views", "orbit", "--frames", "3", "--out", str(tmp_path / "orbit.gif")])
    assert (tmp_path / "orbit.gif").read_bytes()[:6] == b"GIF89a"
    main(["evaluate", str(moved), "--scene", str(scene_folder), "--json"])
    output = capsys.readouterr().out.splitlines()[-1]
    stored = json.loads((run_folder / "metrics.json").read_text())["test"]
    assert json.loads(output) == {group: values["mean"] for group, values in stored.items()}


@pytest.mark.slow
def test_gaussians_need_no_scene(scene_folder: Path, tmp_path: Path) -> None:
    scene = shutil.copytree(scene_folder, tmp_path / "scene")
    options = ["--field", "gaussians", "--field.initial", "50", "--space", "rgb", "--supervision.steps", "2"]
    main(["fit", str(scene), "--out", str(tmp_path / "run"), *options, "--alignment.steps", "0"])
    shutil.rmtree(scene)
    main(["export", "gaussians", str(tmp_path / "run")])
    assert len(plyfile.PlyData.read(tmp_path / "run" / "exports" / "gaussians.ply")["vertex"]) >= 50


@pytest.mark.slow
def test_hostile_input_is_one_line(
    scene_file: Path, run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "cut.safetensors").write_bytes(scene_file.read_bytes()[:500])
    (tmp_path / "text").write_text("no run")
    (tmp_path / "list").mkdir()
    (tmp_path / "list" / "config.json").write_text("[1, 2]")
    run, blocked = str(run_folder), str(tmp_path / "text" / "below.ply")
    cases = {
        ("export", "mesh", str(tmp_path / "nowhere")): "is not a run",
        ("export", "mesh", str(tmp_path / "empty")): "is not a run",
        ("export", "points", str(tmp_path / "list")): "field 'top level' should be an object",
        ("export", "scene", str(tmp_path / "cut.safetensors")): "not a readable safetensors file",
        ("evaluate", str(tmp_path / "text")): "not a readable safetensors file",
        ("export", "scene", run, "--out", "scene.zip"): "expected a file that ends in .safetensors",
        ("export", "mesh", run, "--scene", str(tmp_path / "nowhere")): "there is no such folder",
        ("export", "points", run, "--out", blocked): "text",
        ("export", "cameras", run, "--out", str(tmp_path / "text")): "expected a folder",
        ("render", run, "--out", "film.avi"): "expected a folder, or a file that ends in .mp4 or .gif",
    }
    for arguments, problem in cases.items():
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        message = capsys.readouterr().err
        assert caught.value.code == 2, (arguments, message)
        assert message.startswith("error: ")
        assert message.count("\n") == 1, message
        assert problem in message


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["completion", shell])
    assert not caught.value.code
    script = capsys.readouterr().out
    assert "finetune-3d" in script
    assert "rgb-vs-latent" in script
    program = shutil.which(shell)
    if program is not None:
        subprocess.run([program, "-n"], input=script, text=True, check=True)


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = f"'{sys.executable}' -m latentfields --help | head -n 1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: latentfields")
    assert done.stderr == ""


@pytest.mark.parametrize(
    "command", [("export",), *(("export", c) for c in ("mesh", "points", "gaussians", "cameras", "scene"))]
)
def test_exports_explain_themselves(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*command, "--help"])
    assert caught.value.code == 0
    assert "usage: latentfields export" in capsys.readouterr().out
