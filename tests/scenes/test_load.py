"""What all formats share: the same views read from each of them, options, and pictures of every kind."""

import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.scene_files import (
    CENTER,
    RADIUS,
    SphereViews,
    edit_json,
    intrinsics,
    ring_cameras,
    save_picture,
    sphere_points,
    sphere_views,
    write_blender,
    write_colmap_binary,
    write_colmap_text,
    write_igae,
    write_nerfstudio,
)
from latentfields.errors import InputError
from latentfields.scenes import Scene, load_scene
from latentfields.scenes.normalise import MARGIN

PARTS = {"train": slice(0, 8), "val": slice(8, 10), "test": slice(10, 12)}


def square_views() -> SphereViews:
    """Views that NeRF-synthetic files can describe: square pixels, centred principal point."""
    cameras = ring_cameras()
    return sphere_views(
        replace(
            cameras,
            focal=cameras.focal[:, :1].repeat(1, 2),
            principal=torch.tensor([[24.0, 20.0]], dtype=torch.float64).repeat(12, 1),
        )
    )


def written(folder: Path, format: str, views: SphereViews) -> Path:
    match format:
        case "blender":
            return write_blender(folder, views, parts=PARTS)
        case "igae":
            return write_igae(folder, views)
        case "nerfstudio":
            return write_nerfstudio(folder, views)
        case "colmap-binary":
            return write_colmap_binary(folder, views, sphere_points())
    return write_colmap_text(folder, views, sphere_points())


@pytest.mark.parametrize("format", ["blender", "igae", "nerfstudio", "colmap-binary", "colmap-text"])
def test_every_format_gives_the_views_that_were_written(tmp_path: Path, format: str) -> None:
    views = square_views()
    scene = load_scene(written(tmp_path / "ball", format, views))
    assert scene.name == "ball"
    assert scene.image_names == views.names
    rgba = torch.from_numpy(views.rgba).permute(0, 3, 1, 2)
    assert torch.equal(scene.pixels, rgba[:, :3])
    assert scene.alpha is not None
    assert torch.equal(scene.alpha, rgba[:, 3:])
    expected = views.cameras.transformed(scene.world_to_scene).to(torch.float32)
    torch.testing.assert_close(scene.cameras.camera_to_world, expected.camera_to_world, atol=1e-5, rtol=0)
    torch.testing.assert_close(scene.cameras.focal, expected.focal)
    torch.testing.assert_close(scene.cameras.principal, expected.principal)
    middle = scene.world_to_scene.float() @ torch.tensor([*CENTER, 1.0])
    assert float(middle[:3].abs().max()) < 0.05
    assert 1 / 1.3 < float(scene.world_to_scene[0, 0]) * RADIUS * MARGIN < 1
    assert 0 < scene.near < scene.far


