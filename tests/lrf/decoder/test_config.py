"""The paper's configuration of stage III."""

from latentfields.lrf.decoder.config import PAPER, PRESETS, DecoderTrainingConfig
from latentfields.lrf.encoder import config as encoder


def test_the_paper_preset_is_eq_11_with_the_original_training() -> None:
    """App. A.3: "the same configuration as the original VAE", as stage I has it, without a KL term."""
    PAPER.check()
    assert (PAPER.train_weight, PAPER.novel_weight) == (0.5, 0.5)
    assert (PAPER.preservation_weight, PAPER.photos_per_batch) == (0.0, 0)
    first = encoder.PAPER
    assert (PAPER.learning_rate, PAPER.final_learning_rate) == (first.learning_rate, 1.0) == (4.5e-6, 1.0)
    assert (PAPER.beta1, PAPER.beta2) == (0.5, 0.9)
    assert (PAPER.perceptual, PAPER.perceptual_weight) == (first.perceptual, first.weights.perceptual)
    assert PAPER.perceptual == "lpips-vgg"
    assert PAPER.discriminator == first.discriminator == encoder.DiscriminatorConfig(start=501, weight=0.5)


def test_the_small_preset_is_the_default() -> None:
    assert PRESETS["small"] == DecoderTrainingConfig()
    assert PRESETS["small"].discriminator is None
