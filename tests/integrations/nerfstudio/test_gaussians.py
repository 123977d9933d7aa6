"""Gaussians in Nerfstudio's trainer: where they start, what views show of them, and how their number changes."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from latentfields.errors import InputError
from latentfields.fields.gaussians.strategy import SplattedStep

pytest.importorskip("nerfstudio", reason="Nerfstudio has an environment of its own: make test-nerfstudio")

from nerfstudio.cameras.cameras import Cameras, CameraType
from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig
from nerfstudio.data.scene_box import SceneBox
from nerfstudio.engine.optimizers import Optimizers
from nerfstudio.engine.trainer import TrainerConfig

from helpers.small_methods import small_config, trainer_of
from latentfields.integrations.nerfstudio.datamanager import LatentDatamanagerConfig
from latentfields.integrations.nerfstudio.gaussians import GaussianModel, GaussianModelConfig
from latentfields.integrations.nerfstudio.methods import METHODS
from latentfields.integrations.nerfstudio.renderer import LatentRenderer
from latentfields.integrations.nerfstudio.views import latent_views, view_rays

BOX = torch.tensor([[-1.0, -2.0, 0.0], [3.0, 0.0, 1.0]])
"""Its middle is (1, -1, 0.5), and the cube around it has sides of 4."""
CHANNELS = 5


def new_model(*, points: Tensor | None = None, learned: bool = False, **options: Any) -> GaussianModel:
    config = GaussianModelConfig(preset="small", **options)
    metadata = {} if points is None else {"points3D_xyz": points}
    renderer = LatentRenderer(torch.arange(CHANNELS) - 2.0, learned=learned)
    model = config.setup(scene_box=SceneBox(BOX), num_train_data=2, metadata=metadata, renderer=renderer)
    assert isinstance(model, GaussianModel)
    return model


def start_training(model: GaussianModel, *, grad_scaler: Any = None) -> list[Any]:
    """The model's callbacks, in a Latent Supervision of 10 steps."""
    pipeline = SimpleNamespace(config=SimpleNamespace(supervision=SimpleNamespace(steps=10)))
    optimizers = Optimizers(METHODS["latent-splatfacto"].config.optimizers, model.get_param_groups())
    attributes = SimpleNamespace(grad_scaler=grad_scaler, pipeline=pipeline, optimizers=optimizers)
    return model.get_training_callbacks(attributes)


def new_views(*sizes: tuple[int, int], camera_type: CameraType = CameraType.PERSPECTIVE) -> Cameras:
    """Views (B,) of width x height along -z from (1, -1, 3), each a bit farther to the right."""
    poses = torch.eye(4)[:3].repeat(len(sizes), 1, 1)
    poses[:, :, 3] = torch.tensor([1.0, -1.0, 3.0])
    poses[:, 0, 3] += 0.1 * torch.arange(len(sizes))
    widths, heights = (torch.tensor(side)[:, None] for side in zip(*sizes, strict=True))
    cameras = Cameras(
        poses,
        fx=widths * 1.0,
        fy=widths * 1.1,
        cx=0.5 * widths,
        cy=0.45 * heights,
        width=widths,
        height=heights,
        camera_type=camera_type,
    )
    return latent_views(cameras, torch.arange(len(sizes)), factor=1)


def test_gaussians_start_at_the_sparse_points() -> None:
    points = BOX[:1] + torch.rand(50, 3, generator=torch.Generator().manual_seed(0)) * (BOX[1:] - BOX[:1])
    model = new_model(points=points)
    assert len(model.scene.field) == 0
    start_training(model)
    field = model.scene.field
    torch.testing.assert_close(field.means.data, (points - torch.tensor([1.0, -1.0, 0.5])) / 2)
    distances = torch.cdist(field.means.data, field.means.data).sort(dim=1).values[:, 1:4].mean(dim=1)
    torch.testing.assert_close(field.scales.data.exp(), distances[:, None].expand(-1, 3))
    torch.testing.assert_close(torch.sigmoid(field.opacities.data), torch.full((50,), 0.1))
    torch.testing.assert_close(field.gaussians().rotations.data, torch.eye(4)[:1].expand(50, 4))
    before = field.means
    start_training(model)
    assert field.means is before


def test_no_more_sparse_points_than_allowed_are_taken() -> None:
    model = new_model(points=torch.randn(40, 3))
    options = model.scene.field.config.densification
    model.scene.field.config = replace(model.scene.field.config, densification=replace(options, most=7))
    start_training(model)
    assert len(model.scene.field) == 7


