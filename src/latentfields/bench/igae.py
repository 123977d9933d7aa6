"""Does the evidence of IG-AE show here, and what is each part of its training worth? Tables 1, 2, 4, 10, 11 and 12.

Latent NeRFs are fitted, through the paper's pipeline, to objects that nothing was trained on, in the spaces of the
plain autoencoder, of its 3D-aware version, and of the ablations without L_3D and without L_ae.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from latentfields.bench.fields import by_family, fit_cell, lpips_by_family, picture_of
from latentfields.bench.options import ObjectsConfig, TrainingDataConfig
from latentfields.bench.reconstruction import PHOTOGRAPHS, autoencoder_rows, reconstruction_table
from latentfields.bench.rows import (
    Claim,
    Measured,
    Pivot,
    Record,
    Row,
    Spread,
    Value,
    at_least,
    distinct,
    gains,
    select,
    values,
)
from latentfields.bench.scales import IGAE_SCALES
from latentfields.bench.study import Labels, Study, Work, Workplace, missing_measures
from latentfields.fields.config import RayFieldName
from latentfields.igae.config import Ablation
from latentfields.latent_nerf.config import FitConfig, StageConfig
from latentfields.training.runs import is_claimed

if TYPE_CHECKING:
    from latentfields.bench.scenes import StudyScene
    from latentfields.pages.report import Headline, PictureGroup, Table

FIRST_SEED = 500
"""Number of the first object of each family: none of the score's objects, nor of those in the examples."""

NVS_GAIN = 1.5
"""dB that latent NeRFs gain in the space of an IG-AE (Table 1's mean)."""
LATENT_GAIN = 6.0
"""dB between rendered and encoded latents; Table 11 has about 9."""
PRESERVATION_LOSS = 0.5
"""dB of reconstruction that 3D-consistency may cost."""
SEVERAL = 3.0
"""What "several dB" means."""
CLEARLY = 0.75
"""Share of the plain autoencoder's inconsistency that a clearly better score stays below."""

ROLES: Mapping[str, Ablation | None] = MappingProxyType(
    {"base": None, "igae": "none", "no-3d": "no-3d", "no-preservation": "no-preservation"}
)
"""The autoencoders that are compared, and what their trainings leave out; the plain one has none."""

HEADLINE = "Latent NeRFs gain by 3D-consistency (decoded test PSNR)"
"""The claim that the page begins with."""


@dataclass(frozen=True, kw_only=True)
class RolesConfig(ObjectsConfig, TrainingDataConfig):
    """A plain autoencoder, its 3D-aware version and the ablations: given, or trained on data that is given."""

    base: str = "base"
    """The plain autoencoder."""
    igae: str | None = None
    """Its 3D-aware version, such as igae; trained here if not given."""
    no_3d: str | None = None
    """Fine-tuned as long without the 3D regularisation; trained here if not given."""
    no_preservation: str | None = None
    """Fine-tuned without preservation; trained here if not given."""
    test_photos: tuple[Path, ...] = ()
    """Folders of photographs that nothing was trained on, to measure reconstruction on."""
    test_pattern: str = "*"
    """Pattern of the names of those that count."""

    @property
    def given(self) -> dict[str, str]:
        """Autoencoders that were given, by their roles."""
        named = {role: getattr(self, role.replace("-", "_")) for role in ROLES}
        return {role: name for role, name in named.items() if name is not None}

    @property
    def missing(self) -> list[str]:
        """Roles that no autoencoder was given for."""
        return [role for role in ROLES if role not in self.given]


