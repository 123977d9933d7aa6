from dataclasses import replace

import pytest

from latentfields.igae.config import PAPER, PRESETS, SMALL, TINY, IgaeConfig


def test_the_paper_preset_is_table_15():
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


def test_presets_grow():
    assert [*PRESETS] == ["tiny", "small", "paper"]
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
def test_ablations(ablation, has_3d, has_preservation, moves_scenes):
    config = replace(IgaeConfig(), ablation=ablation)
    assert (config.has_3d, config.has_preservation, config.moves_scenes) == (
        has_3d,
        has_preservation,
        moves_scenes,
    )
