from dataclasses import replace

import torch
from torch import Tensor

from helpers.igae_data import CONFIG
from latentfields.cameras import Cameras
from latentfields.fields.triplane import TriPlane
from latentfields.igae.renderer import TriPlaneRenderer
from latentfields.igae.scenes import ActiveScene, LatentScenes
from latentfields.rendering.density_grid import DensityGrid
from latentfields.rendering.renderer import render_rays
from latentfields.rendering.rendering import Shot
from latentfields.scenes.objects.placement import sphere_cameras

CPU = torch.device("cpu")
BACKGROUND = torch.tensor([1.0, -2.0, 0.5])


def renderer_and_scenes() -> tuple[TriPlaneRenderer, list[ActiveScene]]:
    config = CONFIG.scenes
    torch.manual_seed(0)
    hulls = torch.ones(2, 8**3, dtype=torch.bool)
    scenes = LatentScenes(hulls, config, seed=3)
    return TriPlaneRenderer(config, channels=3), scenes.fetch([0, 1])


def cameras(size: int = 6) -> Cameras:
    return sphere_cameras(2, distance=2.5, size=size, field_of_view=50.0, seed=0)


def render(
    renderer: TriPlaneRenderer,
    scene: ActiveScene,
    *,
    through: Cameras | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    through = through or cameras()
    shot = Shot(through.rays().flatten(), BACKGROUND, near=0.5, far=5.0, generator=generator)
    return renderer.render(scene, shot).as_images(through).features


def test_a_scene_renders_like_a_field_of_its_own() -> None:
    renderer, (scene, other) = renderer_and_scenes()
    field = TriPlane(CONFIG.scenes.triplane, channels=3, head="linear")
    field.planes.data.copy_(scene.planes.detach())
    field.head.load_state_dict(renderer.head.state_dict())
    shot = Shot(cameras().rays().flatten(), BACKGROUND, near=0.5, far=5.0)
    expected = render_rays(field, shot, DensityGrid(resolution=8), options=CONFIG.scenes.sampling).features
    rendered = render(renderer, scene)
    assert rendered.shape == (2, 3, 6, 6)
    torch.testing.assert_close(rendered.permute(0, 2, 3, 1).reshape(-1, 3), expected)
    assert not torch.allclose(render(renderer, other), rendered)


def test_rendering_repeats_without_jitter_and_by_seed_with_it() -> None:
    renderer, (scene, _) = renderer_and_scenes()
    assert torch.equal(render(renderer, scene), render(renderer, scene))
    jittered = [render(renderer, scene, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(jittered[0], jittered[1])
    assert not torch.equal(jittered[0], jittered[2])


def test_rays_that_miss_the_scene_show_the_background() -> None:
    renderer, (scene, _) = renderer_and_scenes()
    away = cameras()
    away.camera_to_world[:, :3, :3] *= torch.tensor([-1.0, 1.0, -1.0])  # turned round
    rendered = render(renderer, scene, through=away)
    torch.testing.assert_close(rendered, BACKGROUND.view(1, 3, 1, 1).expand_as(rendered))


def test_gradients_reach_planes_and_mlp_and_no_other_scene() -> None:
    renderer, (scene, other) = renderer_and_scenes()
    render(renderer, scene).square().sum().backward()
    assert scene.planes.grad is not None
    assert float(scene.planes.grad.abs().sum()) > 0
    assert other.planes.grad is None
    assert all(parameter.grad is not None for parameter in renderer.parameters())


def test_grids_are_looked_at_again_on_schedule() -> None:
    renderer, (scene, _) = renderer_and_scenes()
    changed = []
    for visits in range(4):
        before = scene.sampler.grid.density.clone()
        renderer.update_grid(replace(scene, visits=visits), generator=torch.Generator().manual_seed(visits))
        changed.append(not torch.equal(before, scene.sampler.grid.density))
    assert changed == [True, False, True, False]
