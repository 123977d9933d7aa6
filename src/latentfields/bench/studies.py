"""All studies, and the names that they had before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from latentfields.bench.ablations import ABLATIONS
from latentfields.bench.autoencoders import AUTOENCODERS, AutoencodersStudyConfig
from latentfields.bench.convergence import CONVERGENCE, ConvergenceStudyConfig
from latentfields.bench.fields import (
    FIELDS,
    LATENT_NOVEL_VIEWS,
    NOVEL_VIEWS,
    STAGES,
    TIMES,
    FieldsStudyConfig,
)
from latentfields.bench.igae import IGAE, IgaeStudyConfig
from latentfields.bench.lrf import LRF, LrfStudyConfig
from latentfields.bench.reconstruction import RECONSTRUCTION, ReconstructionStudyConfig
from latentfields.bench.rows import Pivot, TableOf
from latentfields.bench.study import Findings, Study

STUDIES: tuple[Study[Any], ...] = (FIELDS, IGAE, AUTOENCODERS, CONVERGENCE, RECONSTRUCTION, LRF)

StudyConfig = (
    FieldsStudyConfig
    | IgaeStudyConfig
    | AutoencodersStudyConfig
    | ConvergenceStudyConfig
    | ReconstructionStudyConfig
    | LrfStudyConfig
)
"""What a study takes."""


def run_study(config: StudyConfig, *, out: str | Path, processes: int = 1, device: str = "auto") -> Findings:
    """Run, or go on with, the study that takes such a configuration: `IgaeStudyConfig`, for instance.

    See `Study.run`. Raises InputError for unusable input and when `out` holds a study with other settings.
    """
    for study in STUDIES:
        if study.config is type(config):
            return study.run(config, out=out, processes=processes, device=device)
    raise TypeError(f"expected the configuration of a study, found {type(config).__name__}")


@dataclass(frozen=True)
class Alias:
    """The name that a command had before. For one release, it prints the tables that it printed, of the same cells."""

    study: Study[Any]
    """With the former name, tables and page."""
    now: str
    """Today's name."""
    about: str
    """What it prints."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Former defaults, where today's differ."""


def _part(name: str, *tables: Pivot | TableOf) -> Study[Any]:
    """`bench fields` with some of its tables, on a page of its own."""
    return replace(FIELDS, name=name, page=name, tables=tables)


_LATENT = {"spaces": ("base", "igae")}

ALIASES: tuple[Alias, ...] = (
    Alias(_part("table1", *NOVEL_VIEWS), "fields", "decoded novel views (IG-AE Tables 1, 5 to 9)", _LATENT),
    Alias(_part("table4", STAGES), "fields", "decoded novel views after each stage (IG-AE Table 4)", _LATENT),
    Alias(
        _part("latent-nvs", LATENT_NOVEL_VIEWS),
        "fields",
        "rendered against encoded latents (IG-AE Table 11)",
        _LATENT,
    ),
    Alias(
        _part("rgb-vs-latent", TIMES),
        "fields",
        "time and quality in latent and RGB space (IG-AE Table 13)",
        {"spaces": ("rgb", "base")},
    ),
    Alias(ABLATIONS, "igae", "what each part of IG-AE's training is worth (IG-AE Tables 2 and 10)"),
)
