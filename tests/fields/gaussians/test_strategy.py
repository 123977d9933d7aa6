"""Adding and removing Gaussians: rows and moments, adaptive control, MCMC."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from latentfields.fields.config import GaussiansConfig
from latentfields.fields.densification import GradientDensificationConfig, McmcDensificationConfig
from latentfields.fields.gaussians.adaptive_control import SPLIT_FACTOR, AdaptiveControl
from latentfields.fields.gaussians.field import PARAMETERS, GaussianField
from latentfields.fields.gaussians.markov_chain import MarkovChain, share, shared_shape
from latentfields.fields.gaussians.rows import forget_moments, take_rows
from latentfields.fields.gaussians.strategy import SplattedStep, moments_passed
from latentfields.rendering.splatting.projection import ProjectedGaussians

ADAPTIVE = GradientDensificationConfig(
    refinements=1, start=0.0, end=0.0, threshold=1.0, clone_scale=0.1, most=100, opacity_resets=0
)


def field_of(scales: list[float], opacities: list[float]) -> GaussianField:
    torch.manual_seed(0)
    count = len(scales)
    field = GaussianField(GaussiansConfig(degree=1), channels=2, head="linear")
    rows = {name: torch.randn(count, *getattr(field, name).shape[1:]) for name in PARAMETERS}
    rows["scales"] = torch.tensor(scales).log()[:, None].expand(-1, 3)
    rows["opacities"] = torch.logit(torch.tensor(opacities))
    field.set_rows(rows)
    return field


def adam(field: GaussianField) -> torch.optim.Optimizer:
    """Adam after one step, so that every row has moments of its own."""
    optimizer = torch.optim.Adam(field.parameter_groups(learning_rate_factor=0.0))
    for parameter in field.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()
    return optimizer


def seen_step(
    gradients: list[list[float]], *, progress: float = 0.5, value_range: float = 1.0
) -> SplattedStep:
    """One view of 10 x 20 pixels in which every Gaussian is visible, with gradients (N, 2) in pixels."""
    count = len(gradients)
    means = torch.zeros(count, 2, requires_grad=True)
    means.grad = torch.tensor(gradients)
    splats = ProjectedGaussians(
        means_2d=means,
        conics=torch.ones(count, 3),
        depths=torch.ones(count),
        opacities=torch.ones(count),
        extents=torch.ones(count, 2),
        radii=torch.ones(count, dtype=torch.int32),
    )
    return SplattedStep([splats], width=10, height=20, value_range=value_range, progress=progress)


def moments(optimizer: torch.optim.Optimizer, parameter: Tensor) -> Tensor:
    moment: Tensor = optimizer.state[parameter]["exp_avg"]
    return moment


def test_moments_follow_their_rows() -> None:
    field = field_of([0.1] * 4, [0.5] * 4)
    optimizer = adam(field)
    values = {name: getattr(field, name).detach().clone() for name in PARAMETERS}
    before = {name: moments(optimizer, getattr(field, name)).clone() for name in PARAMETERS}
    rows = torch.tensor([3, 0, 0])
    take_rows(field, optimizer, rows, fresh=torch.tensor([False, False, True]))
    assert len(field) == 3
    for name in PARAMETERS:
        parameter = getattr(field, name)
        assert torch.equal(parameter, values[name][rows])
        expected = before[name][rows]
        expected[2] = 0
        assert torch.equal(moments(optimizer, parameter), expected)
        assert int(optimizer.state[parameter]["step"]) == 1
    grouped = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    assert grouped == {id(parameter) for parameter in field.parameters()}
    assert len(optimizer.state) == len(PARAMETERS)
    forget_moments(field.scales, optimizer, torch.tensor([1]))
    assert (moments(optimizer, field.scales)[1] == 0).all()
    assert (moments(optimizer, field.scales)[0] != 0).all()


def test_the_optimiser_goes_on_with_replaced_parameters() -> None:
    field = field_of([0.1] * 4, [0.5] * 4)
    optimizer = adam(field)
    take_rows(field, optimizer, torch.tensor([1, 2]), fresh=torch.tensor([False, False]))
    for group in optimizer.param_groups:
        group["lr"] = 0.1
    before = field.means.detach().clone()
    field.means.grad = torch.ones(2, 3)
    optimizer.step()
    assert (field.means != before).all()


@pytest.mark.parametrize(
    ("progress", "expected"),
    [(0.0, 0), (0.19, 0), (0.2, 1), (0.39, 1), (0.41, 2), (0.61, 3), (0.8, 4), (1.0, 4)],
)
def test_moments_are_evenly_spread(progress: float, expected: int) -> None:
    assert moments_passed(progress, first=0.2, last=0.8, count=4) == expected


def test_one_moment_or_none() -> None:
    assert moments_passed(0.3, first=0.3, last=0.3, count=1) == 1
    assert moments_passed(0.9, first=0.3, last=0.6, count=0) == 0


def test_the_threshold_is_in_halves_of_the_picture() -> None:
    # 10 x 20 pixels: gradients per pixel times 5 and 10.
    control = AdaptiveControl(ADAPTIVE)
    control.after_step(
        field := field_of([0.05] * 3, [0.5] * 3),
        adam(field),
        seen_step([[0.21, 0.0], [0.0, 0.11], [0.19, 0.0]]),
        generator=torch.Generator(),
    )
    assert len(field) == 5


def test_the_threshold_is_a_share_of_the_range_of_the_features() -> None:
    control = AdaptiveControl(ADAPTIVE)
    step = seen_step([[0.21, 0.0], [0.81, 0.0]], value_range=4.0)
    control.after_step(
        field := field_of([0.05] * 2, [0.5] * 2), adam(field), step, generator=torch.Generator()
    )
    assert len(field) == 3


def test_a_gaussian_is_wanted_by_its_mean_gradient_over_the_views_that_see_it() -> None:
    """Half pictures are 5 pixels wide, losses are means over 2 views: 0.06 a pixel is 0.6 a view, below 1."""
    both, first = (seen_step([[0.06, 0.0], [0.11, 0.0], [0.0, 0.0]]) for _ in range(2))
    second = seen_step([[0.06, 0.0], [0.0, 0.0], [0.0, 0.0]])
    second.splats[0].radii[1] = 0
    # In one step of two views, and in two steps of them.
    for steps in ([[both, second]], [[first, second], [first, second]]):
        control = AdaptiveControl(replace(ADAPTIVE, start=0.5, end=0.5))
        field = field_of([0.05] * 3, [0.5] * 3)
        optimizer, means = adam(field), field.means.detach().clone()
        for index, views in enumerate(steps):
            splats = [view.splats[0] for view in views]
            last = index + 1 == len(steps)
            step = replace(views[0], splats=splats, progress=0.5 if last else 0.1)
            control.after_step(field, optimizer, step, generator=torch.Generator())
        # The second one alone, which one view of two saw, was pulled by more than 1.
        assert len(field) == 4
        moved = optimizer.param_groups[0]["lr"]
        assert moved == 0
        torch.testing.assert_close(field.means[3], means[1])


def test_small_gaussians_are_cloned_large_ones_split_transparent_ones_pruned() -> None:
    field = field_of([0.05, 0.5, 0.05, 0.5, 0.05], [0.5, 0.5, 0.5, 0.5, 0.001])
    optimizer = adam(field)
    old = {name: getattr(field, name).detach().clone() for name in PARAMETERS}
    strong, weak = [9.0, 0.0], [0.0, 0.0]
    control = AdaptiveControl(ADAPTIVE)
    step = seen_step([strong, strong, weak, weak, strong])
    control.after_step(field, optimizer, step, generator=torch.Generator().manual_seed(0))
    # Kept: 0, 2, 3. Then the clone of 0 and the two parts of 1.
    assert torch.equal(field.means[:4], old["means"][[0, 2, 3, 0]])
    assert torch.equal(field.scales[:4], old["scales"][[0, 2, 3, 0]])
    torch.testing.assert_close(field.scales[4:].exp(), old["scales"][[1, 1]].exp() / SPLIT_FACTOR)
    offsets = field.means[4:] - old["means"][1]
    assert (offsets.abs() > 0).all()
    assert offsets.norm(dim=-1).max() < 5 * 0.5 * math.sqrt(3)
    assert (moments(optimizer, field.means)[:3] != 0).all()
    assert (moments(optimizer, field.means)[3:] == 0).all()
    control.after_step(field, optimizer, seen_step([strong] * 6), generator=torch.Generator())
    assert len(field) == 6, "a refinement is done once"


def test_there_are_never_more_gaussians_than_allowed() -> None:
    field = field_of([0.05] * 4, [0.5] * 4)
    control = AdaptiveControl(replace(ADAPTIVE, most=6))
    old = field.means.detach().clone()
    gradients = [[1.0, 0.0], [4.0, 0.0], [2.0, 0.0], [3.0, 0.0]]
    control.after_step(field, adam(field), seen_step(gradients), generator=torch.Generator())
    assert torch.equal(field.means, old[[0, 1, 2, 3, 1, 3]])


def test_opacities_are_reset_and_large_gaussians_pruned_after_it() -> None:
    options = replace(
        ADAPTIVE, refinements=2, start=0.2, end=0.8, opacity_resets=1, largest_scale=0.4, threshold=1e9
    )
    control, field = AdaptiveControl(options), field_of([0.1, 0.6], [0.9, 0.9])
    optimizer, weak = adam(field), [[0.0, 0.0]] * 2
    control.after_step(field, optimizer, seen_step(weak, progress=0.3), generator=torch.Generator())
    assert len(field) == 2
    control.after_step(field, optimizer, seen_step(weak, progress=0.5), generator=torch.Generator())
    torch.testing.assert_close(torch.sigmoid(field.opacities.detach()), torch.full((2,), 0.01))
    assert (moments(optimizer, field.opacities) == 0).all()
    assert (moments(optimizer, field.means) != 0).all()
    control.after_step(field, optimizer, seen_step(weak, progress=0.9), generator=torch.Generator())
    assert len(field) == 1


def test_a_scene_is_never_pruned_to_nothing() -> None:
    field = field_of([0.1] * 3, [0.001] * 3)
    AdaptiveControl(ADAPTIVE).after_step(
        field, adam(field), seen_step([[0.0, 0.0]] * 3), generator=torch.Generator()
    )
    assert len(field) == 3


def test_statistics_of_an_interrupted_strategy_are_restored() -> None:
    options = replace(ADAPTIVE, refinements=2, start=0.2, end=0.8)
    first, field = AdaptiveControl(options), field_of([0.05] * 3, [0.5] * 3)
    step = seen_step([[1.0, 0.0], [0.0, 0.0], [2.0, 0.0]], progress=0.1)
    first.after_step(field, adam(field), step, generator=torch.Generator())
    second = AdaptiveControl(options)
    second.resize_to(first.state_dict())
    second.load_state_dict(first.state_dict())
    assert second.gradients.tolist() == [5.0, 0.0, 10.0]
    assert second.views.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("opacity", [0.05, 0.5, 0.95])
@pytest.mark.parametrize("count", [1, 2, 5, 51])
def test_shared_gaussians_look_like_the_one_they_replace(opacity: float, count: int) -> None:
    opacities, factors = shared_shape(torch.tensor([opacity]), torch.tensor([count]))
    new, factor = float(opacities), float(factors)
    # At the centre they are as opaque together.
    assert 1 - (1 - new) ** count == pytest.approx(opacity, rel=1e-4)
    # Along a line, integrated numerically, they cover as much.
    x = torch.linspace(-12, 12, 200_001, dtype=torch.float64)
    one = opacity * torch.exp(-x.square() / 2)
    all_of_them = 1 - (1 - new * torch.exp(-x.square() / (2 * factor**2))).pow(count)
    assert float(all_of_them.sum() / one.sum()) == pytest.approx(1, rel=1e-3)


def test_sharing_changes_the_chosen_alone() -> None:
    field = field_of([0.1, 0.2, 0.3], [0.5, 0.6, 0.7])
    optimizer = adam(field)
    scales, opacities = field.scales.detach().clone(), field.opacities.detach().clone()
    share(field, optimizer, torch.tensor([2, 0, 2]))
    assert torch.equal(field.scales[1], scales[1])
    assert torch.equal(field.opacities[1], opacities[1])
    expected, factors = shared_shape(torch.tensor([0.5, 0.7]), torch.tensor([2, 3]))
    torch.testing.assert_close(torch.sigmoid(field.opacities.detach()[[0, 2]]), expected)
    torch.testing.assert_close(field.scales.detach()[[0, 2]], scales[[0, 2]] + factors.log()[:, None])
    assert (moments(optimizer, field.opacities)[[0, 2]] == 0).all()
    assert (moments(optimizer, field.opacities)[1] != 0).all()


MCMC = McmcDensificationConfig(refinements=1, start=0.0, end=0.0, growth=0.5, noise=0.0, most=100)


def test_transparent_gaussians_move_onto_opaque_ones_and_the_number_grows() -> None:
    field = field_of([0.1, 0.1, 0.1, 0.1], [0.9, 0.001, 0.8, 0.002])
    old = field.means.detach().clone()
    optimizer = adam(field)
    MarkovChain(MCMC).after_step(
        field, optimizer, seen_step([[0.0, 0.0]] * 4), generator=torch.Generator().manual_seed(0)
    )
    assert len(field) == 6
    assert torch.equal(field.means[[0, 2]], old[[0, 2]])
    opaque = {tuple(mean.tolist()) for mean in old[[0, 2]]}
    assert all(tuple(mean.tolist()) in opaque for mean in field.means)
    assert torch.sigmoid(field.opacities).min() > 0.005
    assert (moments(optimizer, field.means)[[1, 3, 4, 5]] == 0).all()


def test_the_number_stays_below_its_limit() -> None:
    field = field_of([0.1] * 4, [0.5] * 4)
    options = replace(MCMC, most=5, growth=3.0)
    MarkovChain(options).after_step(
        field, adam(field), seen_step([[0.0, 0.0]] * 4), generator=torch.Generator()
    )
    assert len(field) == 5


def test_noise_moves_transparent_gaussians_along_their_shape() -> None:
    count = 4000
    field = field_of([1.0] * count, [0.001] * count)
    scales = torch.tensor([0.3, 0.1, 0.01])
    rows = {name: getattr(field, name).detach().clone() for name in PARAMETERS}
    rows |= {
        "scales": scales.log().expand(count, 3),
        "rotations": torch.tensor([1.0, 0, 0, 0]).expand(count, 4),
    }
    rows["opacities"][count // 2 :] = torch.logit(torch.tensor(0.5))
    field.set_rows(rows)
    optimizer = torch.optim.Adam(field.parameter_groups(learning_rate_factor=1.0))
    chain = MarkovChain(replace(MCMC, refinements=0, noise=2.0))
    chain.after_step(
        field, optimizer, seen_step([[0.0, 0.0]] * 2), generator=torch.Generator().manual_seed(0)
    )
    moved = (field.means - rows["means"]).detach()
    rate, falloff = optimizer.param_groups[0]["lr"], torch.sigmoid(torch.tensor(100 * (0.005 - 0.001)))
    expected = 2.0 * rate * falloff * scales.square()
    torch.testing.assert_close(moved[: count // 2].std(dim=0), expected, rtol=0.06, atol=1e-9)
    assert moved[count // 2 :].abs().max() < 1e-12
    aligned = field.means.detach().clone()
    step = seen_step([[0.0, 0.0]] * 2, progress=1.0)
    chain.after_step(field, optimizer, step, generator=torch.Generator())
    assert torch.equal(field.means, aligned), "no noise during RGB Alignment"
