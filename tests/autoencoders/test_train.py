from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from helpers.photo_files import write_photos
from latentfields.autoencoders.autoencoder import Autoencoder, TrainableCodec
from latentfields.autoencoders.config import AutoencoderTrainingConfig, PatchAutoencoderConfig
from latentfields.autoencoders.image_data import TrainingImages, load_training_images
from latentfields.autoencoders.load import CLASSES, load_autoencoder
from latentfields.autoencoders.losses import kl_to_standard_normal, reconstruction_loss
from latentfields.autoencoders.patch import PatchAutoencoder
from latentfields.autoencoders.train import (
    AutoencoderTrainer,
    new_network,
    starting_images,
    train_autoencoder,
)
from latentfields.errors import InputError
from latentfields.files import write_json
from latentfields.training.checkpoint import load_tensors, save_tensors
from latentfields.training.loop import Interrupted, LoopConfig, read_log

ARCHITECTURE = PatchAutoencoderConfig(channels=4, patch=2, widths=(8, 12), blocks=(1, 1))
OPTIONS = AutoencoderTrainingConfig(
    steps=12, photos_per_batch=2, renders_per_batch=1, size=32, learning_rate=1e-3, warmup_steps=2
)
LOOP = LoopConfig(checkpoint_seconds=0, log_every=1)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("data") / "photos")


def train(
    out: Path,
    photo_folder: Path,
    scene_folder: Path,
    options: AutoencoderTrainingConfig = OPTIONS,
    **changes: object,
) -> Autoencoder:
    arguments: dict[str, object] = {
        "photos": (photo_folder,),
        "scenes": (scene_folder,),
        "out": out,
        "architecture": ARCHITECTURE,
        "loop": LOOP,
    }
    return train_autoencoder(options, **(arguments | changes))  # type: ignore[arg-type]


def linear_network(data: TrainingImages) -> PatchAutoencoder:
    """What a training starts from."""
    network = new_network(ARCHITECTURE, seed=0)
    network.initialise(starting_images(data, seed=0))
    return network


def losses(folder: Path, name: str = "reconstruction") -> list[float]:
    return [record[name] for record in read_log(folder)]


def test_losses() -> None:
    a, b = torch.tensor([[0.0, 1.0]]), torch.tensor([[0.5, 3.0]])
    assert float(reconstruction_loss(a, b, kind="mse")) == pytest.approx((0.25 + 4) / 2)
    assert float(reconstruction_loss(a, b, kind="l1")) == pytest.approx((0.5 + 2) / 2)


def test_kl_is_that_of_gaussians() -> None:
    generator = torch.Generator().manual_seed(0)
    mean = torch.randn(2, 3, 4, 4, generator=generator)
    log_variance = torch.randn(2, 3, 4, 4, generator=generator)
    posterior = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    expected = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0))
    assert float(kl_to_standard_normal(mean, log_variance)) == pytest.approx(float(expected.sum()) / 2)
    assert float(kl_to_standard_normal(torch.zeros(1, 2, 3, 3), torch.zeros(1, 2, 3, 3))) == 0


@pytest.mark.slow
def test_training_gets_better_than_the_linear_codec_it_starts_from(photos: Path, scene_folder: Path) -> None:
    data = load_training_images((photos,), (scene_folder,), size=32)
    options = replace(OPTIONS, steps=60, photos_per_batch=4, renders_per_batch=2)
    trainer = AutoencoderTrainer(linear_network(data), data, options)
    images = data.batch(photos=12, renders=6, generator=torch.Generator().manual_seed(99))

    def error() -> float:
        with torch.no_grad():
            return float((trainer.model.decode(trainer.model.encode(images)[0]) - images).square().mean())

    before = error()
    for index in range(60):
        trainer.step(index, index / 60)
    assert error() < 0.7 * before


@pytest.mark.slow
def test_the_result_is_saved_with_statistics(tmp_path: Path, photos: Path, scene_folder: Path) -> None:
    made = train(tmp_path / "run", photos, scene_folder)
    loaded = load_autoencoder(tmp_path / "run" / "autoencoder")
    assert loaded.statistics == made.statistics
    data = load_training_images((photos,), (scene_folder,), size=32)
    images = data.batch(photos=40, renders=20, generator=torch.Generator().manual_seed(5))
    latents = loaded.encode_batches(images).transpose(0, 1).flatten(1)
    torch.testing.assert_close(latents.mean(dim=1), torch.zeros(4), atol=0.25, rtol=0)
    torch.testing.assert_close(latents.std(dim=1), torch.ones(4), atol=0.25, rtol=0)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["training"]["steps"] == 12


