"""The study of the former command `bench ablations`, which `bench igae` follows; its folders are those of `fields`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from latentfields.bench.fields import (
    NOVEL_VIEWS,
    PAPER_FIELDS,
    FieldsStudyConfig,
    ObjectsConfig,
    first_pictures,
    fit_rows,
    measure_fits,
)
from latentfields.bench.igae import (
    RolesConfig,
    photo_cells,
    photograph_table,
    read_role_inputs,
    train_roles,
)
from latentfields.bench.reconstruction import PHOTOGRAPHS, autoencoder_rows
from latentfields.bench.rows import Measured, Pivot, Record, Value, select
from latentfields.bench.study import Study, Workplace, missing_measures
from latentfields.config.typed_json import to_json
from latentfields.errors import ArgumentError, InputError
from latentfields.fields.config import FieldName
from latentfields.training.runs import is_claimed

FOLDER = "ablations"
"""In the study's folder: what was trained, and the results."""


@dataclass(frozen=True, kw_only=True)
class AblationsStudyConfig(RolesConfig):
    """Measure what each part of IG-AE's training is worth: novel views, reconstruction without it (Tables 2 and 10).

    Autoencoders that are not given are trained here from the plain one, as by `bench igae`. With their folders as
    --spaces, `bench fields` can be run in the same folder.
    """

    kind: ClassVar[str] = "bench ablations"
    fields: tuple[FieldName, ...] = PAPER_FIELDS
    """Representations."""

    def names(self, out: Path) -> dict[str, str]:
        """Return names or folders of the autoencoders by role."""
        folder = out / FOLDER
        return {role: name or str(folder / role / "autoencoder") for role, name in self.given.items()}

    def fits(self, out: Path) -> FieldsStudyConfig:
        """Return what is fitted, in the spaces of all roles."""
        shared = {entry.name: getattr(self, entry.name) for entry in dataclasses.fields(ObjectsConfig)}
        return FieldsStudyConfig(fields=self.fields, spaces=tuple(self.names(out).values()), **shared)


def _read_inputs(config: AblationsStudyConfig, out: Path) -> None:
    config.check()
    names = list(config.names(out).values())
    if len(set(names)) < len(names) or "rgb" in names:
        raise InputError("autoencoders", f"are {', '.join(names)}; expected four different ones")
    if config.missing and not config.trains:
        raise ArgumentError(
            config.missing[0].replace("-", "_"),
            "give it, or `training_scenes` and `training_photos` to train it on",
        )
    read_role_inputs(config, claimed=is_claimed(out))


def _settings(config: AblationsStudyConfig, out: Path) -> dict[Path, Any]:
    shared = config.fits(out)
    own = {name: value for name, value in to_json(config).items() if name not in to_json(shared)}
    return {out: shared, out / FOLDER: own}


def _measure(config: AblationsStudyConfig, place: Workplace) -> dict[str, Any]:
    """Return `fits` as of `bench fields`, with the role as `space`, and `photos` by role."""
    command = "latentfields bench ablations"
    names = train_roles(config, place, place.out / FOLDER, command=command)
    roles = {name: role for role, name in names.items()}
    fits = measure_fits(config.fits(place.out), place)
    photos = photo_cells(config, names, place)
    done = place.run({f"photos-{role}": work for role, work in photos.items()}, label="photographs")
    return {
        "fits": [fit | {"space": roles[fit["space"]]} for fit in fits],
        "photos": {role: done[f"photos-{role}"] for role in photos},
    }


def _rows(results: Record) -> Measured:
    fits = fit_rows(results["fits"])["fits"]
    alone = select(fits, field=fits[0].labels["field"])
    return {"fits": fits, "alone": alone, PHOTOGRAPHS: autoencoder_rows(results["photos"])}


ABLATIONS = Study(
    name="ablations",
    config=AblationsStudyConfig,
    title="Ablations of IG-AE",
    about="Latent NeRFs of objects that nothing was trained on, by what the autoencoder's training left out.",
    read_inputs=_read_inputs,
    settings=_settings,
    measure=_measure,
    rows=_rows,
    notes=missing_measures,
    tables=(
        *NOVEL_VIEWS,
        Pivot(
            "Reconstruction by the autoencoder alone: PSNR of the same views, dB",
            {"space": "space"},
            (Value("autoencoder_psnr", "all"),),
            columns="family",
            kind="alone",
        ),
        photograph_table,
    ),
    pictures=first_pictures,
    results_file=f"{FOLDER}/results.json",
    page="ablations",
)
