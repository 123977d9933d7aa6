from __future__ import annotations

import json
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from helpers.autoencoders import small_autoencoder, small_kl, small_tiny
from helpers.igae_data import CONFIG, write_scenes
from latentfields.autoencoders.autoencoder import Autoencoder, LatentStatistics
from latentfields.autoencoders.load import load_autoencoder
from latentfields.autoencoders.patch import PatchAutoencoder
from latentfields.errors import InputError
from latentfields.igae import joint, pretrain
from latentfields.igae.config import IgaeConfig
from latentfields.igae.finetune import finetune_3d
from latentfields.pages.report import Report, write_report
from latentfields.scenes import load_scene
from latentfields.training.checkpoint import load_tensors
from latentfields.training.loop import Interrupted, LoopConfig, checkpoint_path, read_log

LOOP = LoopConfig(checkpoint_seconds=3600.0, log_every=1)


def finetune(data: Path, out: Path, config: IgaeConfig = CONFIG, **changes: Any) -> Autoencoder:
    options: dict[str, Any] = {
        "autoencoder": data / "base",
        "scenes": [data / "scenes"],
        "photos": [data / "photos"],
        "cache": data / "cache",
        "command": "latentfields autoencoder finetune-3d",
        "loop": LOOP,
    } | changes
    return finetune_3d(config, out=out, **options)


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    finetune(data, out)
    return out


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_tensors(out / "autoencoder" / "model.safetensors")[0]


@pytest.mark.slow
def test_both_phases_learn(finished: Path) -> None:
    scenes, both = read_log(finished / "pretraining"), read_log(finished / "joint")
    assert [len(scenes), len(both)] == [9, 14]
    for records, name in ((scenes, "latent"), (both, "loss")):
        first, last = (sum(r[name] for r in part) for part in (records[:4], records[-4:]))
        assert last < 0.95 * first


def test_every_term_and_the_waiting_is_logged(finished: Path) -> None:
    expected = {
        "step",
        "seconds",
        "cpu_seconds",
        "latent",
        "rgb",
        "tv_planes",
        "ae_synthetic",
        "ae_real",
        "perceptual",
        "tv_latents",
        "3d",
        "ae",
        "loss",
        "data_wait_seconds",
    }
    record = read_log(finished / "joint")[0]
    assert set(record) == expected
    assert record["loss"] == pytest.approx(record["3d"] + record["ae"], rel=1e-5)


def test_the_result_is_an_autoencoder_of_the_same_class_with_statistics_of_its_own(
    finished: Path, data: Path
) -> None:
    result, start = load_autoencoder(finished / "autoencoder"), load_autoencoder(data / "base")
    assert isinstance(result.codec, PatchAutoencoder)
    assert isinstance(result.codec, PatchAutoencoder)
    assert isinstance(start.codec, PatchAutoencoder)
    assert result.codec.config == start.codec.config
    images = load_scene(data / "scenes" / "mug-0").images(torch.arange(8))
    assert not torch.allclose(result.encode(images), start.encode(images), atol=1e-3)
    metrics = json.loads((finished / "metrics.json").read_text())
    assert metrics["phases"]["joint"]["steps"] == 14
    phases = [phase["training_seconds"] for phase in metrics["phases"].values()]
    assert metrics["training_seconds"] == pytest.approx(sum(phases))
    assert min(phases) > 0
    assert 0 <= metrics["phases"]["joint"]["data_wait_share"] < 1
    assert set(metrics["held_out"]) == {
        "view_autoencoded_psnr",
        "view_latent_psnr",
        "view_latent_spread",
        "view_rendered_psnr",
        "photo_autoencoded_psnr",
    }


def test_new_statistics_leave_decoding_alone(finished: Path, data: Path) -> None:
    """They are an affine map outside of the network: D(E(x)) is what it was with the old ones."""
    result = load_autoencoder(finished / "autoencoder")
    images = load_scene(data / "scenes" / "mug-0").images(torch.arange(2))
    decoded = result.decode(result.encode(images)).detach()
    assert result.statistics != small_autoencoder().statistics
    result.set_statistics(LatentStatistics((0.1,) * 4, (0.5,) * 4))
    torch.testing.assert_close(decoded, result.decode(result.encode(images)).detach(), atol=1e-5, rtol=1e-4)