@pytest.mark.slow
@pytest.mark.parametrize("death", [1, 7])
def test_died_and_resumed_equals_uninterrupted(
    tmp_path: Path, photos: Path, scene_folder: Path, monkeypatch: pytest.MonkeyPatch, death: int
) -> None:
    train(tmp_path / "straight", photos, scene_folder)
    with monkeypatch.context() as patch:
        step = AutoencoderTrainer.step

        def dying(self: AutoencoderTrainer, index: int, progress: float) -> dict[str, float]:
            if index == death:
                raise Interrupted(tmp_path, index)
            return step(self, index, progress)

        patch.setattr(AutoencoderTrainer, "step", dying)
        with pytest.raises(Interrupted):
            train(tmp_path / "resumed", photos, scene_folder)
    train(tmp_path / "resumed", photos, scene_folder)
    assert losses(tmp_path / "resumed") == losses(tmp_path / "straight")
    for path in (tmp_path / "straight" / "autoencoder").iterdir():
        assert path.read_bytes() == (tmp_path / "resumed" / "autoencoder" / path.name).read_bytes(), path.name


@pytest.mark.slow
def test_a_kl_weight_makes_the_encoder_variational_and_pulls_it_to_the_prior(
    tmp_path: Path, photos: Path, scene_folder: Path
) -> None:
    options = replace(OPTIONS, steps=40, kl_weight=1.0, warmup_steps=1)
    train(tmp_path, photos, scene_folder, options)
    kl = losses(tmp_path, "kl")
    assert sum(kl[-5:]) < 0.5 * sum(kl[:5])
    loaded = load_autoencoder(tmp_path / "autoencoder")
    image = torch.rand(1, 3, 32, 32)
    log_variance = loaded.posterior(image)[1]
    assert log_variance is not None
    assert not torch.equal(loaded.sample(image), loaded.encode(image))


@pytest.mark.slow
def test_l1_and_the_perceptual_term_are_used(tmp_path: Path, photos: Path, scene_folder: Path) -> None:
    options = replace(OPTIONS, steps=3, reconstruction="l1", perceptual_weight=0.5)
    train(tmp_path / "both", photos, scene_folder, options)
    train(tmp_path / "l1", photos, scene_folder, replace(options, perceptual_weight=0.0))
    assert losses(tmp_path / "both")[0] == losses(tmp_path / "l1")[0]
    assert losses(tmp_path / "both")[-1] != losses(tmp_path / "l1")[-1]
    assert losses(tmp_path / "both", "perceptual")[0] > 0


@pytest.mark.slow
def test_continuing_from_an_autoencoder_starts_with_its_weights(
    tmp_path: Path, photos: Path, scene_folder: Path
) -> None:
    train(tmp_path / "first", photos, scene_folder)
    start = tmp_path / "first" / "autoencoder"
    frozen = replace(OPTIONS, steps=1, learning_rate=0.0)
    train(tmp_path / "second", photos, scene_folder, frozen, start=start, architecture=None)
    name = "model.safetensors"
    assert (tmp_path / "second" / "autoencoder" / name).read_bytes() == (start / name).read_bytes()
    with pytest.raises(InputError, match=r"kl_weight: is 0.1, but the encoder of .* is not variational"):
        train(
            tmp_path / "third",
            photos,
            scene_folder,
            replace(OPTIONS, kl_weight=0.1),
            start=start,
            architecture=None,
        )


@pytest.mark.slow
def test_a_packaged_autoencoder_can_be_the_start(tmp_path: Path, photos: Path, scene_folder: Path) -> None:
    frozen = replace(OPTIONS, steps=1, learning_rate=0.0)
    made = train(tmp_path / "run", photos, scene_folder, frozen, start="base", architecture=None)
    base = load_autoencoder("base")
    assert isinstance(base.codec, PatchAutoencoder)
    assert isinstance(made.codec, PatchAutoencoder)
    for name, weights in base.codec.state_dict().items():
        assert torch.equal(weights, made.codec.state_dict()[name]), name


def test_photographs_or_scenes_alone_are_enough(tmp_path: Path, photos: Path, scene_folder: Path) -> None:
    options = replace(OPTIONS, steps=1)
    assert train(tmp_path / "photos", photos, scene_folder, options, scenes=()).has_statistics
    assert train(tmp_path / "scenes", photos, scene_folder, options, photos=()).has_statistics


