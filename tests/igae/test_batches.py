import threading
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from latentfields.autoencoders.image_data import TrainingImages
from latentfields.cameras import Cameras
from latentfields.igae.batches import BatchSchedule, Windows, batch_noise, photo_crops
from latentfields.igae.config import WindowOffsets
from latentfields.training.prefetch import Prefetcher


def schedule(
    counts: list[int], *, scenes: int = 3, views: int = 2, photos: int = 2, seed: int = 0
) -> BatchSchedule:
    ends = torch.tensor(counts).cumsum(0).tolist()
    return BatchSchedule(
        views=tuple(torch.arange(end - count, end) for count, end in zip(counts, ends, strict=True)),
        scenes_per_batch=scenes,
        views_per_scene=views,
        photos_per_batch=photos,
        seed=seed,
    )


@settings(deadline=None, max_examples=40)
@given(
    counts=st.lists(st.integers(1, 5), min_size=1, max_size=8),
    scenes=st.integers(1, 5),
    views=st.integers(1, 3),
    step=st.integers(0, 1000),
)
def test_a_batch_holds_different_scenes_and_different_views_of_each(
    counts: list[int], scenes: int, views: int, step: int
) -> None:
    plan = schedule(counts, scenes=scenes, views=views)
    batch = plan.plan(step)
    assert len(set(batch.scenes)) == len(batch.scenes) == min(scenes, len(counts))
    for scene, chosen in zip(batch.scenes, batch.views, strict=True):
        assert set(chosen.tolist()) <= set(plan.views[scene].tolist())
        assert len(set(chosen.tolist())) == len(chosen) == min(views, counts[scene])


def test_every_scene_has_its_turn() -> None:
    plan = schedule([2] * 6, scenes=3)
    for start in range(0, 10, 2):
        seen = plan.plan(start).scenes + plan.plan(start + 1).scenes
        assert sorted(seen) == [0, 1, 2, 3, 4, 5]


def test_plans_follow_from_seed_and_step() -> None:
    a, b = schedule([4] * 5), schedule([4] * 5)
    assert a.plan(7).scenes == b.plan(7).scenes
    assert a.plan(7).photo_seeds == b.plan(7).photo_seeds
    assert a.plan(7).photo_seeds != a.plan(8).photo_seeds
    assert a.plan(7).scene_seeds != schedule([4] * 5, seed=1).plan(7).scene_seeds


def test_every_view_of_every_scene_is_seen() -> None:
    """About equally often, as far as chance goes."""
    plan = schedule([1, 7, 20], scenes=2, views=2)
    seen = torch.zeros(28)
    for step in range(300):
        for views in plan.plan(step).views:
            seen[views] += 1
    for scene in plan.views:
        assert float((seen[scene] / seen[scene].mean() - 1).abs().max()) < 0.6
    assert (seen > 0).all()


def test_epochs_are_passes_over_all_views() -> None:
    assert schedule([10, 20, 30], scenes=3, views=2).steps(4.0) == 40
    assert schedule([10, 20, 30], scenes=3, views=2).steps(0.01) == 1


def test_parts_make_up_the_whole() -> None:
    whole = schedule([3] * 5, scenes=5, photos=3).plan(2)
    first, second = whole.part(slice(0, 2), slice(0, 1)), whole.part(slice(2, 5), slice(1, 3))
    assert first.scenes + second.scenes == whole.scenes
    assert first.scene_seeds + second.scene_seeds == whole.scene_seeds
    assert first.photo_seeds + second.photo_seeds == whole.photo_seeds
    assert torch.equal(torch.cat(first.views + second.views), torch.cat(whole.views))


def test_a_photo_crop_follows_from_its_own_seed() -> None:
    photo = (torch.rand(20, 24, 3, generator=torch.Generator().manual_seed(0)) * 255).byte().numpy()
    photos = TrainingImages(photos=(photo, photo[::-1].copy()), renders=None, size=16)
    together = photo_crops(photos, (11, 12, 13))
    assert together.shape == (3, 3, 16, 16)
    assert torch.equal(together[1:], photo_crops(photos, (12, 13)))
    assert photo_crops(photos, ()).shape == (0, 3, 16, 16)


def test_all_photographs_are_seen_in_crops_of_their_own() -> None:
    """Each is a ramp between two greys of its own, so that a crop tells what it is of and where it was cut."""
    ramp = np.linspace(0, 9, 40, dtype=np.float32)
    pictures = tuple(
        (np.broadcast_to(ramp[None, :, None], (30, 40, 3)) + 10 * shade).astype(np.uint8)
        for shade in range(6)
    )
    photos = TrainingImages(photos=pictures, renders=None, size=16)
    plan = schedule([2], photos=3)
    crops = torch.cat([photo_crops(photos, plan.plan(step).photo_seeds) for step in range(40)])
    shades = (crops.mean(dim=(1, 2, 3)) * 255 / 10).floor().int()
    counts = shades.bincount(minlength=6)
    assert len(counts) == 6
    assert int(counts.min()) >= 10
    # Within a batch, too, crops are of different photographs and of different places in them.
    batches = crops.unflatten(0, (40, 3))
    assert sum(len(batch.unique(dim=0)) for batch in batches) >= 115


