"""Every field in every space on every object: Tables 1, 4, 5 to 9, 11 and 13 of IG-AE."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

from latentfields.bench.objects import (
    NERF_AND_SPACE,
    ObjectsStudy,
    by_family,
    fit_cell,
    lpips_by_family,
    picture_of,
)
from latentfields.bench.rows import Pivot, Value
from latentfields.bench.study import Cells, Workplace
from latentfields.config.checks import Filled
from latentfields.fields.config import FieldName
from latentfields.latent_nerf.config import FitConfig

PAPER_FIELDS: tuple[FieldName, ...] = ("vanilla", "instant-ngp", "tensorf", "kplanes")
"""The NeRFs of the paper's tables."""

NOVEL_VIEWS = (
    by_family("psnr", "Decoded novel views: PSNR, dB"),
    by_family("ssim", "The same: SSIM"),
    *lpips_by_family(),
)
"""Tables 1 and 5 to 10."""

STAGES = Pivot(
    "Decoded novel views: PSNR, dB",
    NERF_AND_SPACE,
    (Value("supervision_psnr", "after Latent Supervision"), Value("psnr", "after RGB Alignment")),
    needs="supervision_psnr",
)
"""Table 4."""

LATENT_NOVEL_VIEWS = by_family("supervision_latent_psnr", "Rendered against encoded latents: PSNR, dB")
"""Table 11: the test views, after Latent Supervision."""

COSTS = (
    Value("cpu_seconds", "training, CPU s"),
    Value("render_milliseconds", "rendering, ms"),
    Value("frame_milliseconds", "with decoding, ms"),
)

TIMES = Pivot(
    "Training and rendering time",
    NERF_AND_SPACE,
    (Value("seconds", "training, s"), *COSTS, Value("psnr", "PSNR, dB")),
)
"""Table 13: beside the same NeRF fitted to colours, by the same steps."""


@dataclass(frozen=True, kw_only=True)
class FieldsStudyConfig(ObjectsStudy):
    """Compare fields in latent and RGB space, and after each stage (IG-AE Tables 1, 4, 5 to 9, 11, 13).

    Run the same command again to go on after an interruption.
    """

    kind: ClassVar[str] = "bench fields"
    title = "Fields in latent and RGB space"
    about = "Radiance fields of objects that nothing was trained on: quality after each stage, by space, and time."
    tables = (
        *NOVEL_VIEWS,
        replace(STAGES, title="Decoded novel views by stage: PSNR, dB"),
        LATENT_NOVEL_VIEWS,
        TIMES,
    )

    fields: Filled[FieldName] = PAPER_FIELDS
    """Representations."""
    spaces: Filled[str] = ("rgb", "base", "igae")
    """Names or folders of autoencoders; rgb fits colours."""

    @classmethod
    def of(cls, study: ObjectsStudy, spaces: Iterable[str]) -> FieldsStudyConfig:
        """Return what determines the fits of a study that has more options than these, in these spaces."""
        names = {entry.name for entry in dataclasses.fields(FieldsStudyConfig)} - {"spaces"}
        return FieldsStudyConfig(**{name: getattr(study, name) for name in names}, spaces=tuple(spaces))

    def read_inputs(self, out: Path) -> None:
        """Raise InputError for objects and autoencoders that cannot be used."""
        self.read_objects(self.spaces)

    def measure(self, place: Workplace) -> list[dict[str, Any]]:
        """Return the scores of every fit (`fits.fit_and_score`), with its labels."""
        self.render(place)
        return place.measure(self.fit_cells(place), label="fits")

    def fit_cells(
        self,
        place: Workplace,
        *,
        prefix: str = "",
        change: Callable[[FitConfig], FitConfig] = lambda fit: fit,
    ) -> Cells:
        """Return labels and work of all fits, by field, then space, then object.

        Names of cells number the spaces, which may be folders. `prefix` names those with a `change` to their settings.
        """
        found: Cells = {}
        kinds = product(self.fields, enumerate(self.spaces), self.scenes(place.out))
        for field, (number, space), scene in kinds:
            name = f"{prefix}fit-{field}-{number}-{scene.name}"
            fit = change(self.fit_scale.fit(field, space=space, seed=scene.seed))
            labels = {"field": field, "space": space, "picture": picture_of(name)}
            found[name] = fit_cell(place, name, scene, space, fit, labels)
        return found