def test_the_page_shows_scenes_and_photos(finished: Path) -> None:
    page = (finished / "report.html").read_text()
    for text in (
        "mug-0",
        "truth",
        "encoded",
        "rendered",
        "decoded rendering",
        "Photographs",
        "Terms of L_ae",
    ):
        assert text in page
    assert "finished" in page


@pytest.mark.slow
def test_the_page_is_rewritten_while_it_trains(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joint, "EVALUATE_EVERY", 2)
    monkeypatch.setattr(pretrain, "EVALUATE_EVERY", 3)
    statuses = []
    original = write_report

    def watch(path: Path, report: Report) -> None:
        statuses.append(report.status)
        original(path, report)

    monkeypatch.setattr("latentfields.igae.dashboard.write_report", watch)
    finetune(data, tmp_path / "run")
    assert statuses[:3] == ["latent scenes: step 3", "latent scenes: step 6", "latent scenes: step 9"]
    assert statuses[3:5] == ["joint: step 2", "joint: step 4"]
    assert statuses[-1] == "finished"
    logged = [r["step"] for r in read_log(tmp_path / "run" / "joint") if "view_latent_psnr" in r]
    assert logged == [2, 4, 6, 8, 10, 12, 14]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("phase", "trainer"), [("pretraining", pretrain.ScenePretrainer), ("joint", joint.JointTrainer)]
)
def test_stopped_and_resumed_equals_uninterrupted(
    data: Path,
    tmp_path: Path,
    finished: Path,
    monkeypatch: pytest.MonkeyPatch,
    phase: str,
    trainer: type[pretrain.ScenePretrainer | joint.JointTrainer],
) -> None:
    step = trainer.step

    def stop_at_five(self: Any, index: int, progress: float) -> dict[str, float]:
        if index == 4:
            signal.raise_signal(signal.SIGTERM)
        return step(self, index, progress)

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "step", stop_at_five)
        with pytest.raises(Interrupted, match="step 5"):
            finetune(data, tmp_path / "run")
    assert not (tmp_path / "run" / "autoencoder").exists()
    finetune(data, tmp_path / "run")
    for part in ("pretraining", "joint"):
        whole, resumed = (
            load_tensors(checkpoint_path(out / part))[0] for out in (finished, tmp_path / "run")
        )
        assert whole.keys() == resumed.keys()
        for name, tensor in whole.items():
            assert torch.equal(tensor, resumed[name]), name
        assert [r["step"] for r in read_log(finished / part)] == [
            r["step"] for r in read_log(tmp_path / "run" / part)
        ]
    for name, tensor in weights(finished).items():
        assert torch.equal(tensor, weights(tmp_path / "run")[name])