@pytest.mark.parametrize("points", [None, torch.zeros(0, 3)])
def test_without_points_gaussians_fill_the_box(points: Tensor | None) -> None:
    torch.manual_seed(0)
    model = new_model(points=points)
    start_training(model)
    means = model.scene.field.means.data
    assert len(means) == model.scene.field.config.initial
    assert means.abs().max() <= 1
    torch.testing.assert_close(means.mean(dim=0), torch.zeros(3), atol=0.05, rtol=0)
    torch.testing.assert_close(means.var(dim=0), torch.full((3,), 1 / 3), atol=0.03, rtol=0)


def one_gaussian(model: GaussianModel, world: Tensor, value: float) -> None:
    """A small opaque one, wider than a pixel, at a point (3,) of Nerfstudio's world."""
    model.scene.field.set_rows(
        {
            "means": (world - model.scene_center)[None] / model.half_side,
            "scales": torch.full((1, 3), 0.05).log(),
            "rotations": torch.tensor([[1.0, 0.0, 0.0, 0.0]]),
            "opacities": torch.tensor([6.0]),
            "features_dc": torch.full((1, 1, CHANNELS), value / 0.28209479177387814),
            "features_rest": torch.zeros(1, 0, CHANNELS),
        }
    )


def test_a_gaussian_is_seen_where_rays_pass_it() -> None:
    model = new_model().eval()
    world = torch.tensor([1.3, -0.7, 0.4])
    one_gaussian(model, world, 3.0)
    for size in ((20, 16), (25, 30)):
        views = new_views((16, 16), size)
        rays = view_rays(views)
        assert rays.camera_indices.flatten().tolist() == [0] * 256 + [1] * (size[0] * size[1])
        outputs = model(views)
        second = slice(256, None)
        to_point = world - rays.origins[second]
        along = (to_point * rays.directions[second]).sum(dim=-1)
        missed = (to_point - along[:, None] * rays.directions[second]).norm(dim=-1)
        nearest, opacity = int(missed.argmin()), outputs["accumulation"][second, 0]
        assert int(opacity.argmax()) == nearest
        depth = outputs["depth"][second][nearest]
        torch.testing.assert_close(depth, along[nearest].view(1), atol=0.1, rtol=0)
        expected = opacity[:, None] * 3.0 + (1 - opacity[:, None]) * model.renderer.background
        torch.testing.assert_close(outputs["rgb"][second], expected)
        alone = model.get_outputs_for_camera(views[1:2])
        for name, values in alone.items():
            assert values.shape[:2] == (size[1], size[0])
            torch.testing.assert_close(values.flatten(0, 1), outputs[name][second])


def test_loss_is_a_mean_over_views_and_falls() -> None:
    torch.manual_seed(0)
    model = new_model(learned=True).train()
    assert model.scene.background is model.renderer.background
    start_training(model)
    groups = [*model.get_param_groups()["fields_adam"], {"params": [model.renderer.background], "lr": 1e-2}]
    optimizer = torch.optim.Adam(groups)
    views, sizes = new_views((8, 8), (8, 8)), [(8, 8), (8, 8)]
    batch: dict[str, Any] = {"image": torch.randn(128, CHANNELS), "latent_sizes": sizes}
    losses = []
    for _ in range(20):
        terms = model.get_loss_dict(model(views), batch)
        losses.append(float(terms["rgb_loss"]))
        optimizer.zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        optimizer.step()
    assert losses[-1] < 0.9 * losses[0]
    assert not torch.equal(model.renderer.background.data, torch.arange(CHANNELS) - 2.0)
    outputs = model(views)
    halves = [
        model.get_loss_dict(
            {"rgb": outputs["rgb"][half]}, {"image": batch["image"][half], "latent_sizes": sizes[:1]}
        )["rgb_loss"]
        for half in (slice(0, 64), slice(64, 128))
    ]
    torch.testing.assert_close(model.get_loss_dict(outputs, batch)["rgb_loss"], sum(halves) / 2)