@dataclass(frozen=True, kw_only=True)
class IgaeStudyConfig(RolesConfig):
    """Test the evidence of IG-AE: novel views, consistency, preservation, and what each part of the training is worth.

    Fits latent NeRFs, as the paper does, to vases, hats, bags and given meshes, in the spaces of up to four
    autoencoders. Those that are not given are trained here from the plain one, if there is data to train on.
    Run the same command again to go on after an interruption.
    """

    kind: ClassVar[str] = "bench igae"
    fields: tuple[RayFieldName, ...] = ("kplanes",)
    """The NeRFs that are fitted to every object."""
    subpixels: int = 1
    """Rays per latent along one side: 1, the paper's, or an even number, mixed by a learned projection."""
    alignment_factor: float | None = None
    """Multiplies the field's learning rates during RGB Alignment (xi_align), instead of the preset's factor."""
    decoder_learning_rate: float | None = None
    """Adam learning rate of the decoder during RGB Alignment, instead of the preset's."""

    def fit(self, field: RayFieldName, *, seed: int) -> FitConfig:
        """Return how a field is fitted to the object with this seed."""
        config = replace(IGAE_SCALES[self.scale].fits.fit(field, seed=seed), subpixels=self.subpixels)
        if self.alignment_factor is not None:
            config = replace(config, alignment=StageConfig(config.alignment.steps, self.alignment_factor))
        if self.decoder_learning_rate is not None:
            config = replace(config, decoder_learning_rate=self.decoder_learning_rate)
        return config

    def check(self, path: str = "") -> None:
        """Raise ArgumentError, naming the argument, when a value is out of range."""
        super().check(path)
        self.fit(self.fields[0], seed=0).check()

    @staticmethod
    def from_earlier(values: Mapping[str, Any]) -> dict[str, Any]:
        """Return settings of any version: early ones took a single field, and called the plain autoencoder `start`."""
        now = {{"start": "base", "field": "fields"}.get(name, name): value for name, value in values.items()}
        return now | ({"fields": [values["field"]]} if "field" in values else {})


def read_role_inputs(config: RolesConfig, *, claimed: bool) -> None:
    """Raise InputError for autoencoders, objects, photographs and training data that cannot be used."""
    from latentfields.autoencoders.image_data import matching_photos
    from latentfields.igae.data import require_data

    config.read_inputs(config.given.values())
    matching_photos(config.test_photos, config.test_pattern)
    if config.missing and config.can_train and not config.generates and not claimed:
        require_data(IGAE_SCALES[config.scale].training, config.training_scenes, config.training_photos)


def train_roles(config: RolesConfig, place: Workplace, folder: Path, *, command: str) -> dict[str, str]:
    """Return names or folders of the autoencoders by role; those not given are trained in `folder`, if they can be."""
    from latentfields.bench.trainings import LOOP, train_missing, training_data
    from latentfields.igae.finetune import finetune_3d

    if not (config.missing and config.can_train):
        return config.given
    scenes, photos = training_data(config, place, folder)
    training = partial(
        finetune_3d,
        autoencoder=config.base,
        scenes=scenes,
        photos=photos,
        cache=folder / "cache",
        device=place.device,
        command=command,
        loop=LOOP,
    )
    settings = IGAE_SCALES[config.scale].training
    trainings = {role: partial(training, replace(settings, ablation=ROLES[role])) for role in config.missing}
    names = config.given | train_missing(place, folder, trainings, label="autoencoders")
    return {role: names[role] for role in ROLES}


def photo_cells(config: RolesConfig, autoencoders: Mapping[str, str], place: Workplace) -> dict[str, Work]:
    """Return the cells that reconstruct the photographs, by role; none without photographs."""
    from latentfields.bench.images import photographs, reconstruct

    scale, pattern = IGAE_SCALES[config.scale], config.test_pattern
    size = scale.fits.views.size
    read = partial(photographs, config.test_photos, pattern=pattern, limit=scale.photos, size=size)
    return {
        role: partial(reconstruct, name, read, device=place.device)
        for role, name in autoencoders.items()
        if config.test_photos
    }


def _read_inputs(config: IgaeStudyConfig, out: Path) -> None:
    read_role_inputs(config, claimed=is_claimed(out))


