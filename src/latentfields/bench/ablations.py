"""The study of the former command `bench ablations`, which `bench igae` follows; its folders are those of `fields`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from latentfields.bench.fields import (
    NOVEL_VIEWS,
    PAPER_FIELDS,
    FieldsStudyConfig,
    by_family,
    first_pictures,
    fit_rows,
    measure_fits,
)
from latentfields.bench.igae import ROLES, RolesConfig, photo_cells, read_role_inputs, train_roles
from latentfields.bench.reconstruction import PHOTOGRAPHS, autoencoder_rows, reconstruction_table
from latentfields.bench.rows import Measured, Record, select
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

    def spaces(self, out: Path) -> list[str]:
        """Return names or folders of the autoencoders of all roles."""
        return [self.given.get(role, str(out / FOLDER / role / "autoencoder")) for role in ROLES]


def _read_inputs(config: AblationsStudyConfig, out: Path) -> None:
    spaces = config.spaces(out)
    if len(set(spaces)) < len(spaces) or "rgb" in spaces:
        raise InputError("autoencoders", f"are {', '.join(spaces)}; expected four different ones")
    if config.missing and not config.can_train:
        problem = "give it, or `training_scenes` and `training_photos` to train it on"
        raise ArgumentError(config.missing[0].replace("-", "_"), problem)
    read_role_inputs(config, claimed=is_claimed(out))


def _settings(config: AblationsStudyConfig, out: Path) -> dict[Path, Any]:
    shared = FieldsStudyConfig.of(config, config.spaces(out))
    own = {name: value for name, value in to_json(config).items() if name not in to_json(shared)}
    return {out: shared, out / FOLDER: own}


def _measure(config: AblationsStudyConfig, place: Workplace) -> dict[str, Any]:
    """Return `fits` as of `bench fields`, with the role as `space`, and `photos` by role."""
    names = train_roles(config, place, place.out / FOLDER, command="latentfields bench ablations")
    roles = {name: role for role, name in names.items()}
    fits = measure_fits(FieldsStudyConfig.of(config, roles), place)
    photos = place.run_groups({"photos": photo_cells(config, names, place)}, label="photographs")
    return {"fits": [fit | {"space": roles[fit["space"]]} for fit in fits], **photos}


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
        by_family(
            "autoencoder_psnr",
            "Reconstruction by the autoencoder alone: PSNR of the same views, dB",
            labels={"space": "space"},
            kind="alone",
        ),
        reconstruction_table(PHOTOGRAPHS),
    ),
    pictures=first_pictures,
    results_file=f"{FOLDER}/results.json",
    page="ablations",
)
