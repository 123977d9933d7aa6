"""Both stages on a small real scene: they must reach a quality, and touch only what the paper says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

import pytest
import torch
from torch import Tensor

from helpers.tiny import TINY_FIT
from latentfields import fit
from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.cameras import Rays
from latentfields.errors import ArgumentError, InputError
from latentfields.fields.config import TriPlaneConfig
from latentfields.fields.triplane import TriPlane
from latentfields.files import read_json
from latentfields.latent_nerf.build import new_model
from latentfields.latent_nerf.config import AlignmentObjective
from latentfields.latent_nerf.evaluate import evaluate_run
from latentfields.latent_nerf.losses import latent_supervision_loss, rgb_alignment_loss
from latentfields.latent_nerf.model import LatentNerf
from latentfields.latent_nerf.run import Run
from latentfields.latent_nerf.trainer import LatentNerfTrainer
from latentfields.measures.metrics import psnr
from latentfields.rendering.config import ProposalSamplingConfig
from latentfields.rendering.rendering import Rendering
from latentfields.scenes.scene import Scene


def trained(
    scene: Scene, autoencoder: Autoencoder | None, supervision: int, alignment: int, **changes: Any
) -> LatentNerfTrainer:
    config = replace(TINY_FIT.with_steps(supervision=supervision, alignment=alignment), **changes)
    trainer = LatentNerfTrainer(new_model(scene, autoencoder, config), scene, config)
    for index in range(trainer.total_steps):
        trainer.step(index, index / trainer.total_steps)
    return trainer


def test_the_losses_are_mean_squares() -> None:
    a, b = torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), 0.5)
    assert latent_supervision_loss(a, b) == 0.25
    assert rgb_alignment_loss(a, b) == 0.25


@pytest.mark.slow
@pytest.mark.parametrize("subpixels", [1, 2])
def test_supervision_then_alignment_reach_a_quality(
    scene: Scene, autoencoder: Autoencoder, subpixels: int
) -> None:
    trainer = trained(scene, autoencoder, 250, 250, subpixels=subpixels, decoder_learning_rate=2e-3)
    supervised, aligned = trainer.after_supervision["test_psnr"], trainer.test_psnr(None)
    assert supervised > 15
    assert aligned > 20
    assert aligned > supervised + 2  # Table 4's point.


@pytest.mark.slow
def test_an_ordinary_nerf_goes_through_the_same_code(scene: Scene) -> None:
    trainer = trained(scene, None, 100, 100, space="rgb", batch_rays=512)
    assert trainer.test_psnr(None) > 24
    assert trainer.after_supervision == {}


def test_alignment_leaves_the_encoder_alone_and_adapts_the_decoder(
    scene: Scene, autoencoder: Autoencoder
) -> None:
    before = {name: value.clone() for name, value in autoencoder.state_dict().items()}
    trainer = trained(scene, autoencoder, 4, 4)
    after = trainer.model.autoencoder
    assert after is not None
    changed = {name for name, value in after.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert all(".decoder." in name for name in changed)
    # The caller's autoencoder is not touched.
    assert all(torch.equal(value, before[name]) for name, value in autoencoder.state_dict().items())


def test_the_scene_alone_is_aligned_where_that_is_asked_for(scene: Scene, autoencoder: Autoencoder) -> None:
    """Its gradients are those of a full alignment: the first step is the same, and the decoder stays."""
    full = trained(scene, autoencoder, 4, 1)
    alone = trained(scene, autoencoder, 4, 1, alignment_kind="scene")
    assert alone.aligning
    assert alone.after_supervision == full.after_supervision
    for name, value in full.model.scene_state().items():
        assert torch.equal(value, alone.model.scene_state()[name]), name
    assert alone.model.autoencoder is not None
    for name, value in alone.model.autoencoder.state_dict().items():
        assert torch.equal(value, autoencoder.state_dict()[name]), name
    before = trained(scene, autoencoder, 4, 0).model.scene_state()
    assert any(not torch.equal(value, before[name]) for name, value in alone.model.scene_state().items())


def test_without_alignment_steps_of_it_do_not_count(scene: Scene, autoencoder: Autoencoder) -> None:
    trainer = trained(scene, autoencoder, 4, 3, alignment_kind="none")
    assert trainer.total_steps == 4
    assert not trainer.aligning
    expected = trained(scene, autoencoder, 4, 0).model.scene_state()
    for name, value in trainer.model.scene_state().items():
        assert torch.equal(value, expected[name]), name
    # There are no kinds of alignment in RGB space: its one stage is as long as both.
    assert replace(trainer.config, space="rgb").total_steps == 7
    with pytest.raises(InputError, match=r"supervision.steps: is 0 with `alignment_kind` none; expected at"):
        replace(TINY_FIT.with_steps(supervision=0, alignment=4), alignment_kind="none").check()


@pytest.mark.parametrize("objective", get_args(AlignmentObjective))
def test_alignment_keeps_or_drops_the_losses_of_field_and_sampler(
    scene: Scene, autoencoder: Autoencoder, objective: AlignmentObjective, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eq. 3 has none of them; Latent Supervision (Eq. 2) keeps them either way."""
    config = replace(
        TINY_FIT.with_steps(supervision=2, alignment=2),
        sampling=ProposalSamplingConfig(samples=6, proposal_samples=(8,), resolutions=(8,), features=2),
        alignment_objective=objective,
    )
    trainer = LatentNerfTrainer(new_model(scene, autoencoder, config), scene, config)
    own, stages = trainer._own_losses, []

    def counted(seen: Rendering) -> torch.Tensor:
        stages.append("alignment" if trainer.aligning else "supervision")
        assert seen.loss is not None
        return own(seen)

    monkeypatch.setattr(trainer, "_own_losses", counted)
    for index in range(4):
        trainer.step(index, index / 4)
    expected = ["supervision"] * 2 + (["alignment"] * 2 if objective == "regularised" else [])
    assert stages == expected