def _measure(config: IgaeStudyConfig, place: Workplace) -> dict[str, Any]:
    """Return `fits` one by one, `photos` and `score` by role, the autoencoders and notes on what is missing."""
    from latentfields.bench.images import score
    from latentfields.bench.scenes import rendering

    scale = IGAE_SCALES[config.scale]
    scenes = config.scenes(place.out, first_seed=FIRST_SEED)
    place.run(rendering(scenes, scale.fits.views), label="objects")
    autoencoders = train_roles(config, place, place.out / "training", command="latentfields bench igae")
    take = partial(score, objects=scale.score_objects, size=scale.fits.views.size, device=place.device)
    alone = {
        "photos": photo_cells(config, autoencoders, place),
        "score": {role: partial(take, name) for role, name in autoencoders.items()},
    }
    left_out = [role for role in config.missing if role not in autoencoders]
    return {
        "autoencoders": autoencoders,
        "fits": place.measure(_fits(config, autoencoders, scenes, place), label="fits"),
        **place.run_groups(alone, label="autoencoders alone"),
        "notes": [f"{role} is left out: neither it nor data to train it on was given." for role in left_out],
    }


def _fits(
    config: IgaeStudyConfig, autoencoders: Mapping[str, str], scenes: Iterable[StudyScene], place: Workplace
) -> dict[str, tuple[Labels, Work]]:
    """Labels and work of all fits. Fields are named where there are several."""
    found = {}
    for field in config.fields:
        for role, autoencoder in autoencoders.items():
            for scene in scenes:
                labels = {"field": field, "autoencoder": role}
                if len(config.fields) == 1:
                    del labels["field"]
                name, fit = _fit_name(labels, scene.name), config.fit(field, seed=scene.seed)
                found |= [fit_cell(place, name, scene, autoencoder, fit, labels)]
    return found


def _fit_name(labels: Labels, scene: str) -> str:
    """The name of a fit's cell and picture."""
    return "-".join(["fit", *filter(None, (labels.get("field"), labels["autoencoder"])), scene])


def _rows(results: Record) -> Measured:
    """Rows of the fits, of the same views through the autoencoders alone, of photographs, and of the score."""
    fits = []
    for fit in results["fits"]:
        picture = picture_of(_fit_name(fit, f"{fit['family']}-{fit['seed']:04d}"))
        fits.append(Row.of({"field": "", **fit}, seed=fit["seed"], picture=picture))
    scores = {
        role: {"inconsistency": score["latents"]["inconsistency"], "noise_psnr": score["noise_psnr"]}
        for role, score in results["score"].items()
    }
    return {
        "fits": fits,
        # What an autoencoder does alone depends on no field.
        "alone": select(fits, field=fits[0].labels["field"]),
        PHOTOGRAPHS: autoencoder_rows(results["photos"]),
        "score": autoencoder_rows(scores),
    }


def claims(measured: Measured) -> list[Claim]:
    """Return all claims that can be judged by the autoencoders and photographs that were measured."""
    known, photographs = distinct(measured["fits"], "autoencoder"), bool(measured[PHOTOGRAPHS])
    if "igae" not in known:
        return []
    gain = partial(_gain, measured)
    fits = select(measured["fits"], autoencoder="igae")
    aligned = gains(values(fits, "psnr"), values(fits, "supervision_psnr"))
    latents = gain("supervision_latent_psnr")
    found = [
        at_least(HEADLINE, gain("psnr"), NVS_GAIN),
        _every_family(measured),
        at_least("Latents are 3D-consistent (rendered against encoded)", latents, LATENT_GAIN),
        at_least("RGB Alignment matters (after it, against before)", aligned, 0.0),
        *_score(measured),
    ]
    if "no-3d" in known:
        lost, kept = gain("psnr", over="no-3d"), gain("autoencoder_psnr", over="no-3d")
        statement = "Objects never seen are preserved, against training without L_3D"
        found += [
            at_least("Without L_3D, novel views are lost (decoded test PSNR)", lost, NVS_GAIN),
            at_least(statement, kept, -PRESERVATION_LOSS),
        ]
    if "no-3d" in known and photographs:
        kept = gain("psnr", over="no-3d", kind=PHOTOGRAPHS)
        statement = "Photographs are preserved, against training without L_3D"
        found.append(at_least(statement, kept, -PRESERVATION_LOSS))
    if "no-preservation" in known and photographs:
        lost = gain("psnr", over="no-preservation", kind=PHOTOGRAPHS)
        found.append(at_least("Without preservation, photographs are lost", lost, SEVERAL))
    return found


