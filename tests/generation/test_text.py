from __future__ import annotations

from pathlib import Path

import pytest
import torch

from helpers.pipelines import TOKENS, WIDTH, write_pipeline
from helpers.priors import TINY_GENERATION
from latentfields.errors import ArgumentError
from latentfields.generation.generate import generate
from latentfields.generation.text import VIEWS, view_of, view_prompts
from latentfields.latent_nerf.run import Run
from latentfields.priors import pipelines
from latentfields.priors.conditions import direction
from latentfields.priors.pipelines import TextCondition


@pytest.mark.parametrize(
    ("elevation", "azimuth", "expected"),
    [
        (0, 0, "front"),
        (20, -30, "front"),
        (10, 90, "side"),
        (0, -100, "side"),
        (5, 170, "back"),
        (75, 20, "overhead"),
    ],
)
def test_views_are_told_apart(elevation: float, azimuth: float, expected: str) -> None:
    seen_from = direction(elevation=elevation, azimuth=azimuth)[None]
    assert VIEWS[int(view_of(seen_from))] == expected


def test_prompts_say_the_view() -> None:
    assert view_prompts("a vase")[0] == "a vase, front view"
    assert len(view_prompts("a vase")) == len(VIEWS)


@pytest.mark.slow
def test_a_text_becomes_a_scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Real network, scheduler and autoencoder with random weights; the embeddings stand for a text encoder's."""
    seen: list[str] = []

    def encoded(name: str, texts: list[str]) -> TextCondition:
        seen.extend(texts)
        generator = torch.Generator().manual_seed(0)
        return TextCondition(torch.randn(len(texts), TOKENS, WIDTH, generator=generator))

    monkeypatch.setattr(pipelines, "encode_texts", encoded)
    folder = write_pipeline(tmp_path / "pipeline")
    out = tmp_path / "run"
    run = generate(
        prior=folder,
        prompt="A red vase!",
        negative_prompt="blurry",
        out=out,
        config=TINY_GENERATION,
        device="cpu",
    )
    assert seen == [*view_prompts("A red vase!"), "blurry"]
    assert run.config.name == "a-red-vase-0000"
    assert run.model.render(Run.load(out, device="cpu").views.cameras[:1])[0].isfinite().all()  # type: ignore[union-attr]


def test_wishes_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    folder = write_pipeline(tmp_path / "pipeline")
    with pytest.raises(ArgumentError, match=r"category: is of no use for .*, which knows texts"):
        generate("vases", prior=folder, out=tmp_path / "run")
    with pytest.raises(ArgumentError, match="prompt: is missing"):
        generate(prior=folder, out=tmp_path / "run")
    with pytest.raises(ArgumentError, match="size: is 30; expected a multiple of 4"):
        generate(prior=folder, prompt="a vase", size=30, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