def test_alignment_by_eq_3_alone_moves_by_its_gradient_alone(scene: Scene, autoencoder: Autoencoder) -> None:
    """A field whose own losses weigh everything moves as one without any, but only by `rgb`."""

    def planes(objective: AlignmentObjective, tv_weight: float) -> torch.Tensor:
        assert isinstance(TINY_FIT.field, TriPlaneConfig)
        field = replace(TINY_FIT.field, tv_weight=tv_weight)
        config = replace(
            TINY_FIT.with_steps(supervision=0, alignment=2), field=field, alignment_objective=objective
        )
        trainer = LatentNerfTrainer(new_model(scene, autoencoder, config), scene, config)
        for index in range(2):
            trainer.step(index, index / 2)
        (weights,) = [value for name, value in trainer.model.scene_state().items() if name.endswith("planes")]
        return weights

    assert torch.equal(planes("rgb", 1e3), planes("rgb", 0.0))
    assert not torch.equal(planes("regularised", 1e3), planes("regularised", 0.0))


def test_supervision_does_not_move_the_decoder(scene: Scene, autoencoder: Autoencoder) -> None:
    config = TINY_FIT.with_steps(supervision=4, alignment=4)
    trainer = LatentNerfTrainer(new_model(scene, autoencoder, config), scene, config)
    for index in range(4):
        trainer.step(index, index / 8)
    after = trainer.model.autoencoder
    assert after is not None
    for name, value in autoencoder.state_dict().items():
        assert torch.equal(after.state_dict()[name], value)


@pytest.mark.parametrize("choice", ["keep", "reset"])
def test_the_fields_optimiser_is_kept_or_reset(
    scene: Scene, autoencoder: Autoencoder, choice: Literal["keep", "reset"]
) -> None:
    config = replace(TINY_FIT.with_steps(supervision=6, alignment=4), optimizer_at_alignment=choice)
    trainer = LatentNerfTrainer(new_model(scene, autoencoder, config), scene, config)
    for index in range(7):
        trainer.step(index, index / 10)
    steps = {int(state["step"]) for state in trainer.optimizer.state.values()}
    assert steps == ({7} if choice == "keep" else {1})


def test_learning_rates_decay_to_the_stage_s_end(scene: Scene, autoencoder: Autoencoder) -> None:
    config = TINY_FIT.with_steps(supervision=10, alignment=10)
    trainer = LatentNerfTrainer(new_model(scene, autoencoder, config), scene, config)
    assert isinstance(config.field, TriPlaneConfig)
    peak = config.field.planes_learning_rate
    trainer.step(0, 0.0)
    assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(peak)
    trainer.step(5, 0.25)
    assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(peak * 0.1**0.5)
    trainer.step(10, 0.5)
    assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(peak * 0.3)


def test_the_decoder_s_learning_rate_decays_to_the_stage_s_end(
    scene: Scene, autoencoder: Autoencoder
) -> None:
    """By a constant factor a step, which Table 16 gives: 0.9996."""
    steps = 20
    config = replace(
        TINY_FIT.with_steps(supervision=20, alignment=steps),
        decoder_learning_rate=1e-4,
        decoder_final_learning_rate=0.9996**steps,
    )
    trainer = LatentNerfTrainer(new_model(scene, autoencoder, config), scene, config)
    for index, stage_progress in enumerate((0.0, 0.5, 0.75, 1.0)):
        trainer.step(20 + index, 0.5 + 0.5 * stage_progress)
        assert trainer.decoder_optimizer is not None
        rates = [group["lr"] for group in trainer.decoder_optimizer.param_groups]
        assert rates == pytest.approx([1e-4 * 0.9996 ** (steps * stage_progress)], rel=1e-9)