@pytest.mark.parametrize(
    ("options", "changes", "problem"),
    [
        (replace(OPTIONS, size=30), {}, "size: is 30; expected a multiple of the factor 4"),
        (
            OPTIONS,
            {"photos": (), "scenes": ()},
            "photos: is empty, and so is `scenes`; name at least one folder",
        ),
        (
            OPTIONS,
            {"architecture": replace(ARCHITECTURE, blocks=(1,))},
            r"architecture.widths: are \(.*, and `architecture.blocks` \(1,\); expected one entry per level",
        ),
        (
            OPTIONS,
            {"architecture": replace(ARCHITECTURE, channels=49)},
            "architecture.channels: is 49; expected 1 to 48",
        ),
        (
            OPTIONS,
            {"start": "nowhere", "architecture": None},
            "nowhere: no such autoencoder; packaged: 'base'",
        ),
        (OPTIONS, {"start": "base"}, "architecture: is given beside `start`"),
        (replace(OPTIONS, learning_rate=float("nan")), {}, "learning_rate: is nan; expected at least 0"),
        (replace(OPTIONS, perceptual_weight=float("nan")), {}, "perceptual_weight: is nan"),
        (replace(OPTIONS, steps=0), {}, "steps: is 0; expected at least 1"),
        (replace(OPTIONS, size=0), {}, "size: is 0; expected at least 1"),
        (replace(OPTIONS, seed=-1), {}, "seed: is -1; expected at least 0"),
        (
            replace(OPTIONS, photos_per_batch=0, renders_per_batch=0),
            {},
            "photos_per_batch: is 0, and `renders_per_batch`",
        ),
        (
            replace(OPTIONS, photos_per_batch=0),
            {"scenes": ()},
            "photos_per_batch: is 0, and `renders_per_batch`",
        ),
    ],
)
def test_bad_requests_leave_nothing_behind(
    tmp_path: Path,
    photos: Path,
    scene_folder: Path,
    options: AutoencoderTrainingConfig,
    changes: dict[str, object],
    problem: str,
) -> None:
    with pytest.raises(InputError, match=problem):
        train(tmp_path / "run", photos, scene_folder, options, **changes)
    assert not (tmp_path / "run").exists()


@dataclass(frozen=True)
class PooledConfig:
    """Sizes of a `Pooled` codec."""

    factor: int = 4


class Pooled(TrainableCodec):
    """Mean colours of squares, scaled by three numbers: no convolution, and no way to be variational."""

    channels, variational = 3, False

    def __init__(self, config: PooledConfig = PooledConfig()) -> None:
        super().__init__()
        self.config = config
        self.scale = nn.Parameter(torch.zeros(3, 1, 1))
        self.initialised_from: torch.Size | None = None

    @property
    def factor(self) -> int:
        factor: int = self.config.factor
        return factor

    def initialise(self, images: Tensor) -> None:
        self.initialised_from = images.shape
        nn.init.constant_(self.scale, 0.5)

    def encode(self, images: Tensor) -> tuple[Tensor, None]:
        return nn.functional.avg_pool2d(images, self.factor), None

    def decode(self, latents: Tensor) -> Tensor:
        return (latents * self.scale).repeat_interleave(self.factor, 2).repeat_interleave(self.factor, 3)

    def encoder_module(self) -> nn.Module:
        return nn.Module()

    def decoder_module(self) -> nn.Module:
        return self

    def save(self, folder: Path) -> None:
        save_tensors(folder / "scale.safetensors", self.state_dict(), {})
        write_json(folder / "config.json", {"_class_name": "Pooled", "factor": self.factor})

    @classmethod
    def load(cls, folder: Path) -> Pooled:
        codec = cls()
        codec.load_state_dict(load_tensors(folder / "scale.safetensors")[0])
        return codec


