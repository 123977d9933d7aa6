"""Which term of the objective moves what: encoder (phi), decoder (psi), planes and shared MLP (tau)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from helpers.igae_data import CONFIG, SIZE, with_weights, write_scenes
from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.autoencoders.image_data import centre_square
from latentfields.autoencoders.load import load_autoencoder
from latentfields.autoencoders.losses import perceptual_loss
from latentfields.correspondences.pair_batches import PairImages
from latentfields.igae.batches import photo_crops
from latentfields.igae.config import EPOCH_DECAY, Ablation, IgaeConfig, LatentUnit
from latentfields.igae.image_cache import cache_photos, cache_scenes
from latentfields.igae.joint import JointBatch, JointTrainer
from latentfields.igae.objective import Pictures
from latentfields.igae.scene_training import WHITE, SceneTraining
from latentfields.igae.scenes import ActiveScene, LatentScenes
from latentfields.igae.watch import scene_scores, watch_scenes
from latentfields.training.distributed import Processes

CPU = torch.device("cpu")
TrainerOf = Callable[[IgaeConfig], JointTrainer]
ENCODER, DECODER, PLANES, MLP = "encoder", "decoder", "planes", "mlp"

MOVED_BY = {
    "latent": {ENCODER, PLANES, MLP},
    "rgb": {DECODER, PLANES, MLP},
    "tv_planes": {PLANES},
    "ae_synthetic": {ENCODER, DECODER},
    "ae_real": {ENCODER, DECODER},
    "correspondence": {ENCODER},
    "exchange": {ENCODER, DECODER},
}


@pytest.fixture(scope="module")
def validated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenes with validation views."""
    return write_scenes(tmp_path_factory.mktemp("validated"), count=2, val_fraction=0.25)


@pytest.fixture
def trainer_of(data: Path, prepared: Path, validated: Path) -> Iterator[TrainerOf]:
    trainers = []

    def make(config: IgaeConfig) -> JointTrainer:
        held_out = config.joint.held_out_views > 0
        views = cache_scenes(
            [validated if held_out else data / "scenes"],
            size=SIZE,
            background=WHITE,
            grid_resolution=8,
            cache=prepared,
            with_validation=held_out,
        )
        photos = cache_photos([data / "photos"], size=SIZE, cache=prepared)
        autoencoder = load_autoencoder(data / "base")
        training = SceneTraining(config, views, autoencoder, device=CPU)
        trainers.append(
            JointTrainer(
                autoencoder,
                training,
                photos,
                config,
                perceptual=perceptual_loss(config.perceptual, CPU),
                processes=Processes(),
                observer=None,
                pairs=PairImages.open(
                    [data / "correspondences"],
                    size=SIZE,
                    window=config.window,
                    factor=autoencoder.factor,
                    name="correspondences",
                )
                if config.has_correspondences
                else None,
            )
        )
        return trainers[-1]

    yield make
    for trainer in trainers:
        trainer.batches.close()


def moved(trainer: JointTrainer) -> tuple[set[str], dict[str, float]]:
    """What has a gradient after one backward pass, with the loss's value."""
    batch, _ = trainer.batches.get(0)
    active = trainer.training.scenes.fetch(batch.mine.scenes)
    loss, values = trainer.loss(batch, active)
    loss.backward()
    parts: dict[str, list[Tensor]] = {
        ENCODER: list(trainer.autoencoder.encoder_parameters()),
        DECODER: list(trainer.autoencoder.decoder_parameters()),
        PLANES: [scene.planes for scene in active],
        MLP: list(trainer.training.renderer.parameters()),
    }
    return {
        name
        for name, parameters in parts.items()
        if any(p.grad is not None and bool(p.grad.abs().max() > 0) for p in parameters)
    }, values


@pytest.mark.parametrize("term", MOVED_BY)
def test_a_term_alone_moves_what_the_paper_says(trainer_of: TrainerOf, term: str) -> None:
    parts, values = moved(trainer_of(with_weights(**{term: 1.0})))
    assert parts == MOVED_BY[term]
    assert values["loss"] == pytest.approx(values[term], rel=1e-5)
    assert values["loss"] > 0


