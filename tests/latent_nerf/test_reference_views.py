"""Photographs near a view as references: what renderings lack comes back where depth says where it belongs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from helpers.tiny import TINY_FIT
from latentfields.cameras import Cameras, look_at
from latentfields.cli.main import parse
from latentfields.errors import ArgumentError
from latentfields.latent_nerf.build import new_model
from latentfields.latent_nerf.evaluate import evaluate_run
from latentfields.latent_nerf.reference_views import DOUBT, SAME_ANGLE, ReferenceViews
from latentfields.latent_nerf.scene_model import SceneModel
from latentfields.measures.metrics import psnr
from latentfields.rendering.rendering import Rendering
from latentfields.scenes.scene import Scene

SIDE = 32
DISTANCE = 3.0


def wall_cameras() -> Cameras:
    """Five cameras side by side in front of a wall in the plane z = 0; the middle one is for testing."""
    eyes = torch.tensor([[x, 0.0, DISTANCE] for x in (-0.4, -0.2, 0.0, 0.2, 0.4)])
    poses = look_at(eyes, eyes * torch.tensor([1.0, 1.0, 0.0]), torch.tensor([0.0, 1.0, 0.0]))
    return Cameras(poses, torch.full((5, 2), 48.0), torch.full((5, 2), SIDE / 2), width=SIDE, height=SIDE)


def painted(points: Tensor) -> Tensor:
    """Colours (..., 3) of the wall."""
    return 0.5 + 0.3 * torch.stack(
        [torch.sin(9 * points[..., 0]), torch.sin(7 * points[..., 1]), torch.cos(8 * points[..., 0])], dim=-1
    )


def photographs(cameras: Cameras) -> tuple[Tensor, Tensor]:
    """Images (B, 3, H, W) of the wall, and distances (B, 1, H, W) to it."""
    rays = cameras.rays()
    distance = -rays.origins[..., 2] / rays.directions[..., 2]
    colors = painted(rays.origins + distance[..., None] * rays.directions)
    return colors.permute(0, 3, 1, 2), distance[:, None]


@pytest.fixture
def wall(scene: Scene) -> Scene:
    """The wall as a scene: four training views around a test view."""
    cameras = wall_cameras()
    images = (photographs(cameras)[0] * 255).round().byte()
    views = {"train": [0, 1, 3, 4], "test": [2], "val": []}
    splits = {name: torch.tensor(numbers, dtype=torch.int64) for name, numbers in views.items()}
    return replace(
        scene,
        cameras=cameras,
        pixels=images,
        alpha=None,
        splits=splits,
        image_names=tuple(f"{number}.png" for number in range(5)),
    )


def fitted(wall: Scene, monkeypatch: pytest.MonkeyPatch, *, farther: float = 0.0) -> SceneModel:
    """A model that shows the wall in one grey, at its distance and `farther`."""
    model = new_model(wall, None, replace(TINY_FIT, space="rgb"))

    def render(cameras: Cameras, *, grids: int) -> tuple[Tensor, Rendering]:
        assert grids == 1
        _, distance = photographs(cameras)
        grey = torch.full((len(cameras), 3, SIDE, SIDE), 0.5)
        # Maps of less than the pictures' size, as latents have them.
        depth = torch.nn.functional.avg_pool2d(distance + farther, 2)
        return grey, Rendering(grey, torch.ones_like(depth), depth)

    monkeypatch.setattr(model, "render", render)
    return model


def test_the_paint_of_a_wall_comes_back(wall: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    model = fitted(wall, monkeypatch)
    test = wall.indices("test")
    grey, _ = model.render(wall.cameras[test], grids=1)
    improved = ReferenceViews(model, wall, count=2).render(wall.cameras[test])
    truth = wall.images(test)
    inside = (..., slice(4, -4), slice(4, -4))
    assert psnr(grey, truth) < 15
    assert psnr(improved[inside], truth[inside]) > 30


def test_a_training_view_gets_its_own_photograph_by_its_weight(
    wall: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = fitted(wall, monkeypatch)
    view = wall.indices("train")[:1]
    improved = ReferenceViews(model, wall, count=1).render(wall.cameras[view])
    weight = 1 / SAME_ANGLE
    expected = 0.5 + (wall.images(view) - 0.5) * weight / (weight + DOUBT)
    # The angle of a ray with itself is known to single precision alone.
    torch.testing.assert_close(improved, expected, rtol=0, atol=2e-3)


def test_where_depth_is_wrong_nothing_is_added(wall: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    model = fitted(wall, monkeypatch)
    references = ReferenceViews(model, wall, count=2)
    references.render(wall.cameras[wall.indices("test")])
    camera = wall.cameras[wall.indices("test")]
    grey, seen = model.render(camera, grids=1)
    beyond = replace(seen, depth=1.5 * seen.depth)
    torch.testing.assert_close(references.improved(grey, beyond, camera), grey, rtol=0, atol=1e-6)
    thin = replace(seen, opacity=0.4 * seen.opacity)
    assert torch.equal(references.improved(grey, thin, camera), grey)


def test_ignored_pixels_add_nothing(wall: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    ignored = torch.zeros(5, 1, SIDE, SIDE, dtype=torch.bool)
    ignored[:, :, :, : SIDE // 2] = True
    wall = replace(wall, ignored=ignored)
    model = fitted(wall, monkeypatch)
    view = wall.indices("train")[:1]
    improved = ReferenceViews(model, wall, count=1).render(wall.cameras[view])
    assert torch.equal(improved[..., : SIDE // 2 - 1], torch.full((1, 3, SIDE, SIDE // 2 - 1), 0.5))
    assert (improved[..., SIDE // 2 + 1 :] != 0.5).any()


def test_a_reference_is_rendered_once(wall: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    model = fitted(wall, monkeypatch)
    references = ReferenceViews(model, wall, count=3)
    camera = wall.cameras[wall.indices("test")]
    first = references.render(camera)
    rendered = []
    render = model.render

    def counted(cameras: Cameras, *, grids: int) -> tuple[Tensor, Rendering]:
        rendered.append(len(cameras))
        return render(cameras, grids=grids)

    monkeypatch.setattr(model, "render", counted)
    assert torch.equal(references.render(camera), first)
    assert rendered == [1]


def test_at_least_one_reference(wall: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ArgumentError, match="reference_views: is 0; expected"):
        ReferenceViews(fitted(wall, monkeypatch), wall, count=0)


def test_a_run_is_scored_and_rendered_with_references(
    latent_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = evaluate_run(latent_run, reference_views=2)["test"]
    plain = evaluate_run(latent_run)["test"]
    assert found["images"] == plain["images"]
    assert "with_references" not in plain
    assert list(found["with_references"]["per_image"]) == list(plain["images"]["per_image"])
    command = ["render", str(latent_run), "--views", "orbit", "--frames", "2", "--out"]
    parse([*command, str(tmp_path / "with"), "--reference-views", "2"]).run()
    parse([*command, str(tmp_path / "without")]).run()
    written = [sorted(path.name for path in (tmp_path / name).iterdir()) for name in ("with", "without")]
    assert written[0] == written[1] == ["orbit_0000.png", "orbit_0001.png"]
    parse(["evaluate", str(latent_run), "--reference-views", "1"]).run()
    assert "with_references" in capsys.readouterr().out
    with pytest.raises(ArgumentError, match="reference_views: is given beside `what`"):
        parse([*command, str(tmp_path / "x"), "--what", "depth", "--reference-views", "1"]).run()
