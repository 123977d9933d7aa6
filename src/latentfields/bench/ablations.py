"""The study of the former command `bench ablations`, which `bench igae` follows; its folders are those of `fields`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from latentfields.bench.fields import NOVEL_VIEWS, PAPER_FIELDS, FieldsStudyConfig
from latentfields.bench.igae import AblationsStudy
from latentfields.bench.objects import by_family
from latentfields.bench.reconstruction import PHOTOGRAPHS, reconstruction_table
from latentfields.bench.rows import Measured
from latentfields.bench.study import Workplace
from latentfields.config.checks import Filled
from latentfields.config.typed_json import to_json
from latentfields.errors import ArgumentError, InputError
from latentfields.fields.config import FieldName

FOLDER = "ablations"
"""In the study's folder: what was trained, and the results."""


@dataclass(frozen=True, kw_only=True)
class AblationsStudyConfig(AblationsStudy):
    """Measure what each part of IG-AE's training is worth: novel views, reconstruction without it (Tables 2 and 10).

    Autoencoders that are not given are trained here from the plain one, as by `bench igae`. With their folders as
    --spaces, `bench fields` can be run in the same folder.
    """

    kind: ClassVar[str] = "bench ablations"
    title = "Ablations of IG-AE"
    about = (
        "Latent NeRFs of objects that nothing was trained on, by what the autoencoder's training left out."
    )
    results_file = f"{FOLDER}/results.json"
    page = "ablations"
    tables = (
        *NOVEL_VIEWS,
        by_family(
            "autoencoder_psnr",
            "Reconstruction by the autoencoder alone: PSNR of the same views, dB",
            labels={"space": "space"},
            kind="alone",
        ),
        reconstruction_table("photos", PHOTOGRAPHS),
    )

    fields: Filled[FieldName] = PAPER_FIELDS
    """Representations."""

    def fits(self, out: Path) -> FieldsStudyConfig:
        """Return the study that fits, in the spaces of all roles."""
        names = (self.given.get(role, str(out / FOLDER / role / "autoencoder")) for role in self.roles)
        return FieldsStudyConfig.of(self, names)

    def read_inputs(self, out: Path) -> None:
        """Raise InputError for autoencoders, objects, photographs and training data that cannot be used."""
        names = self.fits(out).spaces
        if len(set(names)) < len(names) or "rgb" in names:
            raise InputError("autoencoders", f"are {', '.join(names)}; expected four different ones")
        if self.missing and not self.can_train:
            problem = "give it, or `training_scenes` and `training_photos` to train it on"
            raise ArgumentError(self.missing[0].replace("-", "_"), problem)
        super().read_inputs(out)

    def settings(self, out: Path) -> dict[Path, Any]:
        """Return what determines the fits; beside them, what determines the autoencoders."""
        shared = self.fits(out)
        own = {name: value for name, value in to_json(self).items() if name not in to_json(shared)}
        return {out: shared, out / FOLDER: own}

    def measure(self, place: Workplace) -> dict[str, Any]:
        """Return `fits` as of `bench fields`, with the role as `space`, and `photos` by role."""
        names = self.train(place, place.out / FOLDER)
        roles = {name: role for role, name in names.items()}
        fits = self.fits(place.out).measure(place)
        return {
            "fits": [fit | {"space": roles[fit["space"]]} for fit in fits],
            "photos": self.photos(place, names),
        }

    def rows(self, results: Any) -> Measured:
        """Return the usual rows, and those of one field: of the same views through autoencoders alone."""
        measured = super().rows(results)
        alone, *_ = measured["fits"].grouped("field").values()
        return {**measured, "alone": alone}
