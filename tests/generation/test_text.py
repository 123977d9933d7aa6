from __future__ import annotations

from pathlib import Path

import pytest
import torch

from helpers.pipelines import KINDS, TOKENS, WIDTH, write_pipeline
from helpers.priors import TINY_GENERATION
from latentfields.errors import ArgumentError, InputError
from latentfields.generation.edit import edit
from latentfields.generation.generate import generate
from latentfields.generation.text import VIEWS, view_of, view_prompts
from latentfields.latent_nerf.generation_config import GenerationRunConfig
from latentfields.latent_nerf.run import Run
from latentfields.priors import pipelines
from latentfields.priors.conditions import direction
from latentfields.priors.pipelines import TextCondition
from latentfields.training.checkpoint import load_tensors


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
@pytest.mark.parametrize("kind", KINDS)
def test_a_text_becomes_a_scene(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Real network, scheduler and autoencoder with random weights; the embeddings stand for a text encoder's."""
    seen: list[str] = []

    def encoded(name: str, texts: list[str]) -> TextCondition:
        seen.extend(texts)
        generator = torch.Generator().manual_seed(0)
        embeddings = torch.randn(len(texts), TOKENS, WIDTH, generator=generator)
        return TextCondition(embeddings, torch.randn(len(texts), 16, generator=generator))

    monkeypatch.setattr(pipelines, "encode_texts", encoded)
    folder = write_pipeline(tmp_path / "pipeline", kind)
    out = tmp_path / "run"
    run = generate(
        prior=folder,
        prompt="A red vase!",
        negative_prompt="blurry",
        size=32,
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
    flux = write_pipeline(tmp_path / "flux", "FluxPipeline")
    with pytest.raises(ArgumentError, match="size: is 36; expected a multiple of 8"):
        generate(prior=flux, prompt="a vase", size=36, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A pipeline, and a scene that was made with it; embeddings differ as texts do."""
    folder = tmp_path_factory.mktemp("edited")
    pipeline = write_pipeline(folder / "pipeline")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipelines, "encode_texts", by_letters)
        generate(prior=pipeline, prompt="a vase", out=folder / "vase", config=TINY_GENERATION, device="cpu")
    return pipeline, folder / "vase"


def by_letters(name: str, texts: list[str]) -> TextCondition:
    drawn = [
        torch.randn(TOKENS, WIDTH, generator=torch.Generator().manual_seed(sum(text.encode())))
        for text in texts
    ]
    return TextCondition(torch.stack(drawn))


@pytest.mark.slow
def test_a_text_changes_a_scene(
    made: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the text that it was made of: the same text changes nothing, another one does."""
    monkeypatch.setattr(pipelines, "encode_texts", by_letters)
    pipeline, vase = made
    before = load_tensors(vase / "model.safetensors")[0]

    def changed(name: str, prompt: str, origin: str | None = None) -> bool:
        run = edit(
            vase,
            prompt=prompt,
            origin_prompt=origin,
            prior=pipeline,
            out=tmp_path / name,
            steps=2,
            device="cpu",
        )
        assert isinstance(run.config, GenerationRunConfig)
        assert run.config.origin_prompt == (origin or "a vase")
        after = load_tensors(tmp_path / name / "model.safetensors")[0]
        return any(not torch.equal(tensor, after[key]) for key, tensor in before.items())

    assert not changed("same", "a vase")
    assert changed("other", "a blue bowl")
    assert not changed("told", "a blue bowl", "a blue bowl")
    assert Run.load(tmp_path / "other", device="cpu").config.name == "a-vase-0000-to-a-blue-bowl"


@pytest.mark.slow
def test_edits_by_text_that_cannot_be_made_are_refused(
    made: tuple[Path, Path], generated: Path, prior_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipelines, "encode_texts", by_letters)
    pipeline, vase = made

    def attempt(run: Path, prior: Path, to: str | None = None, **options: object) -> None:
        edit(run, to, prior=prior, out=tmp_path / "run", device="cpu", **options)  # type: ignore[arg-type]

    with pytest.raises(ArgumentError, match="prompt: is missing"):
        attempt(vase, pipeline)
    with pytest.raises(ArgumentError, match=r"to: is of no use for .*, which knows texts; expected `prompt`"):
        attempt(vase, pipeline, "bowls", prompt="a bowl")
    with pytest.raises(ArgumentError, match=r"prompt: is of no use for .*, which has no text encoder"):
        attempt(generated, prior_run, "marble", prompt="a marble")
    with pytest.raises(InputError, match=r"is a scene in the latent space of .* knows its own"):
        attempt(generated, pipeline, prompt="a marble")
    assert not (tmp_path / "run").exists()
