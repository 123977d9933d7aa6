"""Scores beside those of the packaged autoencoders, and what they say in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from helpers.sphere_scene import sphere_scene
from latentfields.autoencoders import score as module
from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.autoencoders.awareness import AwarenessScore, Consistency
from latentfields.autoencoders.score import Comparison, compare_with_packaged, verdict
from latentfields.scenes.scene import Scene


def scored(name: str, inconsistency: float, noise: float) -> AwarenessScore:
    values = Consistency(inconsistency, (), (), 0.0, 0.0)
    return AwarenessScore(name, values, values, noise, 3, 100)


PACKAGED = (scored("igae", 0.10, 30.0), scored("base", 0.20, 32.0))


def said(inconsistency: float, noise: float, packaged: Sequence[AwarenessScore] = PACKAGED) -> list[str]:
    return verdict(Comparison(scored("mine", inconsistency, noise), tuple(packaged)))


def test_a_good_one_is_called_so() -> None:
    assert said(0.05, 40.0) == [
        "Between views, latents of mine (0.050) agree better than those of igae (0.100) and base (0.200).",
        "Under noise they decode 40.0 dB true, better than igae and base.",
    ]


def test_one_between_others_is_put_there() -> None:
    assert said(0.15, 31.0) == [
        "Between views, latents of mine (0.150) agree better than those of base (0.200), and worse than those of igae "
        "(0.100).",
        "Under noise they decode 31.0 dB true, better than igae.",
    ]


def test_a_bad_one_is_told_what_helps() -> None:
    lines = said(0.5, 20.0)
    assert lines[0].endswith("agree worse than those of igae (0.100) and base (0.200).")
    assert lines[1] == "Under noise they decode 20.0 dB true, worse than all of them."
    assert lines[2].endswith("`autoencoder finetune-3d` makes it less.")


def test_small_differences_are_none() -> None:
    assert "about as well as those of base (0.200)" in said(0.205, 31.0)[0]
    assert said(0.2, 31.0, ()) == []


def test_all_are_scored_on_the_same_objects(
    autoencoder: Autoencoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    views = replace(sphere_scene(), name="ball")
    seen: list[int] = []

    def generated(**_: int) -> tuple[Scene, ...]:
        seen.append(1)
        return (views,)

    monkeypatch.setattr(module, "generated_scenes", generated)
    monkeypatch.setattr(module, "packaged_autoencoders", lambda: {"base-f4": None, autoencoder.name: None})
    found = compare_with_packaged(autoencoder, size=views.cameras.width // 8 * 8)
    assert seen == [1]
    assert [score.autoencoder for score in found.packaged] == ["base-f4"]
    assert found.packaged[0].scenes == found.score.scenes == 1
    assert found.to_json()["packaged"]["base-f4"]["scenes"] == 1
    assert torch.isfinite(torch.tensor(found.score.noise_psnr))
