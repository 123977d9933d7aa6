from collections.abc import Sequence

import pytest
import torch

from helpers.simulated_device import DEVICE, simulated_device
from latentfields.igae.config import LatentScenesConfig
from latentfields.igae.scenes import BETAS, EPSILON, ActiveScene, LatentScenes
from latentfields.rendering.config import DensityGridConfig
from latentfields.rendering.grid_sampler import GridSampler

CPU = torch.device("cpu")


def sized(*, resolution: int = 5, features: int = 3, grid_resolution: int = 4) -> LatentScenesConfig:
    sampling = DensityGridConfig(grid_resolution=grid_resolution)
    return LatentScenesConfig(resolution=resolution, features=features, sampling=sampling)


def some_scenes(count: int = 4, *, seed: int = 0, device: str = "cpu") -> LatentScenes:
    hulls = torch.ones(count, 4**3, dtype=torch.bool)
    return LatentScenes(hulls, sized(), seed=seed, device=torch.device(device))


def visit(
    scenes: LatentScenes, indices: Sequence[int], gradient: float, *, learning_rate: float = 0.1
) -> None:
    active = scenes.fetch(indices)
    for scene in active:
        scene.planes.grad = torch.full_like(scene.planes, gradient)
    scenes.update(active, learning_rate=learning_rate)


def test_planes_follow_from_the_seed_and_differ_between_scenes() -> None:
    a, b, c = some_scenes(), some_scenes(), some_scenes(seed=1)
    assert torch.equal(a.planes, b.planes)
    assert not torch.equal(a.planes, c.planes)
    assert not torch.equal(a.planes[0], a.planes[1])


def test_absent_scenes_do_not_move_at_all() -> None:
    scenes = some_scenes()
    visit(scenes, [1, 2], 1.0)
    before = {name: tensor.clone() for name, tensor in scenes.state_dict().items()}
    visit(scenes, [0, 2], -1.0)
    for name, tensor in scenes.state_dict().items():
        for absent in (1, 3):
            assert torch.equal(tensor[absent], before[name][absent]), name
    for present in (0, 2):
        assert not torch.equal(scenes.planes[present], before["planes"][present])


def test_a_scene_is_updated_like_an_optimiser_of_its_own() -> None:
    """Interleaved visits give each scene what `torch.optim.Adam` gives it alone."""
    scenes = some_scenes()
    alone = {i: torch.nn.Parameter(scenes.planes[i].clone()) for i in range(3)}
    optimizers = {i: torch.optim.Adam([p], lr=0.1, betas=BETAS, eps=EPSILON) for i, p in alone.items()}
    for step, batch in enumerate([(0, 1), (1, 2), (1,), (0, 2), (1, 0)]):
        visit(scenes, batch, 0.3 - 0.2 * step)
        for index in batch:
            alone[index].grad = torch.full_like(alone[index], 0.3 - 0.2 * step)
            optimizers[index].step()
    for index, parameter in alone.items():
        torch.testing.assert_close(scenes.planes[index], parameter.detach())
    assert scenes.visits.tolist() == [3, 4, 2, 0]


def test_the_device_holds_the_batch_not_the_set() -> None:
    """The meta device shows what would be moved: as much for 3 scenes as for 30."""
    sizes = []
    for count in (3, 30):
        active = some_scenes(count, device="meta").fetch([0, 2])
        for scene in active:
            tensors = (scene.planes, scene.first_moment, scene.second_moment, scene.sampler.grid.density)
            assert {tensor.device.type for tensor in tensors} == {"meta"}
        sizes.append(sum(scene.nbytes for scene in active))
    planes, grid = 3 * 5 * 5 * 3 * 4, 4**3 * 5
    assert sizes == [2 * (3 * planes + grid)] * 2
    assert some_scenes(30).nbytes == 30 * (3 * planes + grid + 8)


def test_memory_as_documented() -> None:
    k, f, g = 64, 32, 32
    hulls = torch.ones(2, g**3, dtype=torch.bool)
    scenes = LatentScenes(hulls, sized(resolution=k, features=f, grid_resolution=g), seed=0)
    assert scenes.nbytes / 2 == 36 * k**2 * f + 5 * g**3 + 8
    assert scenes.nbytes / 2 == pytest.approx(4.9e6, rel=0.01)


def test_copies_from_another_device_are_put_back() -> None:
    scenes = some_scenes()
    (stored,) = scenes.fetch([2])
    sampler = GridSampler(sized().sampling)
    grid = sampler.grid
    grid.density = stored.sampler.grid.density.clone() + 5
    copy = ActiveScene(
        index=2,
        planes=stored.planes.detach().clone().requires_grad_(),
        first_moment=stored.first_moment.clone(),
        second_moment=stored.second_moment.clone(),
        sampler=sampler,
        visits=0,
    )
    before = scenes.planes.clone()
    copy.planes.grad = torch.ones_like(copy.planes)
    scenes.update([copy], learning_rate=0.1)
    assert torch.equal(scenes.planes[2], copy.planes.detach())
    assert torch.equal(scenes.first_moment[2], copy.first_moment)
    assert torch.equal(scenes.density[2], grid.density)
    torch.testing.assert_close(scenes.planes[2], before[2] - 0.1)
    assert torch.equal(scenes.planes[[0, 1, 3]], before[[0, 1, 3]])


def test_nothing_is_dense_outside_of_the_hull() -> None:
    hulls = torch.zeros(2, 4**3, dtype=torch.bool)
    hulls[1, 5:9] = True
    scenes = LatentScenes(hulls, sized(), seed=0)
    assert torch.equal(scenes.density > 0, hulls)
    (active,) = scenes.fetch([1])
    active.sampler.grid.update(
        lambda points: torch.ones(len(points)), share=1.0, generator=torch.Generator().manual_seed(0)
    )
    assert torch.equal(scenes.density > 0, hulls)


def test_state_goes_round() -> None:
    scenes, other = some_scenes(), some_scenes(seed=1)
    visit(scenes, [0, 3], 0.5)
    other.load_state_dict({name: tensor.clone() for name, tensor in scenes.state_dict().items()})
    visit(scenes, [3], 0.25)
    visit(other, [3], 0.25)
    for name, tensor in scenes.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name


def test_renewed_moments_start_the_optimiser_afresh() -> None:
    scenes = some_scenes()
    visit(scenes, [0], 100.0)
    scenes.renew_moments()
    before = scenes.planes[0].clone()
    visit(scenes, [0], 1e-3)
    torch.testing.assert_close(scenes.planes[0], before - 0.1)


def test_scenes_that_left_a_device_are_there_before_anything_looks_at_them() -> None:
    reference = some_scenes()
    with simulated_device() as waits:
        away = some_scenes(device=str(DEVICE))
        for gradient in (1.0, -0.5):
            visit(away, [1, 2], gradient)
            visit(reference, [1, 2], gradient)
        assert (waits.count, waits.blocking_uploads) == (0, 0)
        assert not torch.equal(away.planes[1], reference.planes[1])  # Still on its way.
        for name, tensor in away.state_dict().items():
            torch.testing.assert_close(tensor, reference.state_dict()[name])
        assert waits.count == 1
