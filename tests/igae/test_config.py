from dataclasses import replace
from typing import Any

import pytest

from latentfields.errors import InputError
from latentfields.igae.config import PAPER, PRESETS, SMALL, TINY, Ablation, IgaeConfig, IgaePreset


def test_the_paper_preset_is_table_15() -> None:
    joint, weights = PAPER.joint, PAPER.joint.weights
    assert (PAPER.pretraining.epochs, joint.epochs) == (50, 75)
    assert (weights.latent, weights.rgb, weights.tv_planes) == (1, 1, 1e-4)
    assert (weights.ae_synthetic, weights.ae_real) == (0.1, 0.1)
    assert (weights.perceptual, weights.tv_latents) == (0.1, 1e-4)
    assert (joint.scenes_per_batch * joint.views_per_scene, joint.photos_per_batch) == (12, 3)
    assert (joint.encoder_learning_rate, joint.decoder_learning_rate) == (5e-5, 5e-5)
    assert joint.planes_learning_rate == 1e-4
    assert joint.final_learning_rate == pytest.approx(0.988**joint.epochs)
    assert PAPER.size == 128


def test_the_paper_preset_has_the_papers_units() -> None:
    """Weights of Table 15 are for images in [-1, 1] and squashed latents; TV is Eqs. 13 and 14 as they stand."""
    assert (PAPER.units, PAPER.tv, PAPER.joint.photo_crops) == ("released", "paper", "centre")
    assert (PAPER.perceptual, PAPER.joint.latent_unit) == ("lpips", "reference")
    # The released code divides by H + W in the first phase: 1e-5 / 128 of squared differences of 64 x 64 cells.
    assert PAPER.pretraining.tv_weight / 64**2 == pytest.approx(1e-5 / 128)
    assert (PAPER.joint.latent_noise, PAPER.joint.largest_gradient) == (0.0, None)
    assert PAPER.joint.mlp_learning_rate == 1e-4
    first = PAPER.pretraining
    assert (first.planes_learning_rate, first.mlp_learning_rate) == (1e-3, 1e-3)
    assert first.scenes_per_batch * first.views_per_scene == 32
    assert first.final_learning_rate == pytest.approx(0.988**50)


def test_the_same_numbers_in_this_packages_units_are_another_preset() -> None:
    old = PRESETS["paper-normalised"]
    assert (old.units, old.tv, old.joint.photo_crops) == ("normalised", "mean", "random")
    assert old.joint.weights == PAPER.joint.weights
    assert old.pretraining == replace(PAPER.pretraining, tv_weight=1e-5)
    assert replace(old.joint, photo_crops="centre") == PAPER.joint


def test_l_latent_has_one_unit() -> None:
    config = replace(PAPER, joint=replace(PAPER.joint, latent_unit="object"))
    with pytest.raises(InputError, match=r"^joint.latent_unit: is object with `units` released; expected re"):
        config.check()
    replace(config, units="normalised").check()


def test_windows_lie_within_views() -> None:
    config = replace(TINY, joint=replace(TINY.joint, window=TINY.size))
    config.check()
    assert (config.window, TINY.window) == (TINY.size, TINY.size)
    with pytest.raises(InputError, match=r"^joint.window: is 72; expected at most `size`, which is 64"):
        replace(TINY, joint=replace(TINY.joint, window=72)).check()


def changed(config: Any, path: str, value: object) -> Any:
    outer, _, inner = path.partition(".")
    return replace(config, **{outer: changed(getattr(config, outer), inner, value) if inner else value})


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_in_range(name: IgaePreset) -> None:
    PRESETS[name].check()


@pytest.mark.parametrize(
    ("path", "value", "lowest"),
    [
        ("size", 0, 16),
        ("seed", -1, 0),
        ("scenes.resolution", 1, 2),
        ("scenes.hidden", 0, 1),
        ("scenes.sampling.grid_every", 0, 1),
        ("pretraining.scenes_per_batch", 0, 1),
        ("joint.views_per_scene", 0, 1),
        ("joint.encoder_learning_rate", float("nan"), 0),
        ("joint.largest_gradient", float("nan"), 0),
        ("joint.weights.latent", float("inf"), 0),
        ("joint.epochs", -1.0, 0),
    ],
)
def test_values_out_of_range_are_named_as_in_a_settings_file(path: str, value: float, lowest: int) -> None:
    with pytest.raises(InputError, match=rf"^{path}: is {value}; expected at least {lowest}$"):
        changed(TINY, path, value).check()


def test_presets_grow() -> None:
    assert [*PRESETS] == ["tiny", "small", "paper", "paper-normalised"]
    for smaller, larger in ((TINY, SMALL), (SMALL, PAPER)):
        assert smaller.size <= larger.size
        assert smaller.scenes.resolution < larger.scenes.resolution
        assert smaller.joint.scenes_per_batch < larger.joint.scenes_per_batch


@pytest.mark.parametrize(
    ("ablation", "has_3d", "has_preservation", "moves_scenes"),
    [
        ("none", True, True, True),
        ("no-3d", False, True, False),
        ("no-preservation", True, False, True),
        ("frozen-scenes", True, True, False),
    ],
)
def test_ablations(ablation: Ablation, has_3d: bool, has_preservation: bool, moves_scenes: bool) -> None:
    config = replace(IgaeConfig(), ablation=ablation)
    assert (config.has_3d, config.has_preservation, config.moves_scenes) == (
        has_3d,
        has_preservation,
        moves_scenes,
    )