def test_gradients_of_views_of_other_sizes_are_comparable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first view's unit, half of its size, holds for all."""
    torch.manual_seed(0)
    model = new_model(points=torch.randn(30, 3) + torch.tensor([1.0, -1.0, 0.5])).train()
    _, after = start_training(model)
    outputs = model(new_views((16, 12), (8, 24)))
    outputs["rgb"].square().mean().backward()
    raw = [view.splats[0].means_2d.grad.clone() for view in model._seen]
    steps: list[SplattedStep] = []
    monkeypatch.setattr(
        model.scene.strategy, "after_step", lambda field, optimizer, step, generator: steps.append(step)
    )
    after.func(step=3)
    (step,) = steps
    assert (step.width, step.height, step.progress) == (16, 12, 0.3)
    unit = torch.tensor([step.width, step.height]) / 2
    for given, own, size in zip(step.splats, raw, ((16, 12), (8, 24)), strict=True):
        assert given.means_2d.grad is not None
        torch.testing.assert_close(given.means_2d.grad * unit, own * torch.tensor(size) / 2)


def states_of(config: TrainerConfig, step: int) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(
        config.get_checkpoint_dir() / f"step-{step:09d}.ckpt", weights_only=True
    )
    return state


@pytest.mark.parametrize("densification", ["gradient", "mcmc"])
def test_resume_between_refinements_is_identical(
    densification: str, blender_scene: Path, autoencoder_folder: Path, tmp_path: Path
) -> None:
    config = small_config(
        "latent-splatfacto",
        scene=blender_scene,
        autoencoder=autoencoder_folder,
        out=tmp_path,
        supervision=30,
        alignment=6,
    )
    config.pipeline.model.ray_model.densification = densification
    config.pipeline.datamanager.batch_images = 2
    config.steps_per_save, config.save_only_latest_checkpoint = 13, False
    trainer_of(config).train()
    means = "_model.ray_model.scene.field.means"
    numbers = [len(states_of(config, step)["pipeline"][means]) for step in (13, 26, 35)]
    # The last refinement is before the second checkpoint, the first before the first.
    assert 2000 != numbers[0] != numbers[1] == numbers[2]

    last = states_of(config, 35)
    config.load_dir, config.load_step, config.timestamp = config.get_checkpoint_dir(), 13, "resumed"
    trainer_of(config).train()
    resumed = states_of(config, 35)
    assert resumed["pipeline"].keys() == last["pipeline"].keys()
    for key, value in last["pipeline"].items():
        assert torch.equal(value, resumed["pipeline"][key]), key
    moments, again = (state["optimizers"]["fields_adam"]["state"] for state in (last, resumed))
    assert len(moments[0]["exp_avg"]) == numbers[-1]
    for index, values in moments.items():
        assert all(torch.equal(value, again[index][name]) for name, value in values.items())


def test_mixed_precision_is_refused() -> None:
    scaler = SimpleNamespace(is_enabled=lambda: True)
    with pytest.raises(InputError, match=r"^--mixed-precision: is True; Gaussians are fitted in full"):
        start_training(new_model(), grad_scaler=scaler)


def test_other_projections_are_refused() -> None:
    views = new_views((8, 8), camera_type=CameraType.EQUIRECTANGULAR)
    with pytest.raises(InputError, match=r"^camera type: is not perspective"):
        new_model()(views)


def test_a_package_that_points_need_is_named(blender_scene: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # None in this table makes an import fail.
    monkeypatch.setitem(sys.modules, "open3d", None)
    parser = BlenderDataParserConfig(data=blender_scene, ply_path=Path("points.ply"))
    with pytest.raises(InputError, match=r"^--data: needs open3d to be read; .*: pip install open3d$"):
        LatentDatamanagerConfig(dataparser=parser).setup(device="cpu", test_mode="val")


def test_points_of_the_data_parser_reach_the_model(
    blender_scene: Path, autoencoder_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = nn.functional.normalize(torch.randn(60, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
    cloud = SimpleNamespace(points=points.numpy(), colors=torch.zeros(60, 3).numpy())
    reader = SimpleNamespace(io=SimpleNamespace(read_point_cloud=lambda path: cloud))
    monkeypatch.setitem(sys.modules, "open3d", reader)
    config = small_config(
        "latent-splatfacto",
        scene=blender_scene,
        autoencoder=autoencoder_folder,
        out=tmp_path,
        supervision=1,
        alignment=1,
    )
    config.pipeline.datamanager.dataparser.ply_path = Path("points.ply")
    model = trainer_of(config).pipeline.model.ray_model
    # Nerfstudio's box for this data set is [-1.5, 1.5]^3.
    torch.testing.assert_close(model.scene.field.means.data, points / 1.5)
