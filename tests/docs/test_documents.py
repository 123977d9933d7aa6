"""Documents are true where a machine can tell: files, make targets, links, options, functions, weights, versions."""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import get_args

import pytest

import latentfields
from latentfields.autoencoders.load import packaged_autoencoders
from latentfields.fields.config import FieldName
from latentfields.priors.prior import packaged_priors

ROOT = Path(__file__).parents[2]
FOR_CONTRIBUTORS = ("CONTRIBUTING.md", "docs/architecture.md")
AT_THE_ROOT = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
"""Documents that the documentation's builder does not see, and whose links it does not check."""

FLAGS = re.MULTILINE | re.DOTALL
NAMED_PATH = re.compile(r"`((?:src|docs|tests|examples)/[^`\s]*)`")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)")
TARGET = re.compile(r"`make ([a-z-]+)`|^ +make ([a-z-]+)", re.MULTILINE)
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9._-]*[a-z0-9]")
DOTTED_NAME = re.compile(r"`([a-z_]+(?:\.\w+)+)`")
FULL_NAME = re.compile(r"`latentfields\.([\w.]+)`")

SETTINGS = {"joint.latent_noise", "sampling.initial_range"}
"""Names with dots that are no module's."""
OPTIONS_OF_OTHERS = {
    *("--nproc-per-node", "--nnodes", "--rdzv-id", "--rdzv-backend", "--rdzv-endpoint"),
    *("--array", "--nodes", "--ntasks-per-node", "--cpus-per-task", "--gpus-per-node", "--gpus-per-task"),
    *("--time", "--requeue", "--working-dir", "--gpus", "--index-url"),
    *("--local-dir", "--logdir", "--only"),
}
"""Of torchrun, SLURM, Ray, an example, pip, hf, tensorboard and benchmarks."""


def text_of(document: str) -> str:
    return (ROOT / document).read_text()


def all_named(pattern: re.Pattern[str], documents: tuple[str, ...]) -> list[tuple[str, str]]:
    """Every (document, match), each once."""
    found = ((document, match) for document in documents for match in pattern.findall(text_of(document)))
    return list(dict.fromkeys(found))


@pytest.mark.parametrize(("document", "path"), all_named(NAMED_PATH, FOR_CONTRIBUTORS))
def test_named_paths_exist(document: str, path: str) -> None:
    assert (ROOT / path).is_dir() if path.endswith("/") else (ROOT / path).is_file(), f"{document} names it"


@pytest.mark.parametrize(("document", "link"), all_named(LINK, AT_THE_ROOT))
def test_links_lead_somewhere(document: str, link: str) -> None:
    assert link.startswith("https://") or (ROOT / link).exists(), f"{document} links it"


@pytest.mark.parametrize("document", ["README.md", *FOR_CONTRIBUTORS])
def test_make_targets_exist(document: str) -> None:
    named = {name for pair in TARGET.findall(text_of(document)) for name in pair if name}
    targets = set(re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE))
    assert named, "the pattern finds what it is for"
    assert named <= targets


def test_contributing_names_every_target_but_the_housekeeping() -> None:
    targets = set(re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE)) - {"clean"}
    assert {name for name in targets if f"`make {name}`" not in text_of("CONTRIBUTING.md")} == set()


def test_the_example_is_as_short_as_the_readme_says() -> None:
    [limit] = re.findall(
        r"`examples/minimal\.py` is the whole method in under (\d+) lines", text_of("README.md")
    )
    assert len(text_of("examples/minimal.py").splitlines()) < int(limit)


def test_the_summary_of_results_stays_one() -> None:
    assert len(text_of("docs/results.md").splitlines()) <= 180


@pytest.mark.parametrize(
    "document", ["README.md", "docs/how-to/offline.md", "docs/tutorials/compare-autoencoders.md"]
)
def test_lists_of_packaged_weights_are_whole(document: str) -> None:
    names = ", ".join(f"`{name}`" for name in packaged_autoencoders())
    assert names in " ".join(text_of(document).split())


