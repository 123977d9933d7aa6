"""Stock ray models that render latents: heads, background, and four channels that are no RGBA."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from latentfields.errors import InputError

pytest.importorskip("nerfstudio", reason="Nerfstudio has an environment of its own: make test-nerfstudio")

from nerfstudio.cameras.rays import RayBundle
from nerfstudio.data.scene_box import SceneBox
from nerfstudio.models.base_model import Model
from nerfstudio.models.instant_ngp import InstantNGPModelConfig
from nerfstudio.models.mipnerf import MipNerfModel
from nerfstudio.models.nerfacto import NerfactoModelConfig
from nerfstudio.models.tensorf import TensoRFModelConfig
from nerfstudio.models.vanilla_nerf import VanillaModelConfig

from helpers.small_methods import RAY_MODELS
from latentfields.integrations.nerfstudio.adapter import adapt_ray_model, without_perceptual_network
from latentfields.integrations.nerfstudio.renderer import LatentRenderer
from latentfields.integrations.nerfstudio.tensorf import BackgroundFreeTensoRF

RAYS = 5
SMALL = {"num_coarse_samples": 4, "num_importance_samples": 4}
MODELS = {
    "vanilla": VanillaModelConfig(**SMALL),
    "mip-nerf, which nothing here knows": VanillaModelConfig(_target=MipNerfModel, **SMALL),
    "tensorf": TensoRFModelConfig(
        _target=BackgroundFreeTensoRF, regularization="none", **RAY_MODELS["latent-tensorf"]
    ),
    "nerfacto": NerfactoModelConfig(**RAY_MODELS["latent-nerfacto"]),
}


def new_model(config: Any, channels: int, background: Tensor | None = None) -> Model:
    torch.manual_seed(0)
    with without_perceptual_network():
        model: Model = config.setup(
            scene_box=SceneBox(torch.tensor([[-1.0] * 3, [1.0] * 3])), num_train_data=3
        )
    behind = torch.arange(channels) - 2.5 if background is None else background
    adapt_ray_model(model, channels=channels, renderer=LatentRenderer(behind, learned=False))
    return model


def new_rays(*, away: bool = False) -> RayBundle:
    """Rays from z = 3 into the scene box, or away from it."""
    directions = nn.functional.normalize(torch.tensor([[0.0, 0.1 * i, -1.0] for i in range(RAYS)]), dim=-1)
    return RayBundle(
        origins=torch.tensor([0.0, 0.0, 3.0]).expand(RAYS, 3).clone(),
        directions=-directions if away else directions,
        pixel_area=torch.full((RAYS, 1), 1e-4),
        camera_indices=torch.zeros(RAYS, 1, dtype=torch.long),
    )


@pytest.mark.parametrize("channels", [4, 16])
@pytest.mark.parametrize("name", MODELS)
def test_every_model_renders_and_learns_any_number_of_unbounded_channels(name: str, channels: int) -> None:
    model = new_model(MODELS[name], channels)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    target = torch.linspace(-3, 3, RAYS * channels).view(RAYS, channels)
    losses = []
    for _ in range(30):
        outputs = model(new_rays())
        assert all(v.shape == (RAYS, channels) for k, v in outputs.items() if k.startswith("rgb"))
        metrics = model.get_metrics_dict(outputs, {"image": target})
        terms = model.get_loss_dict(outputs, {"image": target}, metrics)
        losses.append(sum(v for k, v in terms.items() if k.startswith("rgb")))
        optimizer.zero_grad()
        sum(terms.values()).backward()
        optimizer.step()
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("name", ["vanilla", "tensorf", "nerfacto"])
def test_four_channels_are_compared_as_four_channels(name: str) -> None:
    model = new_model(MODELS[name], 4)
    outputs = model(new_rays())
    # An alpha of zero: the stock loss would not look at the first three channels.
    target = torch.cat([torch.full((RAYS, 3), 9.0), torch.zeros(RAYS, 1)], dim=1)
    losses = model.get_loss_dict(
        outputs, {"image": target}, model.get_metrics_dict(outputs, {"image": target})
    )
    prediction = outputs["rgb_fine" if name == "vanilla" else "rgb"]
    loss = losses["rgb_loss_fine" if name == "vanilla" else "rgb_loss"]
    torch.testing.assert_close(loss, (prediction - target).square().mean())


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", ["tensorf", "nerfacto"])
def test_behind_everything_is_the_background(name: str, training: bool) -> None:
    background = torch.tensor([-7.0, 0.5, 3.0, 40.0, 1.0])
    model = new_model(MODELS[name], 5, background).train(training)
    outputs = model(new_rays(away=True))
    seen = outputs["rgb"] - (1 - outputs["accumulation"]) * background
    if name == "tensorf":
        torch.testing.assert_close(outputs["rgb"], background.expand(RAYS, 5))
    assert seen.abs().max() < 1


def test_instant_ngp_has_its_head_and_renderer_exchanged() -> None:
    model = new_model(InstantNGPModelConfig(log2_hashmap_size=4, grid_resolution=8, grid_levels=1), 16)
    assert model.field.mlp_head.out_dim == 16
    assert model.field.mlp_head.out_activation is None
    assert isinstance(model.renderer_rgb, LatentRenderer)


def test_packed_samples_are_composited_as_padded_ones_are() -> None:
    torch.manual_seed(0)
    renderer = LatentRenderer(torch.tensor([1.0, -2.0, 30.0, 4.0]), learned=False)
    values, weights = 5 * torch.randn(3, 6, 4), torch.rand(3, 6, 1) / 6
    weights[1] = 0
    padded = renderer(rgb=values, weights=weights)
    torch.testing.assert_close(padded[1], renderer.background)
    expected = (values * weights).sum(1) + (1 - weights.sum(1)) * renderer.background
    torch.testing.assert_close(padded, expected)
    rays = torch.arange(3).repeat_interleave(6)
    packed = renderer(values.flatten(0, 1), weights.flatten(0, 1), ray_indices=rays, num_rays=3)
    torch.testing.assert_close(packed, padded)
    torch.testing.assert_close(renderer.eval()(rgb=values, weights=weights), padded)


def test_a_learned_background_gets_a_gradient() -> None:
    renderer = LatentRenderer(torch.zeros(2), learned=True)
    renderer(rgb=torch.zeros(1, 3, 2), weights=torch.full((1, 3, 1), 0.25)).sum().backward()
    torch.testing.assert_close(renderer.background.grad, torch.full((2,), 0.25))


def test_models_of_another_kind_are_refused() -> None:
    renderer = LatentRenderer(torch.zeros(4), learned=False)
    with pytest.raises(InputError, match=r"^Sequential: has no colour head"):
        adapt_ray_model(nn.Sequential(nn.Linear(3, 3)), channels=4, renderer=renderer)