def _gain(
    measured: Measured, measure: str, *, over: str = "base", kind: str = "fits", **labels: str
) -> list[float]:
    """The gain in the space of the IG-AE, row by row."""
    ours, theirs = (values(measured[kind], measure, autoencoder=role, **labels) for role in ("igae", over))
    return gains(ours, theirs)


def _every_family(measured: Measured) -> Claim:
    by_family = {
        family: Spread.of(_gain(measured, "psnr", family=family))
        for family in distinct(measured["fits"], "family")
    }
    worst = min(by_family, key=lambda family: by_family[family].mean)
    holds = all(gained.mean > gained.error for gained in by_family.values())
    return Claim("They gain on every family", "> 0 dB", f"{by_family[worst].mean:+.2f} dB ({worst})", holds)


def _score(measured: Measured) -> list[Claim]:
    scores = {row.labels["autoencoder"]: row.values["inconsistency"] for row in measured["score"]}
    latent = {
        role: Spread.of(values(measured["fits"], "supervision_latent_psnr", autoencoder=role)).mean
        for role in scores
    }
    ratio = scores["igae"] / scores["base"]
    agreeing = [(scores[a] < scores[b]) == (latent[a] > latent[b]) for a, b in combinations(scores, 2)]
    pairs = f"{sum(agreeing)} of {len(agreeing)} pairs"
    apart = "The 3D-awareness score tells them apart (inconsistency, share of the plain one)"
    order = "The score orders autoencoders as latent novel views do"
    return [
        Claim(apart, f"<= {CLEARLY:.2f}", f"{ratio:.2f}", ratio <= CLEARLY),
        Claim(order, "all pairs", pairs, all(agreeing)),
    ]


def _headlines(measured: Measured, found: Sequence[Claim]) -> list[Headline]:
    from latentfields.pages.report import Headline

    shown = (claim for claim in found if claim.statement == HEADLINE)
    return [Headline(claim.statement, claim.measured.split()[0], "dB") for claim in shown]


def _pictures(measured: Measured, folder: Path) -> list[PictureGroup]:
    from latentfields.bench.page import first_views

    return first_views(measured["fits"], folder, groups=("family", "seed"), methods=("field", "autoencoder"))


def _ssim(config: Any, measured: Measured) -> Table | None:
    """Of several NeRFs, as Table 10 has it."""
    several = len(distinct(measured["fits"], "field")) > 1
    return _by_family("ssim", "The same: SSIM").table(measured) if several else None


_ROWS: Any = {"labels": {"field": "NeRF", "autoencoder": "autoencoder"}, "only_several": ("field",)}
_by_family = partial(by_family, **_ROWS)

IGAE = Study(
    name="igae",
    config=IgaeStudyConfig,
    title="IG-AE: does the evidence show?",
    about="Latent NeRFs of objects that nothing was trained on, by autoencoder.",
    read_inputs=_read_inputs,
    measure=_measure,
    rows=_rows,
    claims=claims,
    headlines=_headlines,
    notes=missing_measures,
    tables=(
        _by_family("psnr", "Decoded novel views after RGB Alignment (PSNR, dB)"),
        _ssim,
        *lpips_by_family(**_ROWS),
        _by_family("supervision_psnr", "Decoded novel views after Latent Supervision (PSNR, dB)"),
        _by_family(
            "supervision_latent_psnr", "Rendered against encoded latents after Latent Supervision (PSNR, dB)"
        ),
        _by_family(
            "autoencoder_psnr", "The same views through the autoencoder alone (PSNR, dB)", kind="alone"
        ),
        reconstruction_table(PHOTOGRAPHS),
        Pivot(
            "3D-awareness score",
            {"autoencoder": "autoencoder"},
            (
                Value("inconsistency", "inconsistency (lower is better)", ".4f"),
                Value("noise_psnr", "decoded with noise (PSNR, dB)"),
            ),
            kind="score",
        ),
    ),
    pictures=_pictures,
)
