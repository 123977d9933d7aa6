"""All studies, and the names that they had before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from latentfields.bench.ablations import AblationsStudyConfig
from latentfields.bench.autoencoders import AutoencodersStudyConfig
from latentfields.bench.captures import CapturesStudyConfig
from latentfields.bench.collections import CollectionsStudyConfig
from latentfields.bench.convergence import ConvergenceStudyConfig
from latentfields.bench.few_views import FewViewsStudyConfig
from latentfields.bench.fields import LATENT_NOVEL_VIEWS, NOVEL_VIEWS, STAGES, FieldsStudyConfig
from latentfields.bench.generation import GenerationStudyConfig
from latentfields.bench.igae import IgaeStudyConfig
from latentfields.bench.lrf import LrfStudyConfig
from latentfields.bench.reconstruction import ReconstructionStudyConfig
from latentfields.bench.rgb_vs_latent import RgbVsLatentStudyConfig
from latentfields.bench.rows import Pivot
from latentfields.bench.study import Findings, Study
from latentfields.config.arguments import checked
from latentfields.config.checks import Filled
from latentfields.training.workers import Engine

STUDIES: Mapping[str, type[Study]] = {
    "fields": FieldsStudyConfig,
    "igae": IgaeStudyConfig,
    "autoencoders": AutoencodersStudyConfig,
    "convergence": ConvergenceStudyConfig,
    "reconstruction": ReconstructionStudyConfig,
    "lrf": LrfStudyConfig,
    "generation": GenerationStudyConfig,
    "few-views": FewViewsStudyConfig,
    "captures": CapturesStudyConfig,
    "rgb-vs-latent": RgbVsLatentStudyConfig,
    "collections": CollectionsStudyConfig,
}
"""By the name of their command."""


@checked
def run_study(
    study: Study,
    *,
    out: str | Path,
    processes: int = 1,
    device: str = "auto",
    engine: Engine | None = None,
) -> Findings:
    """Run, or go on with, a study with its options: `IgaeStudyConfig(scale="tiny")`, for instance.

    See `Study.run`. Raises InputError for unusable input and when `out` holds a study with other settings.
    """
    return study.run(out=out, processes=processes, device=device, engine=engine)


@dataclass(frozen=True)
class Alias:
    """The name that a command had before. For one release, it prints the tables that it printed, of the same cells."""

    study: type[Study]
    """With the former tables and page."""
    now: str
    """Today's name."""
    about: str
    """What it prints."""


@dataclass(frozen=True, kw_only=True)
class LatentFieldsStudyConfig(FieldsStudyConfig):
    """What `bench fields` was when it had a command for every table."""

    spaces: Filled[str] = ("base", "igae")
    """Names or folders of autoencoders; rgb fits colours."""


def _part(name: str, about: str, *tables: Pivot) -> Alias:
    """`bench fields` with some of its tables, on a page of its own."""
    study = type(f"{name}StudyConfig", (LatentFieldsStudyConfig,), {"page": name, "tables": tables})
    return Alias(study, "fields", about)


ALIASES: Mapping[str, Alias] = {
    "table1": _part("table1", "decoded novel views (IG-AE Tables 1, 5 to 9)", *NOVEL_VIEWS),
    "table4": _part("table4", "decoded novel views after each stage (IG-AE Table 4)", STAGES),
    "latent-nvs": _part(
        "latent-nvs", "rendered against encoded latents (IG-AE Table 11)", LATENT_NOVEL_VIEWS
    ),
    "ablations": Alias(
        AblationsStudyConfig,
        "igae",
        "what each part of IG-AE's training is worth (IG-AE Tables 2 and 10)",
    ),
}
