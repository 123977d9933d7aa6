import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.igae_data import SIZE, write_scenes
from helpers.photo_files import write_photos
from latentfields.autoencoders.image_data import centre_square, photo_paths, read_photo
from latentfields.errors import InputError
from latentfields.igae.image_cache import CachedViews, _cached, cache_photos, cache_scenes
from latentfields.scenes import load_scene
from latentfields.scenes.visual_hull import visual_hull_cells

WHITE = (1.0, 1.0, 1.0)


def test_views_are_those_of_the_scenes(data: Path, tmp_path: Path) -> None:
    views = cache_scenes([data / "scenes"], size=SIZE, background=WHITE, grid_resolution=8, cache=tmp_path)
    assert views.names == ("mug-0", "mug-1", "mug-2")
    assert [len(indices) for indices in views.train] == [6, 6, 6]
    scene = load_scene(data / "scenes" / "mug-1")
    train, test = scene.indices("train"), scene.indices("test")
    torch.testing.assert_close(views.images(views.train[1]), scene.images(train), atol=0.5 / 255, rtol=0)
    torch.testing.assert_close(views.images(views.held_out[1]), scene.images(test), atol=0.5 / 255, rtol=0)
    cached = views.cameras[views.train[1]]
    torch.testing.assert_close(cached.camera_to_world, scene.cameras[train].camera_to_world)
    torch.testing.assert_close(cached.focal, scene.cameras[train].focal)
    assert (views.near[1], views.far[1]) == (scene.near, scene.far)
    assert isinstance(views.pixels, np.memmap)
    assert scene.alpha is not None
    hull = visual_hull_cells(scene.cameras, scene.alpha, views=train, resolution=8)
    assert torch.equal(views.hulls[1], hull)
    assert 0 < int(hull.sum()) < 8**3


def test_validation_views_are_there_where_they_are_asked_for(tmp_path: Path) -> None:
    """And change neither the other views nor the cache without them, which earlier versions wrote."""
    scenes = write_scenes(tmp_path / "scenes", count=2, val_fraction=0.25)

    def views(*, with_validation: bool) -> CachedViews:
        return cache_scenes(
            [scenes],
            size=SIZE,
            background=WHITE,
            grid_resolution=8,
            cache=tmp_path / "cache",
            with_validation=with_validation,
        )

    plain, validated = views(with_validation=False), views(with_validation=True)
    assert len([*(tmp_path / "cache").iterdir()]) == 2
    assert [len(part) for part in plain.validation] == [0, 0]
    scene = load_scene(scenes / "mug-1")
    expected = scene.images(scene.indices("val"))
    assert len(expected) == 2
    torch.testing.assert_close(validated.images(validated.validation[1]), expected, atol=0.5 / 255, rtol=0)
    for of in ("train", "held_out"):
        for a, b in zip(getattr(plain, of), getattr(validated, of), strict=True):
            assert torch.equal(plain.images(a), validated.images(b))


