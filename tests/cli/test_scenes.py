import dataclasses
import json as json_format
import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import pytest
import torch
import trimesh
import tyro

from latentfields.cli.scenes import Capture, Generate, Render
from latentfields.errors import InputError
from latentfields.scenes.load import load_scene, scene_folders_below
from latentfields.structure_from_motion import capture as structure_from_motion
from latentfields.structure_from_motion.capture import CaptureSummary
from latentfields.structure_from_motion.config import CaptureConfig
from latentfields.structure_from_motion.diagnosis import Lost

TRIANGLES = "v 0 0 0\nv 1 0 0\nv 0 2 0\nv 0 0 1\nf 1 2 3\nf 1 2 4\n"
SMALL = ("--views", 4, "--size", 32, "--samples", 1)
Commands = (
    Annotated[Capture, tyro.conf.subcommand("capture")]
    | Annotated[Render, tyro.conf.subcommand("render")]
    | Annotated[Generate, tyro.conf.subcommand("generate")]
)


def parse(*arguments: object) -> Any:
    return tyro.cli(Commands, args=[str(argument) for argument in arguments])


@pytest.fixture
def mesh(tmp_path: Path) -> Path:
    path = tmp_path / "shape.obj"
    path.write_text(TRIANGLES)
    return path


def test_render_makes_a_scene(tmp_path: Path, mesh: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "out"
    parse("render", mesh, "--out", folder, *SMALL).run()
    scene = load_scene(folder)
    assert scene.size == (32, 32)
    assert {name: len(index) for name, index in scene.splits.items()} == {"train": 3, "val": 0, "test": 1}
    said = capsys.readouterr()
    assert said.out == f"{folder}\n"
    assert "shape: 100%" in said.err
    assert re.search(r"4/4 .*covers \d+% of the frame", said.err)


def test_thin_objects_are_named_with_what_helps(
    tmp_path: Path, mesh: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stick = tmp_path / "stick.glb"
    trimesh.creation.box(extents=(0.05, 2, 0.05)).export(stick)
    parse("render", stick, "--out", tmp_path / "stick-scene", *SMALL).run()
    (line,) = [record.getMessage() for record in caplog.records]
    assert re.fullmatch(
        r"stick covers [1-9]% of the frame, as it is thin: .* larger than 32 pixels \(--size\).*", line
    )
    caplog.clear()
    parse("render", mesh, "--out", tmp_path / "scene", *SMALL).run()
    assert not caplog.records


def test_what_is_no_mesh_is_said_before_there_is_a_bar(
    tmp_path: Path, mesh: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for wrong, problem in (
        (tmp_path / "gone.glb", "no such file"),
        (tmp_path, "expected a mesh file ending in"),
    ):
        with pytest.raises(InputError, match=problem):
            parse("render", mesh, wrong, "--out", tmp_path / "out", *SMALL).run()
    assert capsys.readouterr().err == ""
    assert not (tmp_path / "out").exists()


def test_a_single_scene_is_out_itself(tmp_path: Path, mesh: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, arguments in enumerate((("render", mesh), ("generate", "rocks", "--seed", 3))):
        out = tmp_path / "data" / str(number)
        parse(*arguments, "--out", out, *SMALL).run()
        assert load_scene(out).size == (32, 32)
        assert capsys.readouterr().out == f"{out}\n"


def test_scenes_are_not_written_into_another_one(tmp_path: Path, mesh: Path) -> None:
    scene = tmp_path / "data"
    parse("render", mesh, "--out", scene, *SMALL).run()
    with pytest.raises(InputError, match="data: is a scene itself; expected a folder for rocks-0000"):
        parse("generate", "rocks", "--count", 2, "--out", scene, "--overwrite", *SMALL).run()


def test_a_single_scene_does_not_replace_a_folder_of_scenes(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    parse("generate", "rocks", "--count", 2, "--out", folder, *SMALL).run()
    with pytest.raises(InputError, match="data: holds 'rocks-0000', which is no part of a rendered scene"):
        parse("generate", "rocks", "--out", folder, "--overwrite", *SMALL).run()
    assert load_scene(folder / "rocks-0001").size == (32, 32)


def test_several_meshes_get_a_folder_each(
    tmp_path: Path, mesh: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.obj"
    other.write_text(TRIANGLES)
    out = tmp_path / "out"
    parse("render", mesh, other, "--out", out, *SMALL).run()
    assert sorted(path.name for path in out.iterdir()) == ["other", "shape"]
    assert capsys.readouterr().out.splitlines() == [str(out / "shape"), str(out / "other")]


def test_meshes_of_one_name_are_refused(tmp_path: Path, mesh: Path) -> None:
    (tmp_path / "b").mkdir()
    twin = tmp_path / "b" / "shape.obj"
    twin.write_text(TRIANGLES)
    with pytest.raises(InputError, match="shape: two mesh files of this name"):
        parse("render", mesh, twin, "--out", tmp_path / "out").run()


def test_render_needs_a_mesh(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one mesh file"):
        parse("render", "--out", tmp_path / "out").run()


def test_generate_makes_repeatable_scenes(tmp_path: Path) -> None:
    command = parse(
        "generate", "rocks", "--count", 2, "--seed", 3, "--views", 4, "--size", 32, "--out", tmp_path / "a"
    )
    command.run()
    replace(command, out=tmp_path / "b").run()
    names = ["rocks-0003", "rocks-0004"]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == names
    pictures = [
        [(tmp_path / run / name / "train" / "r_0.png").read_bytes() for name in names] for run in "ab"
    ]
    assert pictures[0] == pictures[1]
    assert pictures[0][0] != pictures[0][1]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["sofas"], "sofas: unknown family"),
        (["vases", "--count", "0"], "count: is 0; expected at least 1"),
        (["vases", "--seed", "-1"], "seed: is -1; expected at least 0"),
        (["vases", "--views", "1"], "views: is 1; expected 2 to 100000"),
    ],
)
def test_bad_requests(tmp_path: Path, arguments: list[str], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        parse("generate", *arguments, "--out", tmp_path / "out").run()
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_scenes_are_spread_over_shards(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parse("generate", "vases", "--count", 3, "--out", tmp_path / "folders", *SMALL).run()
    capsys.readouterr()
    command = ("generate", "vases", "--count", 3, "--out", tmp_path / "shards", "--shards", 2, *SMALL)
    parse(*command).run()
    paths = [tmp_path / "shards" / f"shard-0000{number}.tar" for number in range(2)]
    assert capsys.readouterr().out.split() == list(map(str, paths))
    assert [path.name for path in scene_folders_below(paths[0])] == ["vases-0000"]
    assert [path.name for path in scene_folders_below(paths[1])] == ["vases-0001", "vases-0002"]
    for path in scene_folders_below(tmp_path / "shards"):
        folder = load_scene(tmp_path / "folders" / path.name)
        assert torch.equal(load_scene(path).pixels, folder.pixels), path.name
    first = paths[0].read_bytes()
    with pytest.raises(InputError, match=r"shard-00000\.tar: exists already; .* replace it by `overwrite`"):
        parse(*command).run()
    parse(*command, "--overwrite").run()
    assert paths[0].read_bytes() == first
    assert not [path for path in (tmp_path / "shards").iterdir() if path.name.startswith(".")]


def test_there_are_at_most_as_many_shards_as_scenes(tmp_path: Path, mesh: Path) -> None:
    with pytest.raises(InputError, match="shards: is 2; expected 1 to 1"):
        parse("render", mesh, "--out", tmp_path / "x", "--shards", 2, *SMALL).run()
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("json", [False, True])
def test_capture_says_what_was_found_and_what_was_lost(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    json: bool,
) -> None:
    """The folder alone on stdout, or everything as JSON; the command says how it was called."""
    asked: dict[str, Any] = {}
    found = CaptureSummary(
        photographs=3,
        registered=("a.jpg", "b.jpg"),
        lost=(Lost("c.jpg", "blurred: 9% of the usual sharpness"),),
        points=70,
        reprojection_error=0.5,
        cameras=1,
        matching="exhaustive",
        seconds=2.0,
    )

    def capture(photos: Path, **options: Any) -> CaptureSummary:
        asked.update(options, photos=photos)
        return found

    monkeypatch.setattr(structure_from_motion, "capture", capture)
    flags = ("--lens", "opencv", "--overlap", 4, "--threads", 2, *(("--json",) if json else ()))
    with caplog.at_level("INFO"):
        parse("capture", tmp_path, "--out", tmp_path / "scene", *flags).run()
    assert asked["options"] == CaptureConfig(lens="opencv", overlap=4)
    assert (asked["photos"], asked["out"], asked["threads"]) == (tmp_path, tmp_path / "scene", 2)
    said = capsys.readouterr().out
    if json:
        assert json_format.loads(said) == json_format.loads(json_format.dumps(dataclasses.asdict(found)))
    else:
        assert said == f"{tmp_path / 'scene'}\n"
    assert "c.jpg has no pose: blurred: 9% of the usual sharpness" in caplog.text
    assert "2 of 3 registered, reprojection error 0.50 pixels, 70 points" in caplog.text
    assert "capture.html, then fit it: latentfields fit " in caplog.text


def test_capture_needs_a_thread(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="threads: is 0; expected at least 1"):
        parse("capture", tmp_path, "--out", tmp_path / "scene", "--threads", 0).run()