@pytest.mark.parametrize("name", packaged_autoencoders())
def test_model_cards_are_pages(name: str) -> None:
    assert f'"{name}/README.md"' in text_of(f"docs/models/{name}.md")
    assert (packaged_autoencoders()[name] / "README.md").is_file()


@pytest.mark.parametrize("name", packaged_priors())
def test_model_cards_of_priors_are_pages(name: str) -> None:
    assert f'"priors/{name}/README.md"' in text_of(f"docs/models/{name}.md")
    assert (packaged_priors()[name] / "README.md").is_file()


def command_help() -> ModuleType:
    spec = importlib.util.spec_from_file_location("command_help", ROOT / "docs" / "command_help.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def documents_with_options() -> Iterator[Path]:
    """All that speak of today's commands: results hold those of the commit that they name."""
    yield ROOT / "README.md"
    for page in sorted((ROOT / "docs").rglob("*.md")):
        if page.stem not in ("nerfstudio", "results") and page.parent.name not in ("results", "models"):
            yield page


def test_named_options_exist() -> None:
    builder = command_help()
    helps = [text for _, text in builder.commands()]
    helps += [builder.help_text(("fit", "--field", field)) for field in get_args(FieldName)]
    known = {*OPTIONS_OF_OTHERS, "--version"} | set(OPTION.findall("\n".join(helps)))
    named = {
        (page.name, option)
        for page in documents_with_options()
        for option in OPTION.findall(page.read_text())
    }
    assert {(page, option) for page, option in named if option not in known} == set()


def resolves(name: str) -> bool:
    """True where `latentfields.NAME` is a module, or something in one."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(["latentfields", *parts[:count]]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[count:]:
            found = getattr(found, attribute, None)
        return found is not None
    return False


EVERYWHERE = tuple(
    str(page.relative_to(ROOT)) for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
)
CONCEPTS = tuple(page for page in EVERYWHERE if page.startswith("docs/concepts/"))


CARDS = tuple(str(card.relative_to(ROOT)) for card in sorted((ROOT / "src").rglob("weights/*/README.md")))


@pytest.mark.parametrize(
    ("document", "name"), all_named(DOTTED_NAME, CONCEPTS) + all_named(FULL_NAME, (*EVERYWHERE, *CARDS))
)
def test_functions_of_documents_exist(document: str, name: str) -> None:
    assert name in SETTINGS or resolves(name), f"{document} names it"


def test_the_picture_of_the_floors_is_what_the_imports_are_held_to() -> None:
    [contract] = re.findall(
        r"containers = \[\"latentfields\"\].*?^layers = \[(.*?)^\]", text_of("pyproject.toml"), FLAGS
    )
    floors: dict[int, list[str]] = {}
    for y, name in re.findall(r' y="(\d+)"><tspan[^>]*>(\w+)</tspan>', text_of("docs/floors.svg")):
        floors.setdefault(int(y), []).append(name)
    assert [" | ".join(floors[y]) for y in sorted(floors)] == re.findall(r'"([^"]+)"', contract)


def test_versions_agree() -> None:
    assert f"\nversion: {latentfields.__version__}\n" in text_of("CITATION.cff")
    assert f"\n## [{latentfields.__version__}] - " in text_of("CHANGELOG.md")


def test_the_documentations_search_asks_no_server() -> None:
    """Opened from disk, the site's search needs a script that its plugin would otherwise fetch from one."""
    settings = text_of("mkdocs.yml")
    assert re.search(r"^  - offline\b", settings, re.MULTILINE)
    [polyfills] = re.findall(r"^  polyfills: \[(.*)\]", settings, re.MULTILINE)
    names = polyfills.split(", ")
    assert any("iframe-worker" in name for name in names), "the plugin looks for this word"
    assert all((ROOT / "docs" / name).is_file() for name in names)
