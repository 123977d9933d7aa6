from pathlib import Path

import pytest

from latentfields.errors import InputError
from latentfields.scenes.load import load_scene
from latentfields.scenes.plain_pictures import is_film, picture_folder, pictures_in


def test_pictures_lie_in_the_folder_or_in_its_images(tmp_path: Path) -> None:
    assert picture_folder(tmp_path) is None
    (tmp_path / "b.JPG").touch()
    (tmp_path / "a.png").touch()
    (tmp_path / "a.txt").touch()
    assert pictures_in(tmp_path) == ["a.png", "b.JPG"]
    assert picture_folder(tmp_path) == tmp_path
    (tmp_path / "images").mkdir()
    assert picture_folder(tmp_path) == tmp_path
    (tmp_path / "images" / "c.webp").touch()
    assert picture_folder(tmp_path) == tmp_path / "images"


def test_films_are_known_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "film.MOV").touch()
    (tmp_path / "film.txt").touch()
    (tmp_path / "folder.mp4").mkdir()
    assert [is_film(tmp_path / name) for name in ("film.MOV", "film.txt", "folder.mp4", "none.mp4")] == [
        True,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize("name", ["my photos", "film.mp4"])
def test_pictures_without_poses_are_told_what_finds_them(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith(".mp4"):
        path.touch()
    else:
        path.mkdir()
        (path / "a.jpg").touch()
    kind = "is a film" if name.endswith(".mp4") else "holds photographs"
    with pytest.raises(InputError) as caught:
        load_scene(path)
    quoted = f"'{path}'" if " " in name else str(path)
    out = "'my photos-scene'" if " " in name else "film-scene"
    assert caught.value.problem == (
        f"{kind} without poses; find them first, and make a scene: "
        f"latentfields scenes capture {quoted} --out {out}"
    )