@pytest.mark.slow
def test_a_codec_of_ones_own_is_trained_resumed_and_loaded(
    tmp_path: Path, photos: Path, scene_folder: Path
) -> None:
    options = replace(OPTIONS, steps=40, learning_rate=0.05)
    codec = Pooled()
    trained = train(tmp_path / "run", photos, scene_folder, options, architecture=codec)
    assert trained.codec is codec
    assert codec.initialised_from == (6, 3, 32, 32)
    lowest, highest = codec.scale.detach().flatten().aminmax()
    assert 0.5 < lowest < highest < 1.2
    again = train(tmp_path / "run", photos, scene_folder, options, architecture=Pooled())
    assert torch.equal(again.codec.scale, codec.scale)  # type: ignore[attr-defined]
    with pytest.raises(InputError, match=r"architecture\.factor: 4 there"):
        train(tmp_path / "run", photos, scene_folder, options)
    with pytest.raises(InputError, match="'Pooled'; expected one of PatchAutoencoder, AutoencoderKL"):
        load_autoencoder(tmp_path / "run" / "autoencoder")
    loaded = load_autoencoder(tmp_path / "run" / "autoencoder", classes={**CLASSES, "Pooled": Pooled.load})
    assert loaded.statistics == trained.statistics
    assert torch.equal(loaded.codec.scale, codec.scale)  # type: ignore[attr-defined]


def test_what_a_codec_cannot_do_is_named(tmp_path: Path, photos: Path, scene_folder: Path) -> None:
    for options, problem in (
        (replace(OPTIONS, kl_weight=1.0), "the encoder of Pooled is not variational"),
        (replace(OPTIONS, size=30), "expected a multiple of the factor 4"),
    ):
        with pytest.raises(InputError, match=problem):
            train(tmp_path / "run", photos, scene_folder, options, architecture=Pooled())
    assert not (tmp_path / "run").exists()


def test_other_settings_need_another_folder(tmp_path: Path, photos: Path, scene_folder: Path) -> None:
    train(tmp_path, photos, scene_folder, replace(OPTIONS, steps=1))
    with pytest.raises(InputError, match=r"training\.steps: 1 there, 2 now"):
        train(tmp_path, photos, scene_folder, replace(OPTIONS, steps=2))


def test_the_schedule_warms_up_and_decays(photos: Path) -> None:
    data = load_training_images((photos,), (), size=32)
    options = replace(OPTIONS, warmup_steps=4, final_learning_rate=0.1)
    trainer = AutoencoderTrainer(linear_network(data), data, options)
    rates: list[Tensor] = []
    for index in range(10):
        trainer.step(index, index / 10)
        rates.append(torch.tensor([o.param_groups[0]["lr"] for o in trainer.optimizers.values()]))
    muon, adam = torch.stack(rates).T.tolist()
    assert muon == pytest.approx([options.muon_factor * rate for rate in adam])
    assert adam.index(max(adam)) == 3
    assert adam[3:] == sorted(adam[3:], reverse=True)
    assert adam[0] == pytest.approx(options.learning_rate / 4)
    assert 0.1 * options.learning_rate < adam[-1] < 0.2 * options.learning_rate
    cosine = [0.1 + 0.9 * (1 + math.cos(math.pi * index / 10)) / 2 for index in range(10)]
    warm = [0.25, 0.5, 0.75] + [1.0] * 7
    expected = [options.learning_rate * a * b for a, b in zip(warm, cosine, strict=True)]
    assert adam == pytest.approx(expected)


def test_no_batch_moves_kernels_by_more_than_its_share(photos: Path) -> None:
    """However steep its loss is."""
    data = load_training_images((photos,), (), size=32)
    moved = []
    for weight in (0.0, 1e3):
        trainer = AutoencoderTrainer(
            linear_network(data), data, replace(OPTIONS, perceptual_weight=weight, renders_per_batch=0)
        )
        trainer.step(0, 0.0)
        state = trainer.optimizers["muon"].state
        moved.append([float(values["momentum"].norm()) for values in state.values()])
    # Branches that start at zero have no gradient yet.
    assert {round(norm, 5) for norm in moved[0]} == {0.0, 0.05}
    assert moved[1] == pytest.approx(moved[0], rel=1e-4)


def test_a_step_computes_where_the_network_is(
    monkeypatch: pytest.MonkeyPatch, photos: Path, scene_folder: Path
) -> None:
    """On the device `meta`, which refuses tensors of any other, up to where values are looked at."""
    plain = torch.optim.AdamW
    monkeypatch.setattr(torch.optim, "AdamW", lambda values, *, fused, **rates: plain(values, **rates))
    model = PatchAutoencoder(replace(ARCHITECTURE, variational=True)).to("meta")
    data = load_training_images((photos,), (scene_folder,), size=OPTIONS.size)
    options = replace(OPTIONS, perceptual_weight=1.0, kl_weight=1.0)
    trainer = AutoencoderTrainer(model, data, options)
    with pytest.raises(RuntimeError, match="Cannot copy out of meta tensor"):
        trainer.step(0, 0.0)
    assert all(parameter.grad is not None for parameter in model.parameters())