RELEASED = replace(CONFIG, units="released", tv="paper")


def terms_of(trainer: JointTrainer) -> dict[str, float]:
    batch, _ = trainer.batches.get(0)
    return trainer.loss(batch, trainer.training.scenes.fetch(batch.mine.scenes))[1]


def test_released_units_are_those_of_the_released_code(trainer_of: TrainerOf) -> None:
    """Images in [-1, 1] are four times as far apart; latents are squashed; what is no squared norm stays."""
    trainer = trainer_of(RELEASED)
    ours, theirs = terms_of(trainer_of(CONFIG)), terms_of(trainer)
    for name in ("rgb", "ae_synthetic", "ae_real"):
        assert theirs[name] == pytest.approx(4 * ours[name], rel=1e-5), name
    assert theirs["perceptual"] == pytest.approx(ours["perceptual"], rel=1e-5)
    batch, _ = trainer.batches.get(0)
    active = trainer.training.scenes.fetch(batch.mine.scenes)
    autoencoder = trainer.autoencoder
    with torch.no_grad():
        encoded = autoencoder.codec.encode(batch.pictures.images)[0]
        rendered = autoencoder.raw(trainer._renderings(batch, active).seen.features)
        expected = ((0.02 * encoded).tanh() - (0.02 * rendered).tanh()).square().mean()
    assert theirs["latent"] == pytest.approx(float(expected), rel=1e-3)


@pytest.mark.parametrize("term", MOVED_BY)
def test_a_term_moves_the_same_parts_in_released_units(trainer_of: TrainerOf, term: str) -> None:
    parts, values = moved(trainer_of(replace(with_weights(**{term: 1.0}), units="released", tv="paper")))
    assert parts == MOVED_BY[term]
    assert values["loss"] == pytest.approx(values[term], rel=1e-5)


def test_variations_of_the_paper_are_sums(trainer_of: TrainerOf) -> None:
    """Eq. 14 for every scene of the batch; Eq. 13 of raw latents, meaned over photographs."""
    trainer = trainer_of(RELEASED)
    values = terms_of(trainer)
    batch, _ = trainer.batches.get(0)
    active = trainer.training.scenes.fetch(batch.mine.scenes)

    def squares(maps: Tensor) -> float:
        height, width = maps.shape[1:3]
        return float((maps.diff(dim=1).square().sum() + maps.diff(dim=2).square().sum()) / (height * width))

    planes = sum(squares(scene.planes.detach()) for scene in active)
    assert values["tv_planes"] == pytest.approx(planes, rel=1e-5)
    with torch.no_grad():
        latents = trainer.autoencoder.codec.encode(batch.pictures.photos)[0]
    count, _, height, width = latents.shape
    lengths = latents.diff(dim=2).norm(dim=1).sum() + latents.diff(dim=3).norm(dim=1).sum()
    assert values["tv_latents"] == pytest.approx(float(lengths) / (count * height * width), rel=1e-4)


@pytest.mark.parametrize("config", [CONFIG, RELEASED], ids=["normalised", "released"])
def test_parts_of_a_batch_add_up_to_it(trainer_of: TrainerOf, config: IgaeConfig) -> None:
    """Whatever shares of a batch processes have: also of what is a sum over scenes, and no mean."""
    trainer = trainer_of(config)
    batch, _ = trainer.batches.get(0)
    whole, images = batch.whole, batch.pictures
    assert len(whole.scenes) == len(images.photos) == 2
    assert images.noise is not None
    views = len(images.images) // 2
    added: dict[str, float] = {}
    for number in range(2):
        mine = whole.part(slice(number, number + 1), slice(number, number + 1))
        own = slice(number * views, (number + 1) * views)
        noise = torch.cat([images.noise[: 2 * views][own], images.noise[2 * views :][number : number + 1]])
        part = Pictures(images.images[own], images.photos[number : number + 1], noise)
        active = trainer.training.scenes.fetch(mine.scenes)
        for name, value in trainer.loss(
            JointBatch(whole, mine, part, batch.corners[number : number + 1]), active
        )[1].items():
            added[name] = added.get(name, 0.0) + value
    together = trainer.loss(batch, trainer.training.scenes.fetch(whole.scenes))[1]
    assert added == pytest.approx(together, rel=1e-4)


