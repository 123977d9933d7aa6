"""The values that travel between scenes and renderers: selections, jitter, joining and the shape of images."""

from __future__ import annotations

import torch

from helpers.tiny import sphere_cameras
from latentfields.rendering.rendering import Rendering, Shot
from latentfields.rendering.spans import BoxSpan


def shot(count: int = 7, *, seed: int | None = None) -> Shot:
    rays = sphere_cameras(1).rays().flatten()[:count]
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    return Shot(rays, torch.tensor([0.5, -1.0]), near=0.5, far=3.0, generator=generator)


def test_some_rays_of_a_shot_keep_all_else() -> None:
    whole = shot(seed=0)
    part = whole[2:5]
    assert torch.equal(part.rays.directions, whole.rays.directions[2:5])
    assert part.background is whole.background
    assert (part.near, part.far, part.generator) == (whole.near, whole.far, whole.generator)
    assert torch.equal(whole[torch.tensor([4, 1])].rays.origins, whole.rays.origins[[4, 1]])


def test_jitter_follows_the_generator_and_is_none_without() -> None:
    assert shot().jitter(5) is None
    first, again, other = (shot(seed=seed).jitter(5) for seed in (1, 1, 2))
    assert first is not None
    assert again is not None
    assert other is not None
    assert first.shape == (7, 5)
    assert first.min() >= -0.5
    assert first.max() < 0.5
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_segment_lies_between_near_and_far() -> None:
    span = shot().span()
    assert isinstance(span, BoxSpan)
    enter, leave = span.start, span.end
    assert enter.shape == leave.shape == (7,)
    assert (enter >= 0.5).all()
    assert (leave <= 3.0).all()
    assert (enter <= leave).all()


def test_rays_of_cameras_become_images_pixel_by_pixel() -> None:
    cameras = sphere_cameras(2).resized(width=3, height=4)
    rays = cameras.rays()
    flat = rays.flatten()
    seen = Rendering(
        features=flat.directions,
        opacity=flat.directions[:, 0],
        depth=flat.directions[:, 1],
        coarse=2 * flat.directions,
        loss=flat.directions[:, 2],
    ).as_images(cameras)
    assert seen.features.shape == (2, 3, 4, 3)
    assert torch.equal(seen.features, rays.directions.permute(0, 3, 1, 2))
    assert torch.equal(seen.opacity[:, 0], rays.directions[..., 0])
    assert torch.equal(seen.depth[:, 0], rays.directions[..., 1])
    assert seen.coarse is not None
    assert torch.equal(seen.coarse, 2 * seen.features)
    assert seen.loss is not None
    assert torch.equal(seen.loss[:, 0], rays.directions[..., 2])


def test_pixels_are_the_means_of_those_of_a_finer_image() -> None:
    cameras = sphere_cameras(2).resized(width=6, height=4)
    flat = cameras.rays().flatten()
    values = flat.directions[:, 0]
    fine = Rendering(flat.directions, values, values, coarse=flat.directions, loss=values).as_images(cameras)
    coarse = fine.averaged(2)
    expected = fine.features.view(2, 3, 2, 2, 3, 2).mean(dim=(3, 5))
    torch.testing.assert_close(coarse.features, expected)
    assert coarse.coarse is not None
    assert coarse.loss is not None
    torch.testing.assert_close(coarse.coarse, expected)
    for each in (coarse.opacity, coarse.depth, coarse.loss):
        torch.testing.assert_close(each, expected[:, :1])
    assert torch.equal(fine.averaged(1).features, fine.features)


def test_parts_are_joined_in_order() -> None:
    def part(value: float, *, trained: bool) -> Rendering:
        ones = value * torch.ones(2)
        coarse, loss = (ones[:, None], ones) if trained else (None, None)
        return Rendering(ones[:, None], ones, ones, coarse=coarse, loss=loss)

    joined = Rendering.joined([part(1.0, trained=True), part(2.0, trained=True)])
    assert joined.coarse is not None
    assert joined.loss is not None
    for values in (joined.features[:, 0], joined.opacity, joined.depth, joined.coarse[:, 0], joined.loss):
        assert values.tolist() == [1, 1, 2, 2]
    plain = Rendering.joined([part(1.0, trained=False), part(2.0, trained=False)])
    assert plain.coarse is None
    assert plain.loss is None
    assert plain.splats == ()