def test_the_prefetcher_gives_the_batch_of_the_step_and_makes_the_next() -> None:
    made, second = [], threading.Event()

    def make(step: int) -> int:
        made.append(step)
        if step == 4:
            second.set()
        return step * 10

    batches = Prefetcher(make)
    assert batches.get(3)[0] == 30
    assert second.wait(10)
    assert batches.get(4)[0] == 40
    assert batches.get(9)[0] == 90  # a resumed run may jump
    batches.close()
    assert made[:2] == [3, 4]


def test_the_prefetcher_passes_errors_on() -> None:
    def make(step: int) -> int:
        raise RuntimeError("disk gone")

    batches: Prefetcher[int] = Prefetcher(make)
    with pytest.raises(RuntimeError, match="disk gone"):
        batches.get(0)
    batches.close()


def test_noise_is_the_same_for_any_number_of_processes() -> None:
    whole = schedule([3] * 5, scenes=5, photos=3).plan(2)
    first, second = whole.part(slice(0, 2), slice(0, 1)), whole.part(slice(2, 5), slice(1, 3))
    of = partial(batch_noise, strongest=0.3, shape=(4, 8, 8))
    expected = of(whole)
    assert torch.equal(torch.cat([of(first)[:4], of(second)[:6]]), expected[:10])
    assert torch.equal(torch.cat([of(first)[4:], of(second)[6:]]), expected[10:])


def test_held_out_views_come_last_and_change_nothing_else() -> None:
    plain = schedule([3] * 5, scenes=3, views=2)
    others = tuple(torch.arange(100 + 2 * scene, 102 + 2 * scene) for scene in range(5))
    both = replace(plain, held_out=others, held_out_per_scene=1)
    seen: set[int] = set()
    for step in range(60):
        without, plan = plain.plan(step), both.plan(step)
        assert (plan.scenes, plan.scene_seeds) == (without.scenes, without.scene_seeds)
        assert plan.photo_seeds == without.photo_seeds
        assert plan.fitted == without.fitted == (2, 2, 2)
        for scene, views, fitted in zip(plan.scenes, plan.views, without.views, strict=True):
            assert torch.equal(views[:2], fitted)
            assert len(views) == 3
            assert int(views[2]) in others[scene].tolist()
            seen.add(int(views[2]))
    assert seen == set(range(100, 110))
    assert both.steps(3.0) == plain.steps(3.0)


def windows(size: int, side: int, offsets: WindowOffsets) -> Windows:
    return Windows(size=size, side=side, factor=4, offsets=offsets)


@pytest.mark.parametrize(
    ("side", "offsets", "places"),
    [
        (16, "latents", {0}),
        (16, "pixels", {0, 1, 2, 3}),
        (8, "latents", {0, 4, 8}),
        (8, "pixels", {*range(9)}),
    ],
)
def test_windows_lie_between_pixels_or_latents(side: int, offsets: WindowOffsets, places: set[int]) -> None:
    """Whole ones are moved by less than a latent."""
    drawn = torch.cat(windows(16, side, offsets).drawn([2] * 300, range(300)))
    assert {tuple(corner) for corner in drawn.tolist()} == {(x, y) for x in places for y in places}


def test_windows_are_the_same_for_any_number_of_processes() -> None:
    of = windows(32, 16, "pixels").drawn
    together = of([2, 3, 1], [5, 6, 7])
    apart = (*of([2], [5]), *of([3, 1], [6, 7]))
    assert all(torch.equal(a, b) for a, b in zip(together, apart, strict=True))


def test_windows_are_cut_where_their_cameras_look() -> None:
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    corners = torch.tensor([[3, 1], [0, 2]])
    cut = windows(8, 4, "pixels").cut(images, corners)
    assert torch.equal(cut[0], images[0, :, 1:5, 3:7])
    assert torch.equal(cut[1], images[1, :, 2:6, :4])
    whole = windows(8, 8, "pixels").cut(images, corners)
    assert torch.equal(whole[0, :, :7, :5], images[0, :, 1:, 3:])
    assert torch.equal(whole[0, :, 7:, :5], images[0, :, 7:, 3:])
    assert torch.equal(windows(8, 8, "latents").cut(images, torch.zeros(2, 2, dtype=torch.int64)), images)
    cameras = Cameras(
        torch.eye(4).repeat(2, 1, 1), torch.full((2, 2), 9.0), torch.full((2, 2), 4.0), width=8, height=8
    )
    rays = cameras.windows(corners, width=4, height=4).rays().directions
    torch.testing.assert_close(rays[0], cameras.rays().directions[0, 1:5, 3:7])
    torch.testing.assert_close(rays[1], cameras.rays().directions[1, 2:6, :4])


def test_latents_are_changed_in_a_share_of_the_steps() -> None:
    plan = schedule([3] * 5)
    of = partial(plan.transform, factor=4, side=16)
    assert all(of(step, kind="none", share=1.0) is None for step in range(20))
    assert all(of(step, kind="shift", share=0.0) is None for step in range(20))
    assert all(of(step, kind="shift", share=1.0) is not None for step in range(20))
    drawn = [of(step, kind="all", share=0.3) for step in range(1000)]
    assert sum(change is not None for change in drawn) == pytest.approx(300, abs=50)
    assert drawn[:50] == [of(step, kind="all", share=0.3) for step in range(50)]