def test_views_are_resized_with_their_cameras(data: Path, tmp_path: Path) -> None:
    views = cache_scenes(
        [data / "scenes"], size=SIZE // 2, background=WHITE, grid_resolution=8, cache=tmp_path
    )
    assert views.images(views.train[0]).shape == (6, 3, SIZE // 2, SIZE // 2)
    scene = load_scene(data / "scenes" / "mug-0")
    assert float(views.cameras.focal[0, 0]) == pytest.approx(float(scene.cameras.focal[0, 0]) / 2)


def test_a_cache_is_built_once_and_again_when_data_change(tmp_path: Path) -> None:
    scenes = write_scenes(tmp_path / "scenes", count=1)

    def built() -> dict[str, int]:
        cache_scenes([scenes], size=SIZE, background=WHITE, grid_resolution=8, cache=tmp_path / "cache")
        return {path.name: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()}

    first = built()
    assert built() == first
    shutil.copytree(scenes / "mug-0", scenes / "mug-1")
    assert len(built()) == 2


def test_an_interrupted_build_leaves_nothing_that_looks_finished(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("latentfields.igae.image_cache.write_json", fail)
        with pytest.raises(KeyboardInterrupt):
            cache_scenes([data / "scenes"], size=SIZE, background=WHITE, grid_resolution=8, cache=tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert (
        len(cache_scenes([data / "scenes"], size=SIZE, background=WHITE, grid_resolution=8, cache=tmp_path))
        == 3
    )


def test_photos_are_split_and_keep_their_pixels(tmp_path: Path) -> None:
    write_photos(tmp_path / "photos", count=17)
    photos = cache_photos([tmp_path / "photos"], size=SIZE, cache=tmp_path / "cache")
    assert len(photos.train.photos) == 15
    assert photos.held_out.shape == (2, 3, SIZE, SIZE)
    shown = {photo.tobytes() for photo in photos.train.photos}
    assert len(shown) == 15
    # The first and the last are held out: none of them is trained on.
    files = [read_photo(path) for path in photo_paths((tmp_path / "photos",))]
    assert shown == {photo.tobytes() for photo in files[1:-1]}
    squares = torch.stack([centre_square(photo, size=SIZE) for photo in (files[0], files[-1])])
    assert torch.equal(photos.held_out, squares)


@pytest.mark.parametrize(("count", "held_out"), [(2, 1), (15, 1), (16, 2), (63, 7), (80, 8)])
def test_an_eighth_of_the_photos_is_held_out_but_not_more_than_eight(
    tmp_path: Path, count: int, held_out: int
) -> None:
    write_photos(tmp_path / "photos", count=count)
    photos = cache_photos([tmp_path / "photos"], size=SIZE, cache=tmp_path / "cache")
    assert (len(photos.train.photos), len(photos.held_out)) == (count - held_out, held_out)


def test_large_photos_are_shrunk_and_small_ones_left_out(tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "photos").mkdir()
    for name, size in (("large", (300, 200)), ("fits", (40, 33)), ("small", (40, 31))):
        Image.new("RGB", size, (10, 200, 30)).save(tmp_path / "photos" / f"{name}.png")
    photos = cache_photos([tmp_path / "photos"], size=SIZE, cache=tmp_path / "cache")
    kept = [photo.shape for photo in photos.train.photos]
    assert len(kept) == 1
    assert {*kept, (33, 40, 3)} == {(33, 40, 3), *kept}
    assert all(min(shape[:2]) <= 2 * SIZE for shape in kept)


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_photos_are_refused(tmp_path: Path, count: int) -> None:
    write_photos(tmp_path / "photos", count=count)
    with pytest.raises(InputError, match="photos"):
        cache_photos([tmp_path / "photos"], size=SIZE, cache=tmp_path / "cache")


def test_a_folder_without_scenes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no scenes here"):
        cache_scenes(
            [tmp_path / "empty"], size=SIZE, background=WHITE, grid_resolution=8, cache=tmp_path / "cache"
        )


def test_two_runs_may_fill_a_shared_cache_at_the_same_time(tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "images"

    def write_first(out: Path) -> None:
        (out / "file").write_text("first")

    def write(out: Path) -> None:
        if not folder.is_dir():  # The other run writes and finishes while this one is writing.
            _cached(folder, write_first)
        (out / "file").write_text("second")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.getpid", iter([1, 2]).__next__)
        assert _cached(folder, write) == folder
    assert (folder / "file").read_text() == "first"
    assert [path.name for path in folder.parent.iterdir()] == ["images"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("scenes.json", b"[]"),
        ("scenes.json", b'{"size": 8, "scenes": [{"name": "a", "near": 1, "far": "2", "views": [1, 1]}]}'),
        ("scenes.json", b'{"size": 8, "scenes": [{"name": "a", "near": 1, "far": 2, "views": [-1, 1]}]}'),
        (
            "scenes.json",
            b'{"size": 1000000, "scenes": [{"name": "a", "near": 1, "far": 2, "views": [9, 9]}]}',
        ),
        ("scenes.safetensors", b"no tensors"),
        ("views.u8", b"\0" * 7),
        ("views.u8", b""),
        ("photos.json", b'{"shapes": [[16, 17]]}'),
        ("photos.json", b'{"shapes": [16, 17]}'),
        ("photos.json", b'{"shapes": [[4, 4], [4, 4]]}'),
        ("photos.u8", b"\0" * 7),
    ],
)
def test_a_damaged_cache_is_named(tmp_path: Path, file: str, damage: bytes) -> None:
    stored, cache = Path(__file__).parents[1] / "stored", tmp_path / "cache"

    def read() -> None:
        cache_scenes([stored / "scenes" / "sphere"], size=8, background=WHITE, grid_resolution=4, cache=cache)
        cache_photos([stored / "photos"], size=8, cache=cache)

    read()
    (path,) = cache.rglob(file)
    path.write_bytes(damage)
    with pytest.raises(
        InputError, match=rf"{path.parent.name}: is no complete cache of decoded images .*; delete it"
    ):
        read()