@pytest.mark.slow
def test_killed_in_the_middle_of_a_step_equals_uninterrupted(
    data: Path, tmp_path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No last words: what was done since the last checkpoint is done again."""
    step = joint.JointTrainer.step

    class Killed(BaseException):
        pass

    def die_at_seven(self: Any, index: int, progress: float) -> dict[str, float]:
        values = step(self, index, progress)
        if index == 7:
            raise Killed
        return values

    with monkeypatch.context() as patch:
        patch.setattr(joint.JointTrainer, "step", die_at_seven)
        with pytest.raises(Killed):
            finetune(data, tmp_path / "run", loop=replace(LOOP, checkpoint_seconds=0.02))
    finetune(data, tmp_path / "run")
    for name, tensor in weights(finished).items():
        assert torch.equal(tensor, weights(tmp_path / "run")[name])


WITH_PAIRS = replace(CONFIG.joint, weights=replace(CONFIG.joint.weights, correspondence=0.3, exchange=0.5))


@pytest.mark.slow
def test_views_are_asked_to_agree_where_there_are_correspondences(
    data: Path, tmp_path: Path, finished: Path
) -> None:
    config = replace(CONFIG, joint=replace(WITH_PAIRS, epochs=0.5))
    options = {"correspondences": [data / "correspondences"], "pretrained": finished}
    finetune(data, tmp_path / "run", config, **options)
    record = read_log(tmp_path / "run" / "joint")[0]
    assert record["pairs"] == pytest.approx(
        0.3 * record["correspondence"] + 0.5 * record["exchange"], rel=1e-5
    )
    assert record["loss"] == pytest.approx(record["3d"] + record["ae"] + record["pairs"], rel=1e-5)
    assert "correspondence" in (tmp_path / "run" / "report.html").read_text()


def test_other_settings_need_another_folder(data: Path, finished: Path) -> None:
    with pytest.raises(InputError, match="other settings"):
        finetune(data, finished, replace(CONFIG, seed=5))


@pytest.mark.slow
def test_latent_scenes_can_be_taken_over(data: Path, tmp_path: Path, finished: Path) -> None:
    """The joint phase that follows is the same as after fitting them again."""
    finetune(data, tmp_path / "run", pretrained=finished)
    assert not (tmp_path / "run" / "pretraining").exists()
    for name, tensor in weights(finished).items():
        assert torch.equal(tensor, weights(tmp_path / "run")[name])


def test_latent_scenes_of_other_settings_are_refused(data: Path, tmp_path: Path, finished: Path) -> None:
    config = replace(CONFIG, pretraining=replace(CONFIG.pretraining, epochs=3.0))
    with pytest.raises(InputError, match="'pretraining'"):
        finetune(data, tmp_path / "run", config, pretrained=finished)


@pytest.mark.slow
def test_without_3d_no_scenes_are_fitted(data: Path, tmp_path: Path, finished: Path) -> None:
    finetune(data, tmp_path / "run", replace(CONFIG, ablation="no-3d"), command=None)
    assert not (tmp_path / "run" / "pretraining").exists()
    held_out = json.loads((tmp_path / "run" / "metrics.json").read_text())["held_out"]
    assert set(held_out) == {"view_autoencoded_psnr", "view_latent_spread", "photo_autoencoded_psnr"}
    pages = [(out / "report.html").read_text() for out in (finished, tmp_path / "run")]
    assert ['<pre class="command' in page for page in pages] == [True, False]


@pytest.mark.slow
def test_without_preservation_no_photos_are_needed(data: Path, tmp_path: Path, finished: Path) -> None:
    config = replace(CONFIG, ablation="no-preservation")
    finetune(data, tmp_path / "run", config, photos=[], pretrained=finished)
    assert (tmp_path / "run" / "autoencoder" / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"photos": []}, "photographs"),
        ({"scenes": []}, "scenes"),
        ({"config": replace(CONFIG, size=30)}, "multiple of the factor 4"),
        ({"config": replace(CONFIG, size=60)}, "at least two photographs of 60 pixels"),
        ({"config": replace(CONFIG, seed=-1)}, "seed: is -1; expected at least 0"),
        ({"scenes": [Path("nosuch")]}, "nosuch: no scenes here"),
        ({"autoencoder": "igea"}, "igea: no such autoencoder"),
        ({"pretrained": Path("nosuch")}, "nosuch: is not a run; expected a folder with config.json"),
        ({"device": "gpu"}, "device: is 'gpu'; expected auto or one of"),
        ({"config": replace(CONFIG, joint=WITH_PAIRS)}, "correspondences: name at least one folder"),
        (
            {"correspondences": [Path("nosuch")]},
            "joint.weights.correspondence: is 0; expected a weight above 0",
        ),
        (
            {"config": replace(CONFIG, joint=WITH_PAIRS), "correspondences": [Path("nosuch")]},
            "nosuch: has no correspondences",
        ),
    ],
)
def test_unusable_requests_leave_nothing_behind(
    data: Path, tmp_path: Path, options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(InputError, match=problem):
        finetune(data, tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_scenes_that_cannot_be_read_leave_nothing_behind(data: Path, tmp_path: Path) -> None:
    write_scenes(tmp_path / "scenes", count=1)
    for picture in (tmp_path / "scenes").rglob("*.png"):
        Image.open(picture).crop((0, 0, 32, 24)).save(picture)
    with pytest.raises(
        InputError, match=r"frames\[0\]\.w, h: expected the size of r_0\.png, 32x24, got 32x32"
    ):
        finetune(data, tmp_path / "run", scenes=[tmp_path / "scenes"])
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("kind", [small_kl, small_tiny], ids=["kl", "tiny"])
def test_a_diffusers_autoencoder_can_be_the_start(
    data: Path, tmp_path: Path, kind: Callable[[], Any]
) -> None:
    """With all that a large one on a GPU is trained with: in parts, in bfloat16, averaged."""
    pytest.importorskip("diffusers")
    model = kind()
    model.save_pretrained(tmp_path / "vae")
    options = replace(CONFIG.joint, epochs=0.5, precision="bfloat16", accumulation=2, average_decay=0.5)
    result = finetune(data, tmp_path / "run", replace(CONFIG, joint=options), autoencoder=tmp_path / "vae")
    saved = type(model).from_pretrained(tmp_path / "run" / "autoencoder")
    for part in ("encoder", "decoder", "quant_conv", "post_quant_conv"):
        before, after = (
            dict(getattr(net, part, torch.nn.Module()).named_parameters()) for net in (model, saved)
        )
        assert before.keys() == after.keys()
        assert not before or any(not torch.equal(before[name], after[name]) for name in before), part
    assert load_autoencoder(tmp_path / "run" / "autoencoder").statistics == result.statistics


@pytest.mark.slow
def test_what_is_loaded_is_taken_as_what_is_named(data: Path, tmp_path: Path, finished: Path) -> None:
    """A scene, an autoencoder and a preset in memory, in the place of folders and names."""
    start = load_autoencoder(data / "base")
    before = {name: tensor.clone() for name, tensor in start.state_dict().items()}
    scenes = [load_scene(folder) for folder in sorted((data / "scenes").iterdir())]
    result = finetune(data, tmp_path / "run", autoencoder=start, scenes=scenes)
    for name, tensor in weights(finished).items():
        assert torch.equal(tensor, weights(tmp_path / "run")[name])
    assert all(torch.equal(start.state_dict()[name], tensor) for name, tensor in before.items())
    assert result.name == str(tmp_path / "run" / "autoencoder")
    torch.testing.assert_close(load_autoencoder(result.name).state_dict(), result.state_dict())


def test_a_scene_without_a_folder_is_named(data: Path, tmp_path: Path) -> None:
    scene = replace(load_scene(data / "scenes" / "mug-0"), source="nowhere")
    with pytest.raises(
        InputError, match=r"^scenes: has the scene 'mug-0', whose folder nowhere is not there"
    ):
        finetune(data, tmp_path / "run", scenes=[data / "scenes" / "mug-1", scene])
    with pytest.raises(InputError, match=r"^training: is 'large'; expected tiny, small, paper"):
        finetune_3d("large", scenes=scene, out=tmp_path / "run")  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_the_average_is_the_result(data: Path, tmp_path: Path, finished: Path) -> None:
    joint_phase = replace(CONFIG.joint, average_decay=0.9, accumulation=2, epochs=0.5)
    config = replace(CONFIG, joint=joint_phase)
    result = finetune(data, tmp_path / "run", config, pretrained=finished)
    tensors = load_tensors(checkpoint_path(tmp_path / "run" / "joint"))[0]
    for name, tensor in result.state_dict().items():
        assert torch.equal(tensor, tensors[f"average.module.{name}"])
        assert "weight" not in name or not torch.equal(tensor, tensors[f"autoencoder.{name}"]), name
