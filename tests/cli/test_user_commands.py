"""The command line as a user runs it: real processes, exit codes, one-line errors."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import av
import pytest
from PIL import Image

from helpers.commands import latentfields, small_fit
from latentfields.cli.main import main

pytestmark = pytest.mark.slow

SMALL = (*small_fit(supervision=8, alignment=6), "--batch-images", "2")


@pytest.fixture(scope="module")
def run_folder(
    scene_folder: Path, autoencoder_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "sphere"
    done = latentfields("fit", scene_folder, "--autoencoder", autoencoder_folder, "--out", folder, *SMALL)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(folder / "report.html")
    return folder


def test_a_fit_leaves_a_complete_folder(run_folder: Path) -> None:
    for name in (
        "config.json",
        "metrics.json",
        "model.safetensors",
        "decoder/config.json",
        "log.jsonl",
        "orbit.mp4",
        "state/checkpoint.safetensors",
        "report.html",
    ):
        assert (run_folder / name).is_file(), name
    page = (run_folder / "report.html").read_text()
    for words in (
        "Ground truth",
        "Decoded render",
        "Rendered latents",
        "Depth",
        "<span>latentfields</span> <span>fit</span>",
        "LPIPS was not",
    ):
        assert words in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_a_finished_fit_is_not_done_again(
    run_folder: Path, scene_folder: Path, autoencoder_folder: Path
) -> None:
    before = (run_folder / "model.safetensors").stat().st_mtime_ns
    done = latentfields("fit", scene_folder, "--autoencoder", autoencoder_folder, "--out", run_folder, *SMALL)
    assert done.returncode == 0, done.stderr
    assert (run_folder / "model.safetensors").stat().st_mtime_ns == before


def test_evaluate_prints_what_the_run_stored(run_folder: Path) -> None:
    done = latentfields("evaluate", run_folder, "--json")
    assert done.returncode == 0, done.stderr
    stored = json.loads((run_folder / "metrics.json").read_text())["test"]
    assert json.loads(done.stdout) == {group: values["mean"] for group, values in stored.items()}


def test_evaluate_times_views_of_a_size(run_folder: Path) -> None:
    done = latentfields("evaluate", run_folder, "--look", "64", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["looking"]["rendering"] > 0
    done = latentfields("evaluate", run_folder, "--look", "8")
    assert (done.returncode, done.stderr) == (2, "error: --look: is 8; expected 16 to 8192\n")


def test_evaluate_is_told_where_the_autoencoder_is(
    run_folder: Path, autoencoder_folder: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(run_folder, tmp_path / "copy")
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"autoencoder": str(tmp_path / "gone")}))
    done = latentfields("evaluate", copy)
    assert done.returncode == 0, done.stderr
    assert "say with --autoencoder where it is now" in done.stdout
    done = latentfields("evaluate", copy, "--autoencoder", autoencoder_folder, "--json")
    assert done.returncode == 0, done.stderr
    stored = json.loads((run_folder / "metrics.json").read_text())["test"]
    assert json.loads(done.stdout) == {group: values["mean"] for group, values in stored.items()}


def test_render_test_views_and_orbit(run_folder: Path, tmp_path: Path) -> None:
    done = latentfields("render", run_folder, "--out", tmp_path / "png")
    assert done.returncode == 0, done.stderr
    pictures = sorted((tmp_path / "png").glob("*.png"))
    assert len(pictures) == 3
    with Image.open(pictures[0]) as picture:
        assert picture.size == (32, 32)
    film = tmp_path / "orbit.mp4"
    done = latentfields("render", run_folder, "--views", "orbit", "--frames", "6", "--out", film)
    assert done.returncode == 0, done.stderr
    with av.open(str(film)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 6


@pytest.mark.parametrize(
    "command",
    [
        (),
        ("demo",),
        ("scenes",),
        ("scenes", "render"),
        ("scenes", "generate"),
        ("autoencoder",),
        ("autoencoder", "train"),
        ("autoencoder", "evaluate"),
        ("fit",),
        ("evaluate",),
        ("render",),
    ],
)
def test_every_command_explains_itself(command: tuple[str, ...]) -> None:
    done = latentfields(*command, "--help")
    assert done.returncode == 0
    assert "usage: latentfields" in done.stdout
    assert done.stderr == ""


def test_bad_input_is_one_line_and_leaves_nothing(
    scene_folder: Path, run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    cases = {
        ("fit", tmp_path / "nowhere", "--out", out): "nowhere: there is no such folder",
        (
            "fit",
            scene_folder,
            "--autoencoder",
            "unheard-of",
            "--out",
            out,
        ): "no such autoencoder; packaged: 'base', 'base-f2', 'base-f4', 'igae'",
        ("fit", scene_folder, "--out", run_folder): "holds a run with other settings",
        ("fit", scene_folder, "--size", "0", "--out", out): "--size: is 0; expected at least 1",
        ("evaluate", tmp_path): "is not a run",
        ("render", run_folder, "--views", "orbit", "--frames", "0"): "--frames: is 0; expected at least 1",
        ("autoencoder", "evaluate", "base"): "name at least one folder",
        ("autoencoder", "train", "--out", out, "--photos", tmp_path): "no photographs here",
        ("demo", "--family", "dragons", "--out", out): "--family: is 'dragons'",
    }
    for arguments, problem in cases.items():
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        errors = capsys.readouterr().err
        assert stop.value.code == 2, (arguments, errors)
        assert errors.startswith("error: ")
        assert errors.count("\n") == 1, errors
        assert problem in errors
        assert not out.exists()


def test_a_process_says_the_same(tmp_path: Path) -> None:
    arguments = ("fit", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out"))
    command = [sys.executable, "-m", "latentfields", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    again = latentfields(*arguments)
    assert (again.returncode, again.stderr, again.stdout) == (done.returncode, done.stderr, done.stdout)
    assert done.returncode == 2
    assert done.stderr == f"error: {tmp_path / 'nowhere'}: there is no such folder\n"
    assert done.stdout == ""
    assert not (tmp_path / "out").exists()


def test_an_unknown_option_exits_with_2(scene_folder: Path) -> None:
    assert latentfields("fit", scene_folder, "--no-such-option").returncode == 2


def test_importing_the_package_does_not_import_torch() -> None:
    code = "import sys, latentfields, latentfields.cli.main; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_fit_says_how_its_scene_is_read(
    scene_folder: Path, autoencoder_folder: Path, tmp_path: Path
) -> None:
    """Masks that mean what is to be ignored, in a folder of links."""
    folder = tmp_path / "linked"
    for file in [path for path in scene_folder.rglob("*") if path.is_file()]:
        link = folder / file.relative_to(scene_folder)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(file)
    (folder / "masks").mkdir()
    for file in folder.glob("t*/*.png"):
        mask = Image.new("L", (32, 32), 1)
        mask.paste(0, (0, 0, 9, 9))
        mask.save(folder / "masks" / file.name)
    out = tmp_path / "run"
    command = ["fit", folder, "--autoencoder", autoencoder_folder, "--out", out, "--masks", "ignore", *SMALL]
    refused = latentfields(*command)
    assert refused.returncode == 2
    assert "through a link" in refused.stderr
    assert "follow" in refused.stderr
    assert not out.exists()
    done = latentfields(*command, "--follow-links")
    assert done.returncode == 0, done.stderr
    reading = json.loads((out / "config.json").read_text())["reading"]
    assert reading["masks"] == "ignore"
    assert reading["follow_links"] is True
    again = latentfields("evaluate", out, "--autoencoder", autoencoder_folder, "--json")
    assert json.loads(again.stdout)["images"]["psnr"] == pytest.approx(
        json.loads((out / "metrics.json").read_text())["test"]["images"]["mean"]["psnr"]
    )


def test_a_model_of_colmap_is_named(scene_folder: Path, tmp_path: Path) -> None:
    refused = latentfields(
        "fit", scene_folder, "--space", "rgb", "--out", tmp_path / "run", "--model", "none"
    )
    assert refused.returncode == 2
    assert "none: has no sparse model; expected cameras.bin or cameras.txt" in refused.stderr