@pytest.mark.parametrize("format", ["nerfstudio", "colmap-binary"])
def test_every_eighth_view_by_name_is_a_test_view(tmp_path: Path, format: str) -> None:
    scene = load_scene(written(tmp_path, format, square_views()))
    assert scene.indices("test").tolist() == [0, 8]
    assert scene.indices("train").tolist() == [1, 2, 3, 4, 5, 6, 7, 9, 10, 11]
    assert len(scene.splits["val"]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("format", ["igae", "nerfstudio", "colmap-binary", "colmap-text", "blender"])
def test_missing_pictures_move_no_others_to_another_split(tmp_path: Path, format: str) -> None:
    views = square_views()
    lone = {"train": slice(0, 12)}
    if format == "blender":
        write_blender(tmp_path, views, parts=lone)
    else:
        written(tmp_path, format, views)
    before = load_scene(tmp_path)
    tests = [before.image_names[index] for index in before.indices("test").tolist()]
    gone = [views.names[index] for index in (1, 2, 5, 8)]
    for name in gone:
        (tmp_path / name).unlink()
    with pytest.warns(UserWarning, match="4 of 12 pictures are missing"):
        after = load_scene(tmp_path)
    assert [after.image_names[index] for index in after.indices("test").tolist()] == [
        name for name in tests if name not in gone
    ]
    (tmp_path / views.names[0]).unlink()
    warnings.filterwarnings("ignore", ".*pictures are missing and left out")
    with pytest.warns(
        UserWarning, match=r"(eighth picture|tenth of the frames) is .* all of those are missing; the first"
    ):
        assert load_scene(tmp_path).indices("test").tolist() == [0]


def test_a_picture_that_is_listed_twice_is_in_one_split(tmp_path: Path) -> None:
    write_nerfstudio(tmp_path, square_views())
    file = tmp_path / "transforms.json"
    value = json.loads(file.read_text())
    value["frames"] += [dict(value["frames"][index]) for index in (0, 8, 3)]
    file.write_text(json.dumps(value))
    scene = load_scene(tmp_path)
    names = {
        split: {scene.image_names[index] for index in scene.indices(split).tolist()}
        for split in ("train", "test")
    }
    assert not names["train"] & names["test"]
    assert len(names["test"]) == 2


def test_the_protocol_for_llff_holds_for_data_sets_with_splits_of_their_own(tmp_path: Path) -> None:
    """Every eighth by name, though blender's folder names splits: r_0, r_1, r_10, r_11, ... of three folders."""
    folder = write_blender(tmp_path, square_views(), parts=PARTS)
    scene = load_scene(folder, split="llff")
    by_name = sorted(range(len(scene)), key=lambda index: scene.image_names[index])
    assert scene.indices("test").tolist() == by_name[::8]
    assert scene.indices("train").tolist() == [view for view in by_name if view not in by_name[::8]]
    assert scene.reading.split == "llff"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*pictures are missing")
def test_the_protocol_for_llff_counts_pictures_that_are_missing(tmp_path: Path) -> None:
    """None moves to another split because another one is gone."""
    folder = write_blender(tmp_path, square_views(), parts=PARTS)
    whole = load_scene(folder, split="llff")
    tests = {whole.image_names[index] for index in whole.indices("test").tolist()}
    by_name = sorted(whole.image_names)
    for gone in (by_name[1], by_name[0]):
        (folder / gone).unlink()
        scene = load_scene(folder, split="llff")
        tests -= {gone}
        assert {scene.image_names[index] for index in scene.indices("test").tolist()} == tests


@pytest.mark.parametrize(("count", "expected"), [(3, [1, 5, 11]), (2, [1, 11]), (1, [1]), (10, None)])
def test_few_training_views_are_evenly_spread(tmp_path: Path, count: int, expected: list[int] | None) -> None:
    """Of 1 to 7 and 9 to 11; first and last are among them."""
    folder = written(tmp_path, "colmap-binary", square_views())
    scene = load_scene(folder, train_views=count)
    assert scene.indices("train").tolist() == (expected or [1, 2, 3, 4, 5, 6, 7, 9, 10, 11])
    assert scene.indices("test").tolist() == [0, 8]
    assert scene.reading.train_views == count


@pytest.mark.parametrize("count", [0, 11])
def test_as_many_training_views_have_to_be_there(tmp_path: Path, count: int) -> None:
    folder = written(tmp_path, "colmap-binary", square_views())
    with pytest.raises(InputError, match=f"train_views: is {count}; expected 1 to 10, the training views"):
        load_scene(folder, train_views=count)


@pytest.mark.slow
def test_formats_are_recognised_in_a_stated_order(tmp_path: Path) -> None:
    views = square_views()
    write_colmap_binary(tmp_path, views, sphere_points())
    assert load_scene(tmp_path).points is not None
    write_nerfstudio(tmp_path, views)
    # transforms.json lists none; those of the model beside are read, too, unless they are not asked for.
    assert load_scene(tmp_path, points="listed").points is None
    assert load_scene(tmp_path).points is not None
    write_igae(tmp_path, views)
    assert load_scene(tmp_path).indices("test").tolist() == [0]
    write_blender(tmp_path, views, parts=PARTS)
    assert load_scene(tmp_path).indices("val").tolist() == [8, 9]
    assert load_scene(tmp_path, format="colmap").points is not None
    assert load_scene(tmp_path, format="nerfstudio").indices("test").tolist() == [0, 8]


def test_pictures_of_kinds_that_are_not_read_are_named(tmp_path: Path) -> None:
    for name in ("b.HEIC", "a.HEIC"):
        (tmp_path / name).touch()
    with pytest.raises(
        InputError, match=r"is not a scene; .*; 2 files such as a\.HEIC are of .*: convert them to JPEG"
    ):
        load_scene(tmp_path)


def test_what_is_not_a_scene(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere: there is no such folder"):
        load_scene(tmp_path / "nowhere")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match=r"notes\.txt: is a file; expected a scene's folder"):
        load_scene(tmp_path / "notes.txt")
    with pytest.raises(
        InputError, match=r"looked for transforms_train\.json, transforms_opencv\.json, trans.*sparse/0"
    ):
        load_scene(tmp_path)
    with pytest.raises(
        InputError, match="format: is 'obj'; expected auto, blender, igae, nerfstudio, colmap"
    ):
        load_scene(tmp_path, format="obj")
    with pytest.raises(InputError, match="has no sparse model"):
        load_scene(tmp_path, format="colmap")
    with pytest.raises(InputError, match=r"transforms_train\.json: cannot be read"):
        load_scene(tmp_path, format="blender")


def test_options_are_checked(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="max_size: is 0; expected at least 1"):
        load_scene(tmp_path, max_size=0)
    with pytest.raises(
        InputError, match=r"background: is \(0.0, 255.0, 0.0\); expected three numbers from 0 to 1"
    ):
        load_scene(tmp_path, background=(0.0, 255.0, 0.0))
    with pytest.raises(InputError, match="split: is 'own8'; expected own, llff"):
        load_scene(tmp_path, split="own8")  # type: ignore[arg-type]


def test_max_size_shrinks_pictures_and_cameras_alike(tmp_path: Path) -> None:
    folder = write_nerfstudio(tmp_path, sphere_views())
    scene, small = load_scene(folder), load_scene(folder, max_size=18)
    assert small.size == (15, 18)
    assert small.pixels.shape == (12, 3, 15, 18)
    expected = scene.cameras.resized(width=18, height=15)
    torch.testing.assert_close(small.cameras.focal, expected.focal)
    torch.testing.assert_close(small.cameras.principal, expected.principal)
    torch.testing.assert_close(small.pixels, scene.resized(width=18, height=15).pixels)
    assert load_scene(folder, max_size=500).size == scene.size


def test_background_is_white_unless_asked_for(tmp_path: Path) -> None:
    folder = write_nerfstudio(tmp_path, sphere_views())
    assert load_scene(folder).images(torch.tensor([0]))[0, :, 0, 0].tolist() == [1, 1, 1]
    black = load_scene(folder, background=(0.0, 0.0, 0.0))
    assert black.images(torch.tensor([0]))[0, :, 0, 0].tolist() == [0, 0, 0]


def test_opaque_pictures_have_no_alpha(tmp_path: Path) -> None:
    views = sphere_views()
    views.rgba[..., 3] = 255
    assert load_scene(write_nerfstudio(tmp_path, views)).alpha is None


def test_a_picture_of_another_size_is_brought_to_the_others(tmp_path: Path) -> None:
    """Half as large, with the intrinsics of that size: it decides, and the others are shrunk."""
    views = sphere_views()
    folder = write_nerfstudio(tmp_path, views)
    half = Image.fromarray(views.rgba[0]).resize((24, 20), Image.Resampling.BOX)
    save_picture(folder / "images" / "view_00.png", np.asarray(half))
    lens = {name: value / 2 for name, value in intrinsics(views.cameras, 0).items()}
    edit_json(folder / "transforms.json", **{f"frame_{name}": value for name, value in lens.items()})
    with pytest.warns(UserWarning, match=r"2 sizes; all are brought to one, 24x20, that of the smallest"):
        scene = load_scene(folder)
    assert scene.size == (20, 24)
    torch.testing.assert_close(scene.cameras.focal, views.cameras.focal.float() / 2)
    assert np.array_equal(scene.pixels[0].permute(1, 2, 0).numpy(), np.asarray(half)[..., :3])


def test_a_scene_that_cannot_fit_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_nerfstudio(tmp_path, sphere_views())
    monkeypatch.setattr("latentfields.scenes.readers.decoding.MAX_SCENE_BYTES", 10_000)
    with pytest.raises(InputError, match=r"12 images of 48x40 need .* ask for a smaller max_size"):
        load_scene(folder)
    assert load_scene(folder, max_size=8).size == (7, 8)


def masked(folder: Path, *, suffix: str) -> tuple[Path, SphereViews]:
    """Opaque pictures with their silhouettes in masks/."""
    views = sphere_views()
    silhouettes = views.rgba[..., 3].copy()
    views.rgba[..., 3] = 255
    for name, silhouette in zip(views.names, silhouettes, strict=True):
        save_picture(
            folder / "masks" / (name.removeprefix("images/").removesuffix(".png") + suffix), silhouette
        )
    return folder, views


@pytest.mark.parametrize("suffix", [".png", ".png.png"])
def test_masks_beside_the_images(tmp_path: Path, suffix: str) -> None:
    folder, views = masked(tmp_path, suffix=suffix)
    scene = load_scene(write_colmap_binary(folder, views, sphere_points()))
    assert scene.alpha is not None
    assert np.array_equal(scene.alpha[:, 0].numpy(), sphere_views().rgba[..., 3])
    assert load_scene(folder, masks="none").alpha is None


@pytest.mark.parametrize("name", ["masks", "mask"])
@pytest.mark.parametrize("ending", [".JPG", "_mask.png", ".PNG", ".tif", ".webp"])
def test_masks_of_other_kinds_and_names(tmp_path: Path, name: str, ending: str) -> None:
    folder, views = masked(tmp_path, suffix=".png")
    write_nerfstudio(folder, views)
    (folder / "masks").rename(folder / "found")
    (folder / name).mkdir()
    for mask in (folder / "found").iterdir():
        Image.open(mask).save(folder / name / f"{mask.stem}{ending}", quality=90, lossless=True)
    alpha, expected = load_scene(folder).alpha, sphere_views().rgba[..., 3]
    assert alpha is not None
    found = alpha[:, 0].numpy()
    lossy = ending == ".JPG"
    assert np.abs(found.astype(int) - expected).mean() < (1.5 if lossy else 0.01)
    # What is empty, or full, is so exactly.
    for value in (0, 255):
        assert (found == value).mean() > (0.95 if lossy else 0.999) * (expected == value).mean()


def test_pictures_without_alpha_among_others_are_said(tmp_path: Path) -> None:
    folder = written(tmp_path, "blender", square_views())
    name = square_views().names[3]
    Image.open(folder / name).convert("RGB").save(folder / name)
    with pytest.warns(UserWarning, match=f"1 of its 12 pictures have no alpha.*as opaque, the first: {name}"):
        load_scene(folder)


def test_masks_must_cover_every_image_and_fit(tmp_path: Path) -> None:
    folder, views = masked(tmp_path, suffix=".png")
    write_nerfstudio(folder, views)
    save_picture(folder / "masks" / "view_03.png", np.zeros((4, 5), np.uint8))
    with pytest.raises(InputError, match=r"view_03\.png: is 5x4, but images/view_03\.png is 48x40"):
        load_scene(folder)
    (folder / "masks" / "view_03.png").unlink()
    with pytest.raises(
        InputError, match=r"masks: has no mask for images/view_03\.png; expected view_03\.png"
    ):
        load_scene(folder)


def test_truncated_picture_is_named(tmp_path: Path) -> None:
    folder = write_nerfstudio(tmp_path, sphere_views())
    file = folder / "images" / "view_05.png"
    file.write_bytes(file.read_bytes()[:-60])
    with pytest.raises(InputError, match=r"view_05\.png: cannot be read as a picture"):
        load_scene(folder)


def test_odd_metadata_does_not_warn(tmp_path: Path) -> None:
    folder = write_nerfstudio(tmp_path, sphere_views())
    palette = Image.fromarray(sphere_views().rgba[0, :, :, 0]).convert("P")
    palette.save(folder / "images" / "view_00.png", transparency=b"\x00\x80")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scene = load_scene(folder, masks="none")
    assert isinstance(scene, Scene)


def blob_picture(cameras_size: tuple[int, int], position: np.ndarray) -> np.ndarray:
    """A Gaussian blob of 2 pixels at (column, row)."""
    width, height = cameras_size
    rows, columns = np.mgrid[:height, :width] + 0.5
    value = 255 * np.exp(-0.125 * ((columns - position[0]) ** 2 + (rows - position[1]) ** 2))
    pixels: np.ndarray = np.repeat(value[:, :, None], 3, axis=2).round().astype(np.uint8)
    return pixels


@pytest.mark.parametrize("k1", [-0.3, 0.25])
@pytest.mark.parametrize("max_size", [None, 48])
def test_undistorted_pictures_agree_with_their_cameras(
    tmp_path: Path, k1: float, max_size: int | None
) -> None:
    """A lens moves the image of a point; after reading, it is where the pinhole projects the point."""
    cameras = ring_cameras(width=96, height=80, focal=60.0)
    point = torch.tensor([CENTER], dtype=torch.float64) + torch.tensor([[0.7, 0.0, 0.6]], dtype=torch.float64)
    ideal = (cameras.project(point)[0][:, 0] - cameras.principal) / cameras.focal
    seen = ideal * (1 + k1 * ideal.square().sum(-1, keepdim=True)) * cameras.focal + cameras.principal
    pictures = np.stack([blob_picture((96, 80), position) for position in seen.numpy()])
    views = replace(sphere_views(cameras), rgba=pictures)
    parameters = [*cameras.focal[0].tolist(), *cameras.principal[0].tolist(), k1, 0.0, 0.0, 0.0]
    folder = write_colmap_binary(tmp_path, views, sphere_points(), model=4, parameters=parameters)
    scene = load_scene(folder, max_size=max_size)
    assert (scene.cameras.width < (max_size or 96)) == (k1 > 0 and max_size is None)
    expected = scene.cameras.project(
        (scene.world_to_scene.float() @ torch.cat([point[0], torch.ones(1)]).float())[None, :3]
    )[0]
    weight = scene.pixels[:, :1].double()
    rows = torch.arange(scene.size[0])[:, None] + 0.5
    columns = torch.arange(scene.size[1])[None] + 0.5
    total = weight.sum((1, 2, 3))
    found = torch.stack([(weight[:, 0] * axis).sum((1, 2)) / total for axis in (columns, rows)], dim=-1)
    shift = (seen - cameras.project(point)[0][:, 0]).norm(dim=-1)
    assert float(shift.max()) > 0.5
    torch.testing.assert_close(found, expected[:, 0].double(), atol=0.12, rtol=0)


def test_bounds_follow_alpha_unless_they_are_asked_for(tmp_path: Path) -> None:
    views = sphere_views()
    folder = write_nerfstudio(tmp_path / "ball", views)
    assert load_scene(folder).bounds == "object"
    asked = load_scene(folder, bounds="scene")
    assert (asked.bounds, asked.reading.bounds) == ("scene", "scene")
    opaque = write_nerfstudio(tmp_path / "opaque", replace(views, rgba=views.rgba[..., :3]))
    assert load_scene(opaque).bounds == "scene"
    bounded = load_scene(opaque, bounds="object")
    assert (bounded.bounds, bounded.far < 1000) == ("object", True)
    with pytest.raises(InputError, match=r"bounds: is 'room'; expected auto, object, scene"):
        load_scene(folder, bounds="room")  # type: ignore[arg-type]
