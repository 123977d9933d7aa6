"""Pictures of any size and lens: their pixels agree with the cameras that a scene gives them."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from helpers.room_scene import (
    Photograph,
    color_errors,
    photographed,
    pinhole,
    ring_poses,
    write_room_colmap,
    write_room_nerfstudio,
)
from helpers.scene_files import save_picture, sphere_views, write_nerfstudio
from latentfields.errors import InputError
from latentfields.scenes import load_scene
from latentfields.scenes.readers import decoding
from latentfields.scenes.readers.capture import Distortion, Lens

POSES = ring_poses(4)
LIMIT = 2.0
"""Of 255: rounding and resampling of a smooth picture cost less than 1."""
SHRUNK_LIMIT = 3.5
"""Of 255, in pictures of few pixels: the filter that shrinks is wider than a pixel, and the ball has an edge."""


def photographs(lenses: list[Lens], *, ending: str = "png") -> list[Photograph]:
    return [
        Photograph(pose, lenses[index % len(lenses)], f"images/{index:02d}.{ending}")
        for index, pose in enumerate(POSES)
    ]


def test_sizes_that_differ_by_some_pixels_are_cropped(tmp_path: Path) -> None:
    lenses = [pinhole(96 + i % 3, 72 + (i + 1) % 2, 90 + 0.3 * i) for i in range(4)]
    folder = write_room_colmap(tmp_path, photographs(lenses))
    with pytest.warns(
        UserWarning, match=r"have 4 sizes; all are brought to one, 96x72, which cuts up to 3\.\d% off"
    ):
        scene = load_scene(folder)
    assert scene.size == (72, 96)
    assert max(color_errors(scene)) < LIMIT


@pytest.mark.parametrize("max_size", [None, 40])
def test_landscapes_and_portraits(tmp_path: Path, max_size: int | None) -> None:
    folder = write_room_nerfstudio(tmp_path, photographs([pinhole(96, 72, 90.0), pinhole(72, 96, 90.0)]))
    with pytest.warns(UserWarning, match=r"have 2 sizes; .* cuts up to 25\.0% off \(images/00\.png\)"):
        scene = load_scene(folder, max_size=max_size)
    assert scene.size == ((72, 72) if max_size is None else (40, 40))
    assert max(color_errors(scene)) < (LIMIT if max_size is None else SHRUNK_LIMIT)


@pytest.mark.parametrize("max_size", [None, 32])
def test_much_larger_pictures_are_shrunk(tmp_path: Path, max_size: int | None) -> None:
    folder = write_room_nerfstudio(tmp_path, photographs([pinhole(64, 48, 60.0), pinhole(200, 150, 180.0)]))
    said = (
        pytest.warns(
            UserWarning, match=r"2 sizes; all are brought to one, 64x48, that of the smallest \(images/00"
        )
        if max_size is None
        else nullcontext()
    )
    with said:
        scene = load_scene(folder, max_size=max_size)
    assert scene.size == ((48, 64) if max_size is None else (24, 32))
    assert max(color_errors(scene)) < (LIMIT if max_size is None else SHRUNK_LIMIT)


def test_pictures_shrunk_after_calibration(tmp_path: Path) -> None:
    folder = write_room_colmap(tmp_path, photographs([pinhole(161, 121, 150.0)]))
    for file in (folder / "images").iterdir():
        Image.open(file).resize((80, 60), Image.Resampling.BOX).save(file)
    with pytest.warns(
        UserWarning, match=r"are for 161x121 pixels, pictures have 80x60; intrinsics are scaled"
    ) as said:
        scene = load_scene(folder)
    assert len(said) == 1
    assert scene.size == (60, 80)
    assert max(color_errors(scene)) < LIMIT


def turned(folder: Path, orientation: int) -> None:
    """Store pictures turned, with the EXIF orientation that turns them back."""
    stored = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}[orientation]
    for file in (folder / "images").iterdir():
        image = Image.open(file).transpose(stored)
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        image.save(file, exif=exif, quality=98, subsampling=0)


@pytest.mark.parametrize("orientation", [6, 8])
def test_pictures_turned_by_exif(tmp_path: Path, orientation: int) -> None:
    folder = write_room_colmap(tmp_path, photographs([pinhole(96, 72, 90.0)], ending="jpg"))
    turned(folder, orientation)
    scene = load_scene(folder)
    assert scene.size == (72, 96)
    assert max(color_errors(scene)) < LIMIT + 1  # JPEG's own error.


def test_large_pictures_turned_by_exif(tmp_path: Path) -> None:
    folder = write_room_colmap(tmp_path, photographs([pinhole(384, 288, 360.0)], ending="jpg"))
    turned(folder, 6)
    scene = load_scene(folder, max_size=64)
    assert max(color_errors(scene)) < LIMIT


def test_a_turned_picture_without_the_word_of_exif_is_refused(tmp_path: Path) -> None:
    folder = write_room_colmap(tmp_path, photographs([pinhole(96, 72, 90.0)]))
    file = folder / "images" / "02.png"
    Image.open(file).transpose(Image.Transpose.ROTATE_90).save(file)
    with pytest.raises(
        InputError, match=r"camera 3: expected the size of 02\.png, 72x96, got 96x72; it was turned after it"
    ):
        load_scene(folder)


LENSES = {
    "OPENCV_FISHEYE": (
        Distortion(k1=0.02, k2=-0.01, k3=0.003, k4=-0.001, model="fisheye"),
        "0.02 -0.01 0.003 -0.001",
    ),
    "FOV": (Distortion(omega=0.9, model="fov"), "0.9"),
    "FULL_OPENCV": (
        Distortion(
            k1=-0.2, k2=0.05, p1=0.002, p2=-0.001, k3=0.01, k4=0.02, k5=0.01, k6=0.005, model="rational"
        ),
        "-0.2 0.05 0.002 -0.001 0.01 0.02 0.01 0.005",
    ),
    "THIN_PRISM_FISHEYE": (
        Distortion(k1=0.02, k2=0.01, p1=0.002, p2=0.001, sx1=0.003, sy1=-0.002, model="fisheye"),
        "0.02 0.01 0.002 0.001 0 0 0.003 -0.002",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("model", LENSES)
@pytest.mark.parametrize("max_size", [None, 40])
def test_lenses_are_undistorted(tmp_path: Path, model: str, max_size: int | None) -> None:
    distortion, coefficients = LENSES[model]
    lens = replace(pinhole(160, 120, 110.0), distortion=distortion)
    folder = write_room_colmap(tmp_path, photographs([lens]), model=model, coefficients=coefficients)
    scene = load_scene(folder, max_size=max_size)
    assert max(color_errors(scene)) < (LIMIT if max_size is None else SHRUNK_LIMIT)
    plain = write_room_colmap(tmp_path / "plain", photographs([lens]))
    assert max(color_errors(load_scene(plain, max_size=max_size))) > 2 * SHRUNK_LIMIT


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["png", "jpg"])
@pytest.mark.parametrize("k1", [0.0, -0.08])
def test_shrinking_while_decoding_gives_the_same_pixels(
    tmp_path: Path, ending: str, k1: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    lens = replace(pinhole(310, 207, 260.0), distortion=Distortion(k1=k1))
    folder = write_room_nerfstudio(tmp_path, photographs([lens], ending=ending), k1=k1)
    short = load_scene(folder, max_size=31)
    monkeypatch.setattr(decoding.PixelPlan, "reduction", lambda self, index: 1)
    full = load_scene(folder, max_size=31)
    difference = (short.pixels.int() - full.pixels.int()).abs()
    assert float(difference.float().mean()) < 0.5
    # The edge of the ball is where samples are not enough.
    assert float((difference <= 2).float().mean()) > 0.98
    assert int(difference.max()) <= 10
    assert torch.equal(short.cameras.focal, full.cameras.focal)
    assert max(color_errors(short)) < SHRUNK_LIMIT


def test_shrinking_while_decoding_keeps_alpha(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lens = pinhole(320, 240, 300.0)
    folder = write_room_nerfstudio(tmp_path, photographs([lens]))
    rows, columns = np.mgrid[:240, :320]
    coverage = np.where((rows - 110) ** 2 + (columns - 170) ** 2 < 80**2, 255, 0).astype(np.uint8)
    for file in (folder / "images").iterdir():
        rgb = np.array(Image.open(file))
        rgb[coverage == 0] = 255  # The hidden colour must not bleed in.
        save_picture(file, np.dstack([rgb, coverage]))
    short = load_scene(folder, max_size=40)
    monkeypatch.setattr(decoding.PixelPlan, "reduction", lambda self, index: 1)
    full = load_scene(folder, max_size=40)
    assert short.alpha is not None
    assert full.alpha is not None
    # The kernels differ: blocks there, a triangle here; only the rim may.
    rim = (full.alpha > 0) & (full.alpha < 255)
    assert float((short.alpha.int() - full.alpha.int()).abs()[~rim].float().mean()) < 4
    inside = ((short.alpha == 255) & (full.alpha == 255)).expand_as(full.pixels)
    assert int((short.pixels.int() - full.pixels.int()).abs()[inside].max()) <= 2


def with_masks(folder: Path, left_out: np.ndarray) -> Path:
    for index in range(len(POSES)):
        save_picture(folder / "masks" / f"{index:02d}.png", np.where(left_out, 0, 255).astype(np.uint8))
    return folder


@pytest.mark.parametrize("max_size", [None, 64, 20])
@pytest.mark.parametrize("k1", [0.0, -0.05])
def test_ignored_pixels_leave_no_trace(tmp_path: Path, max_size: int | None, k1: float) -> None:
    """Whatever lies under the mask: the scene is the same to the bit."""
    left_out = np.zeros((96, 128), bool)
    left_out[30:61, 41:90] = True
    lens = replace(pinhole(128, 96, 110.0), distortion=Distortion(k1=k1))
    folder = with_masks(write_room_nerfstudio(tmp_path, photographs([lens]), k1=k1), left_out)
    scene = load_scene(folder, max_size=max_size, masks="ignore")
    assert scene.ignored is not None
    assert scene.alpha is None
    assert 0.08 < float(scene.ignored.float().mean()) < 0.25
    generator = np.random.default_rng(0)
    for file in (folder / "images").iterdir():
        pixels = np.array(Image.open(file))
        pixels[left_out] = generator.integers(0, 256, (int(left_out.sum()), 3))
        save_picture(file, pixels)
    noisy = load_scene(folder, max_size=max_size, masks="ignore")
    assert torch.equal(noisy.pixels, scene.pixels)
    assert noisy.ignored is not None
    assert torch.equal(noisy.ignored, scene.ignored)
    assert torch.equal(noisy.cameras.camera_to_world, scene.cameras.camera_to_world)
    assert noisy.kept(torch.tensor([2])) is not None


def test_ignored_pixels_beside_alpha_are_full(tmp_path: Path) -> None:
    """What is not seen may be object: it must not carve the hull."""
    views = sphere_views()
    folder = write_nerfstudio(tmp_path, views)
    whole = load_scene(folder)
    left_out = np.zeros((40, 48), bool)
    left_out[:, 24:] = True
    for name in views.names:
        save_picture(folder / name.replace("images", "masks"), np.where(left_out, 0, 255).astype(np.uint8))
    scene = load_scene(folder, masks="ignore")
    assert scene.ignored is not None
    assert torch.equal(scene.ignored[0, 0], torch.from_numpy(left_out))
    assert scene.alpha is not None
    assert whole.alpha is not None
    assert torch.equal(scene.alpha[..., :24], whole.alpha[..., :24])
    assert int(scene.alpha[..., 24:].min()) == 255
    # Half of the ball is seen by the views around it: the box still holds all of it.
    assert float(scene.world_to_scene[0, 0]) <= 1.01 * float(whole.world_to_scene[0, 0])


def test_a_mask_that_leaves_nothing(tmp_path: Path) -> None:
    folder = write_room_nerfstudio(tmp_path, photographs([pinhole(32, 24, 30.0)]))
    with_masks(folder, np.ones((24, 32), bool))
    with pytest.raises(InputError, match=r"masks/0\d\.png: leaves out the whole picture"):
        load_scene(folder, masks="ignore")


def test_the_meaning_of_masks_is_checked(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="masks: is 'all'; expected object, ignore, none"):
        load_scene(tmp_path, masks="all")  # type: ignore[arg-type]


def test_ignored_pixels_follow_crops_and_sizes(tmp_path: Path) -> None:
    left_out = np.zeros((48, 64), bool)
    left_out[:10, :16] = True
    folder = with_masks(write_room_nerfstudio(tmp_path, photographs([pinhole(64, 48, 60.0)])), left_out)
    scene = load_scene(folder, masks="ignore")
    cropped = scene.cropped_to_multiple(5)
    assert cropped.ignored is not None
    assert torch.equal(cropped.ignored[0, 0], torch.from_numpy(left_out)[1:46, 2:62])
    small = scene.resized(width=16, height=12)
    assert small.ignored is not None
    assert small.ignored[0, 0, :3, :4].all()
    assert not small.ignored[0, 0, 5:, 6:].any()


def test_memory_bounds_the_pictures_that_are_decoded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Pool(ThreadPoolExecutor):
        def __init__(self, max_workers: int) -> None:
            asked.append(max_workers)
            super().__init__(max_workers)

    monkeypatch.setattr(decoding, "ThreadPoolExecutor", Pool)
    monkeypatch.setattr("os.cpu_count", lambda: 16)
    for size in (1000, 2**30 // 2, 2**33):
        decoding._in_threads(lambda index: None, [size] * 3)
    assert asked == [4, 2, 1]


def test_a_smaller_copy_of_the_photograph_is_the_same(tmp_path: Path) -> None:
    """What tests above rely on: the analytic picture does not depend on the lattice."""
    fine, coarse = (
        photographed(Photograph(POSES[0], pinhole(64 * k, 48 * k, 60.0 * k), "x.png")) for k in (4, 1)
    )
    mean = fine.reshape(48, 4, 64, 4, 3).astype(float).mean((1, 3))
    assert np.abs(mean - coarse).mean() < 0.7


def test_a_bar_says_how_far_decoding_is_when_it_lasts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    decoding._in_threads(lambda index: None, [1] * 3)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(decoding, "_SILENT_SECONDS", -1.0)
    decoding._in_threads(lambda index: None, [1] * 3)
    assert "pictures" in capsys.readouterr().err