def test_photographs_of_the_paper_are_their_central_squares(trainer_of: TrainerOf) -> None:
    trainer = trainer_of(replace(CONFIG, joint=replace(CONFIG.joint, photo_crops="centre")))
    assert trainer.photos is not None
    squares = [centre_square(photo, size=SIZE) for photo in trainer.photos.train.photos]
    for index in range(3):
        batch, _ = trainer.batches.get(index)
        for photo in batch.pictures.photos:
            assert any(torch.equal(photo, square) for square in squares)


def test_noise_is_in_what_the_preservation_decodes_and_nowhere_else(trainer_of: TrainerOf) -> None:
    def values(noise: float) -> dict[str, float]:
        trainer = trainer_of(replace(CONFIG, joint=replace(CONFIG.joint, latent_noise=noise)))
        batch, _ = trainer.batches.get(0)
        active = trainer.training.scenes.fetch(batch.mine.scenes)
        return trainer.loss(batch, active)[1]

    clean, noisy = values(0.0), values(0.5)
    changed = {name for name in clean if clean[name] != pytest.approx(noisy[name], rel=1e-6)}
    assert changed == {"ae_synthetic", "ae_real", "perceptual", "ae", "loss"}


def test_latents_can_be_draws_from_the_posterior(
    trainer_of: TrainerOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One draw for each image, that of its seed, everywhere: in the latent term as in what is decoded."""
    config = replace(CONFIG, joint=replace(CONFIG.joint, latents="sample", latent_noise=0.0))
    trainer = trainer_of(config)
    batch, _ = trainer.batches.get(0)
    draws = batch.pictures.draws
    assert draws is not None
    assert float(draws.std()) == pytest.approx(1, abs=0.1)
    half = batch.whole.part(slice(1, 2), slice(1, 2))
    views = len(batch.pictures.images) // 2
    own = torch.cat([draws[views : 2 * views], draws[2 * views + 1 :]])
    assert torch.equal(trainer._draws(half), own)  # type: ignore[arg-type]
    posterior = type(trainer.autoencoder).posterior
    spread = torch.tensor(0.3)

    def wide(self: Autoencoder, images: Tensor) -> tuple[Tensor, Tensor | None]:
        mean = posterior(self, images)[0]
        return mean, (2 * spread.log()).expand_as(mean)

    monkeypatch.setattr(Autoencoder, "posterior", wide)
    drawn = terms_of(trainer)
    active = trainer.training.scenes.fetch(batch.mine.scenes)
    with torch.no_grad():
        means = wide(trainer.autoencoder, batch.pictures.images)[0]
        rendered = trainer._renderings(batch, active).seen.features
        expected = (means + spread * draws[: len(means)] - rendered).square().mean()
    assert drawn["latent"] == pytest.approx(float(expected), rel=1e-3)
    plain = terms_of(trainer_of(replace(CONFIG, joint=replace(CONFIG.joint, latent_noise=0.0))))
    changed = {name for name in plain if plain[name] != pytest.approx(drawn[name], rel=1e-6)}
    assert {"latent", "ae_synthetic", "ae_real", "tv_latents"} <= changed
    assert not {"rgb", "tv_planes"} & changed


@pytest.mark.parametrize(("term", "parts"), [("perceptual", {ENCODER, DECODER}), ("tv_latents", {ENCODER})])
def test_terms_inside_equation_10(trainer_of: TrainerOf, term: str, parts: set[str]) -> None:
    """They share the weight of Eq. 10 with the reconstruction: their own part is the difference."""
    alone = trainer_of(with_weights(ae_real=1.0))
    both = trainer_of(with_weights(**{"ae_real": 1.0, term: 1.0}))
    names = {ENCODER: alone.autoencoder.encoder_parameters, DECODER: alone.autoencoder.decoder_parameters}
    moved(alone), moved(both)
    different = set()
    for name in names:
        a = getattr(alone.autoencoder, f"{name}_parameters")()
        b = getattr(both.autoencoder, f"{name}_parameters")()
        if any(not torch.allclose(x.grad, y.grad, rtol=1e-5, atol=1e-9) for x, y in zip(a, b, strict=True)):
            different.add(name)
    assert different == parts


@pytest.mark.parametrize(
    ("ablation", "parts"),
    [
        ("none", {ENCODER, DECODER, PLANES, MLP}),
        ("no-3d", {ENCODER, DECODER}),
        ("no-preservation", {ENCODER, DECODER, PLANES, MLP}),
        ("frozen-scenes", {ENCODER, DECODER}),
    ],
)
def test_ablations_move_what_they_should(trainer_of: TrainerOf, ablation: Ablation, parts: set[str]) -> None:
    found, values = moved(trainer_of(replace(CONFIG, ablation=ablation)))
    assert found == parts
    assert ("3d" in values) == (ablation != "no-3d")
    assert ("ae" in values) == (ablation != "no-preservation")


def test_the_background_is_that_of_the_start_and_takes_no_gradient(trainer_of: TrainerOf) -> None:
    """L_RGB sees the background through the rendering; the encoder must not move by it, nor move it."""
    trainer = trainer_of(with_weights(rgb=1.0))
    start = trainer.autoencoder.background_latent(WHITE).detach()
    moved(trainer)
    assert all(p.grad is None or not p.grad.any() for p in trainer.autoencoder.encoder_parameters())
    batch, _ = trainer.batches.get(0)
    active = trainer.training.scenes.fetch(batch.mine.scenes)
    with torch.no_grad():
        last: Any = trainer.training.renderer.head.geometry[2]
        last.bias[0] = -20.0  # Empty scenes: only background is seen.
        for parameter in trainer.autoencoder.encoder_parameters():
            parameter.mul_(1.5)
        rendered = trainer._renderings(batch, active).seen.features
        assert not torch.allclose(start, trainer.autoencoder.background_latent(WHITE))
    torch.testing.assert_close(rendered, start.view(1, -1, 1, 1).expand_as(rendered), atol=1e-4, rtol=1e-4)


def test_a_step_moves_only_scenes_of_the_batch(trainer_of: TrainerOf) -> None:
    trainer = trainer_of(CONFIG)
    before = trainer.training.scenes.planes.clone()
    trainer.step(0, 0.0)
    batch = set(trainer.schedule.plan(0).scenes)
    for index, planes in enumerate(trainer.training.scenes.planes):
        assert torch.equal(planes, before[index]) == (index not in batch)


def test_every_learning_rate_decays_by_what_is_left_after_an_epoch(
    trainer_of: TrainerOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Table 15: encoder, decoder, planes and MLP, each from a rate of its own."""
    rates = {"encoder": 4e-4, "decoder": 3e-4, "planes": 2e-3, "mlp": 1e-3}
    joint = replace(
        CONFIG.joint,
        encoder_learning_rate=rates["encoder"],
        decoder_learning_rate=rates["decoder"],
        planes_learning_rate=rates["planes"],
        mlp_learning_rate=rates["mlp"],
        final_learning_rate=EPOCH_DECAY**75,
    )
    trainer = trainer_of(replace(CONFIG, joint=joint))
    trainer.training.begin_phase(joint)
    of_planes: list[float] = []
    update = LatentScenes.update

    def watched(self: LatentScenes, scenes: Sequence[ActiveScene], *, learning_rate: float) -> None:
        of_planes.append(learning_rate)
        update(self, scenes, learning_rate=learning_rate)

    monkeypatch.setattr(LatentScenes, "update", watched)
    for index, epoch in enumerate((0, 30, 60, 75)):
        trainer.step(index, epoch / 75)
        encoder, decoder = (group["lr"] for group in trainer.optimizer.param_groups)
        (mlp,) = (group["lr"] for group in trainer.training.optimizer.param_groups)
        found = {"encoder": encoder, "decoder": decoder, "planes": of_planes[-1], "mlp": mlp}
        assert found == pytest.approx({name: rate * 0.988**epoch for name, rate in rates.items()})
    groups = [list(map(id, group["params"])) for group in trainer.optimizer.param_groups]
    assert groups == [
        list(map(id, trainer.autoencoder.encoder_parameters())),
        list(map(id, trainer.autoencoder.decoder_parameters())),
    ]


def test_a_batch_shows_the_views_and_photographs_of_its_plan(trainer_of: TrainerOf) -> None:
    trainer = trainer_of(CONFIG)
    assert trainer.photos is not None
    for step in (0, 1):
        plan = trainer.schedule.plan(step)
        batch, _ = trainer.batches.get(step)
        assert torch.equal(batch.pictures.images, trainer.training.views.images(torch.cat(plan.views)))
        assert torch.equal(batch.pictures.photos, photo_crops(trainer.photos.train, plan.photo_seeds))
    scenes = trainer.training.views.train
    assert sorted(view for scene in scenes for view in scene.tolist()) == sorted(
        {view for step in range(60) for views in trainer.schedule.plan(step).views for view in views.tolist()}
    )


@pytest.mark.parametrize("ablation", ["no-3d", "frozen-scenes"])
def test_scenes_rest_in_ablations_without_them(trainer_of: TrainerOf, ablation: Ablation) -> None:
    trainer = trainer_of(replace(CONFIG, ablation=ablation))
    before = {name: tensor.clone() for name, tensor in trainer.training.state()[0].items()}
    for step in range(3):
        trainer.step(step, step / 3)
    after, _ = trainer.training.state()
    assert before.keys() == after.keys()
    for name, tensor in after.items():
        assert torch.equal(tensor, before[name]), name


def shrink_encoder(trainer: JointTrainer) -> None:
    """Halve all latents about their mean over the normalised images."""
    codec: Any = trainer.autoencoder.codec
    with torch.no_grad():
        for last in (codec.encoder.layers[-1], codec.encoder.linear):
            last.weight *= 0.5
            last.bias *= 0.5


def test_statistics_stay_fixed_so_that_shrinking_latents_shows(trainer_of: TrainerOf) -> None:
    """An encoder that halves its output is seen in the log as half the spread."""
    trainer = trainer_of(CONFIG)
    statistics = trainer.autoencoder.statistics

    def spread() -> float:
        return scene_scores(watch_scenes(trainer.autoencoder, trainer.training, render=True))[
            "view_latent_spread"
        ]

    before = spread()
    shrink_encoder(trainer)
    assert spread() == pytest.approx(before / 2, rel=1e-4)
    trainer.step(0, 0.0)
    assert trainer.autoencoder.statistics == statistics


@pytest.mark.parametrize("unit", ["reference", "object"])
def test_latent_term_moves_the_same_parts_in_either_unit(trainer_of: TrainerOf, unit: LatentUnit) -> None:
    config = with_weights(latent=1.0)
    parts, _ = moved(trainer_of(replace(config, joint=replace(config.joint, latent_unit=unit))))
    assert parts == MOVED_BY["latent"]


def with_joint(**options: Any) -> IgaeConfig:
    return replace(CONFIG, joint=replace(CONFIG.joint, **options))


def test_held_out_views_move_encoder_and_decoder_but_no_scene(trainer_of: TrainerOf) -> None:
    trainer = trainer_of(with_joint(held_out_views=1))
    batch, _ = trainer.batches.get(0)
    active = trainer.training.scenes.fetch(batch.mine.scenes)
    features = trainer._renderings(batch, active).seen.features
    assert len(features) == 4
    assert len(batch.pictures.images) == 4
    mine = batch.mine
    (first, held), (second, other) = mine.views
    validation = trainer.training.views.validation
    assert int(held) in validation[mine.scenes[0]].tolist()
    assert int(other) in validation[mine.scenes[1]].tolist()
    parameters = [scene.planes for scene in active] + [*trainer.training.renderer.parameters()]

    def gradients(rows: list[int]) -> bool:
        of = torch.autograd.grad(
            features[rows].square().sum(), parameters, retain_graph=True, allow_unused=True
        )
        return any(gradient is not None and bool(gradient.any()) for gradient in of)

    assert gradients([0, 2])
    assert not gradients([1, 3])
    train = trainer.training.views.train
    assert int(first) in train[mine.scenes[0]].tolist()
    assert int(second) in train[mine.scenes[1]].tolist()


def test_views_and_scenes_move_together(trainer_of: TrainerOf) -> None:
    """Moved by a whole latent, a rendering is the one without, a latent further."""
    trainer = trainer_of(CONFIG)
    training = trainer.training
    (scene,) = training.scenes.fetch([0])
    cameras = training.cameras[training.views.train[0][:2]]
    with torch.no_grad():
        still = training.render_scene(scene, cameras, generator=None).features
        corners = torch.tensor([[1, 0], [0, 1]])
        windows = cameras.windows(corners, width=cameras.width, height=cameras.height)
        moved = training.render_scene(scene, windows, generator=None).features
    torch.testing.assert_close(moved[0, :, :, :-1], still[0, :, :, 1:], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(moved[1, :, :-1], still[1, :, 1:], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("side", [SIZE, 16])
def test_a_batch_shows_its_windows(trainer_of: TrainerOf, side: int) -> None:
    """The whole objective sees windows: of views, of the renderings of their scenes, and of photographs."""
    trainer = trainer_of(with_joint(window=side, window_offsets="pixels"))
    batch, _ = trainer.batches.get(0)
    whole = trainer.training.views.images(torch.cat(batch.mine.views))
    expected = trainer.windows.cut(whole, torch.cat(batch.corners))
    assert torch.equal(batch.pictures.images, expected)
    assert torch.cat(batch.corners).any()
    assert batch.pictures.photos.shape == (2, 3, side, side)
    active = trainer.training.scenes.fetch(batch.mine.scenes)
    assert trainer._renderings(batch, active).seen.features.shape[-1] == side // trainer.autoencoder.factor
    assert trainer.loss(batch, active)[1]["loss"] > 0


def test_changed_latents_concern_the_preservation_alone(trainer_of: TrainerOf) -> None:
    plain = terms_of(trainer_of(CONFIG))
    changed = terms_of(trainer_of(with_joint(equivariance="shift", equivariance_share=1.0)))
    different = {name for name in plain if plain[name] != pytest.approx(changed[name], rel=1e-5)}
    assert different == {"ae_synthetic", "ae_real", "perceptual", "ae", "loss"}


def test_terms_in_bfloat16_are_near_those_in_float32(trainer_of: TrainerOf) -> None:
    exact, rounded = terms_of(trainer_of(CONFIG)), terms_of(trainer_of(with_joint(precision="bfloat16")))
    assert exact != rounded
    for name, value in exact.items():
        assert rounded[name] == pytest.approx(value, rel=0.03, abs=1e-5), name


OPTIONS: dict[str, dict[str, Any]] = {
    "windows": {"window": 16, "window_offsets": "pixels"},
    "equivariance": {"equivariance": "all", "equivariance_share": 0.7},
    "held-out": {"held_out_views": 1},
    "bfloat16": {"precision": "bfloat16"},
    "average": {"average_decay": 0.5, "accumulation": 2},
    "correspondences": {
        "weights": replace(CONFIG.joint.weights, correspondence=0.1, exchange=1.0),
        "pairs_per_batch": 3,
        "accumulation": 2,
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_a_restored_training_goes_on_byte_for_byte(trainer_of: TrainerOf, options: dict[str, Any]) -> None:
    config = with_joint(**options)
    first, second = trainer_of(config), trainer_of(config)
    for trainer in (first, second):
        trainer.training.begin_phase(config.joint)
    for step in range(4):
        if step == 2:
            tensors, metadata = first.state()
            second.restore({name: tensor.clone() for name, tensor in tensors.items()}, metadata)
        for trainer in (first, second) if step >= 2 else (first,):
            trainer.step(step, step / 4)
    expected, found = first.state()[0], second.state()[0]
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        assert torch.equal(tensor, found[name]), name


@pytest.mark.parametrize("count", [2, 3])
def test_a_batch_in_parts_has_the_gradient_of_the_whole(trainer_of: TrainerOf, count: int) -> None:
    """Two scenes of two views, three photographs and four pairs, with noise: of three parts none is like another."""
    weights = replace(CONFIG.joint.weights, correspondence=0.3, exchange=1.0)
    config = with_joint(views_per_scene=2, photos_per_batch=3, pairs_per_batch=4, weights=weights)

    def gradients(parts: int) -> tuple[list[Tensor], dict[str, float]]:
        trainer = trainer_of(config)
        batch, _ = trainer.batches.get(0)
        active = trainer.training.scenes.fetch(batch.mine.scenes)
        total: dict[str, float] = {}
        for scenes, part in batch.parts(parts):
            loss, values = trainer.loss(part, active[scenes])
            loss.backward()
            total = {name: total.get(name, 0.0) + value for name, value in values.items()}
        moved = [*trainer.autoencoder.parameters(), *trainer.training.renderer.parameters()]
        return [p.grad for p in [*moved, *(scene.planes for scene in active)] if p.grad is not None], total

    (whole, terms), (added, sums) = gradients(1), gradients(count)
    assert sums == pytest.approx(terms, rel=1e-4)
    assert len(whole) == len(added) > 10
    for one, other in zip(whole, added, strict=True):
        torch.testing.assert_close(other, one, atol=1e-5 * float(one.abs().max()) + 1e-9, rtol=1e-3)


def test_latents_that_agree_cost_nothing_but_their_reconstruction(trainer_of: TrainerOf) -> None:
    """A view beside itself: L_corres is 0, and what is exchanged is what was there."""
    trainer = trainer_of(with_weights(correspondence=1.0, exchange=1.0))
    batch, _ = trainer.batches.get(0)
    apart = trainer.loss(batch, [])[1]
    pairs = batch.pictures.pairs
    assert pairs is not None
    same = replace(
        pairs,
        images=torch.cat([pairs.images[: len(pairs.shared)]] * 2),
        positions=torch.stack([pairs.positions[:, :, 0]] * 2, dim=2),
    )
    pictures = replace(batch.pictures, pairs=same)
    together = trainer.loss(replace(batch, pictures=pictures), [])[1]
    assert 0.01 < apart["correspondence"] < 10
    assert together["correspondence"] == 0
    with torch.no_grad():
        images = same.images[: len(same.shared)]
        decoded = trainer.autoencoder.decode(trainer.autoencoder.encode(images))
    assert together["exchange"] == pytest.approx(float((decoded - images).square().mean()), rel=1e-4)
    assert together["exchange"] < apart["exchange"]


def test_a_step_in_parts_logs_and_moves_as_the_whole(trainer_of: TrainerOf) -> None:
    one, other = trainer_of(CONFIG), trainer_of(with_joint(accumulation=2))
    values, parts = one.step(0, 0.0), other.step(0, 0.0)
    del values["data_wait_seconds"], parts["data_wait_seconds"]
    assert parts == pytest.approx(values, rel=1e-4)
    start = load_autoencoder(one.autoencoder.name)
    for trainer in (one, other):
        change = [
            (new - old).detach()
            for new, old in zip(trainer.autoencoder.parameters(), start.parameters(), strict=True)
        ]
        assert float(torch.cat([part.flatten() for part in change]).abs().max()) > 1e-4


def test_the_average_follows_the_weights(trainer_of: TrainerOf) -> None:
    trainer = trainer_of(with_joint(average_decay=0.75))
    expected = None
    for step in range(3):
        trainer.step(step, step / 3)
        now = [parameter.detach().clone() for parameter in trainer.autoencoder.parameters()]
        before = now if expected is None else expected
        expected = [0.75 * old + 0.25 * new for old, new in zip(before, now, strict=True)]
    assert expected is not None
    assert trainer.result is not trainer.autoencoder
    for found, value in zip(trainer.result.parameters(), expected, strict=True):
        torch.testing.assert_close(found.detach(), value)
    assert trainer_of(CONFIG).result.name == trainer.result.name