def test_a_damaged_checkpoint_can_say_that_alignment_began_before_the_first_step(
    scene: Scene, autoencoder: Autoencoder
) -> None:
    config = TINY_FIT.with_steps(supervision=2, alignment=2)
    trainer = LatentNerfTrainer(new_model(scene, autoencoder, config), scene, config)
    trainer.step(2, 0.5)
    assert trainer.aligning
    peaks = [group["lr"] for group in trainer.optimizer.param_groups]
    trainer.step(0, 0.0)
    assert [group["lr"] for group in trainer.optimizer.param_groups] == peaks


def test_alignment_adds_the_losses_of_field_and_sampler_to_eq_3(
    scene: Scene, autoencoder: Autoencoder
) -> None:
    """The planes' gradient grows by that of their weighted total variation, once."""

    def first_step(tv_weight: float) -> tuple[LatentNerf, Tensor, Tensor]:
        """The model, the gradient of the first step of alignment, and that of the field's own loss before it."""
        torch.manual_seed(0)
        sampling = ProposalSamplingConfig(proposal_samples=(6,), samples=4, resolutions=(4,))
        assert isinstance(TINY_FIT.field, TriPlaneConfig)
        config = replace(TINY_FIT, field=replace(TINY_FIT.field, tv_weight=tv_weight), sampling=sampling)
        config = config.with_steps(supervision=1, alignment=1)
        model = new_model(scene, autoencoder, config)
        assert isinstance(model, LatentNerf)
        assert isinstance(model.field, TriPlane)
        (own,) = torch.autograd.grad(model.field.regularisation(), model.field.planes)
        trainer = LatentNerfTrainer(model, scene, config)
        trainer.step(1, 0.5)
        assert trainer.aligning
        assert model.field.planes.grad is not None
        return model, model.field.planes.grad, own

    _, without, nothing = first_step(0.0)
    model, regularised, own = first_step(3.0)
    assert not nothing.any()
    assert own.any()
    torch.testing.assert_close(regularised - without, own, rtol=1e-3, atol=1e-6)
    # No gradient of a picture reaches the networks that place samples: they learn by the sampler's own loss.
    assert all(p.grad is not None and bool(p.grad.any()) for p in model.sampler.parameters())


@pytest.mark.parametrize("space", ["latent", "rgb"])
def test_all_training_views_are_seen_and_no_other(
    scene: Scene, autoencoder: Autoencoder, space: Literal["latent", "rgb"]
) -> None:
    config = replace(TINY_FIT, space=space)
    trainer = LatentNerfTrainer(
        new_model(scene, autoencoder if space == "latent" else None, config), scene, config
    )
    views = torch.cat(list(trainer.pictures.batches()))
    assert torch.equal(views, scene.images(scene.indices("train")))
    batches = [trainer._batch() for _ in range(60)]
    assert all(len(set(batch.tolist())) == config.batch_images for batch in batches)
    assert torch.cat(batches).unique().tolist() == list(range(len(scene.indices("train"))))


def test_pixels_of_all_training_views_are_seen_with_their_own_rays(scene: Scene) -> None:
    config = replace(TINY_FIT, space="rgb", batch_rays=20_000)
    # Every view has a shade of its own, so that a pixel tells its view.
    shades = 5 * torch.arange(len(scene.pixels), dtype=torch.uint8)
    shaded = replace(scene, pixels=shades.view(-1, 1, 1, 1).expand_as(scene.pixels).contiguous(), alpha=None)
    trainer = LatentNerfTrainer(new_model(shaded, None, config), shaded, config)
    rays, pixels, drawn = trainer._pixel_batch()
    views = (pixels[:, 0] * 255 / 5).round().long()
    assert torch.equal(scene.indices("train")[drawn], views)
    assert views.unique().tolist() == scene.indices("train").tolist()
    torch.testing.assert_close(rays.origins, scene.cameras.centers[views])


@pytest.mark.slow
def test_evaluation_is_deterministic_and_repeats_the_stored_scores(
    scene: Scene, autoencoder: Autoencoder, autoencoder_folder: Path, tmp_path: Path
) -> None:
    named = autoencoder.clone()
    named.name = str(autoencoder_folder)
    run = fit(scene, named, out=tmp_path / "run", config=TINY_FIT)
    stored = read_json(tmp_path / "run" / "metrics.json")["test"]
    assert set(stored) == {"images", "latents", "against_autoencoded", "autoencoder"}
    again = evaluate_run(Run.load(run.folder))["test"]
    assert again == stored


def test_a_loaded_run_renders_what_was_fitted(scene: Scene, autoencoder: Autoencoder, tmp_path: Path) -> None:
    run = fit(scene, autoencoder, out=tmp_path / "run", config=TINY_FIT)
    cameras = scene.cameras[scene.indices("test")]
    images = run.render(cameras)
    assert images.shape == (3, 3, 32, 32)
    assert images.min() >= 0
    assert images.max() <= 1
    assert torch.equal(Run.load(run.folder).render(cameras), images)
    assert float(psnr(images, scene.images(scene.indices("test"))).mean()) > 10


def test_other_settings_in_the_same_folder_are_refused(
    scene: Scene, autoencoder: Autoencoder, tmp_path: Path
) -> None:
    fit(scene, autoencoder, out=tmp_path / "run", config=TINY_FIT)
    with pytest.raises(InputError, match=r"fit\.seed: 0 there, 5 now"):
        fit(scene, autoencoder, out=tmp_path / "run", config=replace(TINY_FIT, seed=5))


def test_an_odd_number_of_subpixels_is_refused(
    scene: Scene, autoencoder: Autoencoder, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="subpixels: is 3"):
        fit(scene, autoencoder, out=tmp_path / "run", config=replace(TINY_FIT, subpixels=3))


@pytest.mark.slow
@pytest.mark.parametrize(("rays", "stride"), [(64, 2), (20, 4), (4096, 1)])
def test_points_of_the_curve_are_of_a_grid_where_pictures_cost_much(
    scene: Scene, rays: int, stride: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most sixteen times the rays of a step; what they show is what whole pictures show there."""
    trainer = trained(scene, None, 3, 0, space="rgb", batch_rays=rays)
    views = scene.indices("test")
    first = stride // 2
    seen, truth = (
        images[..., first::stride, first::stride]
        for images in (trainer.model.render(scene.cameras[views])[0], scene.images(views))
    )
    expected = float(psnr(seen, truth).mean())
    looked_at: list[int] = []
    assert isinstance(trainer.model, LatentNerf)
    render = trainer.model.render_rays

    def counting(rays: Rays, **more: Any) -> Rendering:
        looked_at.append(len(rays))
        return render(rays, **more)

    monkeypatch.setattr(trainer.model, "render_rays", counting)
    assert trainer.curve_psnr() == pytest.approx(expected, rel=1e-4)
    assert sum(looked_at) == seen[:, 0].numel() <= max(16 * rays, 1)
    latents = trained(scene, None, 3, 0, space="rgb", batch_rays=4096)
    assert latents.curve_psnr() == latents.test_psnr(4)


def test_shifts_are_encodings_of_moved_pictures(scene: Scene, autoencoder: Autoencoder) -> None:
    """Sixteen pictures of every training view are encoded; the trainer's scene, which it is scored on, stays."""
    config = replace(TINY_FIT.with_steps(supervision=2, alignment=1), shifts=4, exposure="affine")
    trainer = LatentNerfTrainer(new_model(scene, autoencoder, config), scene, config)
    assert trainer.scene is scene
    assert trainer.latents is not None
    photographs = len(scene.indices("train"))
    assert len(trainer.latents) == len(trainer.pictures) == 16 * photographs
    # Their exposure is that of the photograph: as many maps as there are of these.
    tensors, _ = trainer.state()
    assert {len(t) for name, t in tensors.items() if name.startswith("exposure_")} == {photographs}
    for index in range(trainer.total_steps):
        trainer.step(index, index / trainer.total_steps)


def test_how_many_shifts_there_are() -> None:
    assert TINY_FIT.shifts is None
    assert [TINY_FIT.shifts_of(factor, few_views=True) for factor in (1, 2, 4, 8)] == [1, 2, 4, 4]
    assert TINY_FIT.shifts_of(8, few_views=False) == 1
    assert replace(TINY_FIT, shifts=2).shifts_of(8, few_views=True) == 2


def test_views_that_cannot_be_shifted_are_refused_before_anything_is_written(
    scene: Scene, autoencoder: Autoencoder, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="has no alpha; `shifts` 2 moves objects with alpha or masks alone"):
        fit(
            replace(scene, alpha=None),
            autoencoder,
            config=replace(TINY_FIT, shifts=2),
            out=tmp_path / "run",
            device="cpu",
        )
    with pytest.raises(ArgumentError, match="is 3; expected a divisor of the autoencoder's factor"):
        fit(scene, autoencoder, config=replace(TINY_FIT, shifts=3), out=tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()
