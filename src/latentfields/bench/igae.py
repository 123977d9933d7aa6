"""Does the evidence of IG-AE show here, and what is each part of its training worth? Tables 1, 2, 4, 10, 11 and 12.

Latent NeRFs are fitted, through the paper's pipeline, to objects that nothing was trained on, in the spaces of the
plain autoencoder, of its 3D-aware version, and of the ablations without L_3D and without L_ae.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations, product
from pathlib import Path
from statistics import fmean
from typing import Any, ClassVar, Literal, get_args

from latentfields.bench.objects import (
    ObjectsStudy,
    RolesStudy,
    TrainingStudy,
    by_family,
    fit_cell,
    lpips_by_family,
    picture_of,
)
from latentfields.bench.reconstruction import PHOTOGRAPHS, reconstruction_table
from latentfields.bench.rows import Claim, Measured, Pivot, Rows, Spread, Value, at_least, gains
from latentfields.bench.scales import IGAE_SCALES, FitScale, IgaeScale
from latentfields.bench.study import Cells, Labels, Workplace
from latentfields.config.checks import Filled
from latentfields.errors import ArgumentError
from latentfields.fields.config import FieldName
from latentfields.igae.config import Ablation
from latentfields.latent_nerf.config import AlignmentKind, FitConfig, StageConfig
from latentfields.latent_nerf.presets import preset
from latentfields.training.runs import is_claimed

Regime = Literal["none", "scene", "table-16", "full"]
"""What RGB Alignment moves: nothing, the scene alone, or scene and decoder, by the paper's rates or the preset's."""
REGIMES: tuple[Regime, ...] = get_args(Regime)

NVS_GAIN = 1.5
"""dB that latent NeRFs gain in the space of an IG-AE (Table 1's mean)."""
SCENE_GAIN = 2.0
"""The same at factor 8 where the scene alone is aligned, so that one decoder serves all: a claim of this package."""
LATENT_GAIN = 6.0
"""dB between rendered and encoded latents; Table 11 has about 9."""
PRESERVATION_LOSS = 0.5
"""dB of reconstruction that 3D-consistency may cost."""
SEVERAL = 3.0
"""What "several dB" means."""
CLEARLY = 0.75
"""Share of the plain autoencoder's inconsistency that a clearly better score stays below."""

ABLATIONS: Mapping[str, Ablation] = {"igae": "none", "no-3d": "no-3d", "no-preservation": "no-preservation"}
"""What the trainings of the roles leave out."""

UNSEEN, TRAINED = "unseen", "trained"
"""Families that no packaged autoencoder was trained on, and those that they were."""

HEADLINE = "Latent NeRFs gain by 3D-consistency (decoded test PSNR)"
"""The claim that the page begins with."""


@dataclass(frozen=True, kw_only=True)
class AblationsStudy(ObjectsStudy, RolesStudy, TrainingStudy):
    """A study of a plain autoencoder, its 3D-aware version and the ablations: given, or trained on data that is given.

    The trainings leave out what `ABLATIONS` says.
    """

    roles = ("base", *ABLATIONS)

    igae: str | None = None
    """The 3D-aware version of base, such as igae; trained here if not given."""
    no_3d: str | None = None
    """Fine-tuned as long without the 3D regularisation; trained here if not given."""
    no_preservation: str | None = None
    """Fine-tuned without preservation; trained here if not given."""
    test_photos: tuple[Path, ...] = ()
    """Folders of photographs that nothing was trained on, to measure reconstruction on."""
    test_pattern: str = "*"
    """Pattern of the names of those that count."""

    @property
    def sizes(self) -> IgaeScale:
        """Sizes of the scale."""
        return IGAE_SCALES[self.scale]

    def read_inputs(self, out: Path) -> None:
        """Raise InputError for autoencoders, objects, photographs and training data that cannot be used."""
        from latentfields.autoencoders.image_data import matching_photos
        from latentfields.igae.data import require_data

        self.read_objects(self.given.values())
        matching_photos(self.test_photos, self.test_pattern)
        if self.missing and self.can_train and not self.generates and not is_claimed(out):
            require_data(self.sizes.training, self.training_scenes, self.training_photos)

    def train(self, place: Workplace, folder: Path) -> dict[str, str]:
        """Return names or folders of the autoencoders by role, those not given trained in `folder`, if they can be."""
        from latentfields.bench.trainings import train_missing, training_options
        from latentfields.igae.finetune import finetune_3d

        if not (self.missing and self.can_train):
            return self.given
        command, cache = f"latentfields {self.kind}", folder / "cache"
        shared = training_options(self, place, folder)
        train = partial(finetune_3d, autoencoder=self.base, cache=cache, command=command, **shared)
        settings = {role: replace(self.sizes.training, ablation=ABLATIONS[role]) for role in self.missing}
        trainings = {role: partial(train, config) for role, config in settings.items()}
        names = self.given | train_missing(place, folder, trainings, label="autoencoders")
        return {role: names[role] for role in self.roles}

    def photos(self, place: Workplace, autoencoders: Mapping[str, str]) -> dict[str, dict[str, Any]]:
        """Return the reconstruction of the photographs by role; none without photographs."""
        from latentfields.bench.images import photographs, reconstruct

        if not self.test_photos:
            return {}
        size, limit = self.sizes.fits.views.size, self.sizes.photos
        read = partial(photographs, self.test_photos, pattern=self.test_pattern, limit=limit, size=size)
        return place.run_group("photos", partial(reconstruct, read=read, device=place.device), autoencoders)


_LABELS = {"regime": "alignment", "field": "NeRF", "autoencoder": "autoencoder"}
_by_family = partial(by_family, labels=_LABELS, only_several=("regime", "field"))

_GAINS = {"psnr": "test, dB", "train_psnr": "training, dB", "supervision_latent_psnr": "latents, dB"}
_KEPT = {"spread_ratio": "spread", "detail_ratio": "detail"}

MAP = Pivot(
    "The map: gains of the 3D-aware space over the plain one, and what rendered latents keep of encoded ones",
    {"regime": "alignment", "field": "NeRF", "distribution": "families"},
    (
        *(Value(measure, title, "+.2f") for measure, title in _GAINS.items()),
        *(
            Value(f"{role}_{measure}", f"{title}, {role}")
            for measure, title in _KEPT.items()
            for role in ("base", "igae")
        ),
    ),
    kind="map",
    only_several=("field",),
    note="Gains of the PSNR of decoded test and training views, and of rendered against encoded latents after Latent "
    "Supervision. Spread, and the amplitude of what is finer than half of the Nyquist frequency, are shares of those "
    "of encoded latents: where detail is low, agreement is blur.",
)


@dataclass(frozen=True, kw_only=True)
class IgaeStudyConfig(AblationsStudy):
    """Test the evidence of IG-AE: novel views, consistency, preservation, and what each part of the training is worth.

    Fits latent NeRFs, as the paper does, to vases, hats, bags and given meshes, in the spaces of up to four
    autoencoders. Those that are not given are trained here from the plain one, if there is data to train on.
    Run the same command again to go on after an interruption.
    """

    kind: ClassVar[str] = "bench igae"
    title = "IG-AE: does the evidence show?"
    about = "Latent NeRFs of objects that nothing was trained on, by autoencoder."
    headline = HEADLINE
    first_seed = 500  # None of the score's objects, nor of those in the examples.
    pictured_by = ("family", "seed")
    told_apart_by = ("regime", "field", "autoencoder")
    tables = (
        MAP,
        _by_family("psnr", "Decoded novel views after RGB Alignment (PSNR, dB)"),
        # Of several NeRFs, as Table 10 has it.
        _by_family("ssim", "The same: SSIM", kind="several"),
        *lpips_by_family(_by_family),
        _by_family("supervision_psnr", "Decoded novel views after Latent Supervision (PSNR, dB)"),
        _by_family(
            "supervision_latent_psnr", "Rendered against encoded latents after Latent Supervision (PSNR, dB)"
        ),
        # Between training and test lies what fields memorised; blurred latents agree, too.
        _by_family("train_psnr", "Decoded training views (PSNR, dB)"),
        _by_family("spread_ratio", "Spread of rendered latents over that of encoded ones"),
        _by_family("detail_ratio", "The same of what is finer than half of the Nyquist frequency"),
        _by_family(
            "autoencoder_psnr", "The same views through the autoencoder alone (PSNR, dB)", kind="alone"
        ),
        reconstruction_table("photos", PHOTOGRAPHS),
        Pivot(
            "3D-awareness score",
            {"autoencoder": "autoencoder"},
            (
                Value("inconsistency", "inconsistency (lower is better)", ".4f"),
                Value("noise_psnr", "decoded with noise (PSNR, dB)"),
            ),
            kind="score",
        ),
    )

    trained_families: tuple[str, ...] = ("chairs", "lamps", "mugs")
    """Families that the packaged autoencoders were trained on, of which these objects are others: in distribution."""
    fields: Filled[FieldName] = ("kplanes",)
    """The fields that are fitted to every object."""
    subpixels: int = 1
    """Rays per latent along one side: 1, the paper's, or an even number, mixed by a learned projection."""
    regimes: Filled[Regime] = REGIMES
    """What RGB Alignment moves, a fit for each: nothing, the scene alone, so that all share the autoencoder's decoder,
    or both, by the rates of the paper's Table 16, or by those of the preset (full)."""
    alignment_factor: float | None = None
    """Multiplies the field's learning rates during RGB Alignment (xi_align), instead of the preset's factor."""
    decoder_learning_rate: float | None = None
    """Adam learning rate of the decoder during RGB Alignment, instead of the preset's."""

    @property
    def fit_scale(self) -> FitScale:
        """How objects are rendered and fitted."""
        return self.sizes.fits

    def fit(self, field: FieldName, *, seed: int, regime: Regime = "full") -> FitConfig:
        """Return how a field is fitted to the object with this seed."""
        config, paper = self.fit_scale.fit(field, seed=seed), preset(field, "paper")
        kind: AlignmentKind = "full" if regime == "table-16" else regime
        config = replace(config, subpixels=self.subpixels, alignment_kind=kind)
        factor, rate = self.alignment_factor, self.decoder_learning_rate
        if regime == "table-16":
            factor, rate = paper.alignment.learning_rate_factor, paper.decoder_learning_rate
        if factor is not None:
            config = replace(config, alignment=StageConfig(config.alignment.steps, factor))
        return config if rate is None else replace(config, decoder_learning_rate=rate)

    def check(self, path: str = "") -> None:
        """Raise ArgumentError, naming the argument, when a value is out of range."""
        super().check(path)
        if "gaussians" in self.fields and "table-16" in self.regimes:
            raise ArgumentError("regimes", "has table-16, in which there are no gaussians; expected others")
        for field in self.fields:
            self.fit(field, seed=0).check()

    @property
    def all_families(self) -> tuple[str, ...]:
        """As `ObjectsStudy.all_families`."""
        return tuple(dict.fromkeys((*self.families, *self.trained_families)))

    @staticmethod
    def from_earlier(values: Mapping[str, Any]) -> dict[str, Any]:
        """Return settings of any version: early ones took a single field, regime and distribution."""
        now = {{"start": "base", "field": "fields"}.get(name, name): value for name, value in values.items()}
        if "field" in values:
            now["fields"] = [values["field"]]
        if "regimes" not in values:
            now |= {"regimes": [now.pop("alignment", "full")], "trained_families": []}
        return now

    def measure(self, place: Workplace) -> dict[str, Any]:
        """Return `fits` one by one, `photos` and `score` by role, the autoencoders and notes on what is missing."""
        from latentfields.bench.images import score

        self.render(place)
        autoencoders = self.train(place, place.out / "training")
        size = self.fit_scale.views.size
        take = partial(score, objects=self.sizes.score_objects, size=size, device=place.device)
        left_out = [role for role in self.missing if role not in autoencoders]
        return {
            "autoencoders": autoencoders,
            "fits": place.measure(self._fits(place, autoencoders), label="fits"),
            "photos": self.photos(place, autoencoders),
            "score": place.run_group("score", take, autoencoders),
            "notes": [
                f"{role} is left out: neither it nor data to train it on was given." for role in left_out
            ],
        }

    def _fits(self, place: Workplace, autoencoders: Mapping[str, str]) -> Cells:
        """Labels and work of all fits. Regimes and fields are named where there are several."""
        found: Cells = {}
        kinds = product(self.regimes, self.fields, autoencoders.items(), self.scenes(place.out))
        for regime, field, (role, autoencoder), scene in kinds:
            labels = {"autoencoder": role}
            labels |= {"regime": regime} if len(self.regimes) > 1 else {}
            labels |= {"field": field} if len(self.fields) > 1 else {}
            name, fit = _fit_name(labels, scene.name), self.fit(field, seed=scene.seed, regime=regime)
            found[name] = fit_cell(place, name, scene, autoencoder, fit, labels)
        return found

    def rows(self, results: Any) -> Measured:
        """Return rows of fits, of the map, of the same views through autoencoders alone, of photographs, and scores."""
        records = []
        for fit in results["fits"]:
            picture = picture_of(_fit_name(fit, f"{fit['family']}-{fit['seed']:04d}"))
            trained = fit["family"] in self.trained_families
            records.append({**fit, "picture": picture, "distribution": TRAINED if trained else UNSEEN})
        fits = self.rows_of(records)
        # What an autoencoder does alone depends on no field and on no alignment.
        alone, *_ = fits.grouped("field", "regime").values()
        several = len(fits.distinct("regime")) > 1 or len(fits.distinct("distribution")) > 1
        return {
            "fits": fits,
            "map": _map(fits) if several else Rows(),
            "several": fits if len(fits.distinct("field")) > 1 else Rows(),
            "alone": alone,
            "photos": self.rows_of(results["photos"]),
            "score": self.rows_of(
                {role: {**score, **score["latents"]} for role, score in results["score"].items()}
            ),
        }

    def claims(self, measured: Measured) -> list[Claim]:
        """Return all claims that can be judged by the autoencoders and photographs that were measured.

        What depends on the alignment is claimed for each regime; in distribution, and out of it.
        """
        fits = measured["fits"]
        known = fits.distinct("autoencoder")
        if "igae" not in known:
            return []
        regimes = fits.grouped("regime", "distribution")
        only = self.regimes[0] if len(self.regimes) == 1 else "full"
        gained, mattering, lost = [], [], []
        for (named, distribution), rows in regimes.items():
            regime = named or only
            where = f"; alignment {regime}, {distribution} families" if len(regimes) > 1 else ""
            gained += _gain_claims(rows, regime, where)
            if regime != "none":
                ours = rows.select(autoencoder="igae")
                aligned = gains(ours.values("psnr"), ours.values("supervision_psnr"))
                matters = f"RGB Alignment matters (after it, against before){where}"
                mattering.append(at_least(matters, aligned, 0.0))
            statement = f"Without L_3D, novel views are lost (decoded test PSNR){where}"
            lost += _gain(rows, statement, NVS_GAIN, over="no-3d")
        # The other claims do not depend on the alignment; they are of objects never seen.
        unseen = measured["alone"].select(distribution=UNSEEN) or measured["alone"]
        photographs = Rows(row for row in measured["photos"] if row.labels["autoencoder"] in known)
        consistent = "Latents are 3D-consistent (rendered against encoded)"
        kept = "{} preserved, against training without L_3D"
        objects, pictures = kept.format("Objects never seen are"), kept.format("Photographs are")
        return [
            *gained,
            *_gain(fits, consistent, LATENT_GAIN, "supervision_latent_psnr"),
            *mattering,
            *_score_claims(measured),
            *lost,
            *_gain(unseen, objects, -PRESERVATION_LOSS, "autoencoder_psnr", over="no-3d"),
            *_gain(photographs, pictures, -PRESERVATION_LOSS, over="no-3d"),
            *_gain(
                photographs, "Without preservation, photographs are lost", SEVERAL, over="no-preservation"
            ),
        ]


def _fit_name(labels: Labels, scene: str) -> str:
    """The name of a fit's cell and picture."""
    named = (labels.get("regime"), labels.get("field"), labels["autoencoder"])
    return "-".join(["fit", *filter(None, named), scene])


def _gain(
    rows: Rows, statement: str, bound: float, measure: str = "psnr", *, over: str = "base"
) -> list[Claim]:
    """The claim of a gain in the space of the IG-AE, row by row, if there is something to gain over."""
    judged = over in rows.distinct("autoencoder")
    return [at_least(statement, rows.gain("autoencoder", "igae", over, measure), bound)] if judged else []


def _gain_claims(rows: Rows, regime: str, where: str) -> list[Claim]:
    """What fits that were aligned in one way gain in the space of the IG-AE: on the mean, and on every family."""
    if "base" not in rows.distinct("autoencoder"):
        return []
    families = {family: rows.select(family=family) for family in rows.distinct("family")}
    gained = {name: Spread.of(own.gain("autoencoder", "igae", "base")) for name, own in families.items()}
    worst, least = min(gained.items(), key=lambda item: item[1].mean)
    everywhere = all(spread.mean > spread.error for spread in gained.values())
    shared = regime == "scene" and {row.values.get("factor") for row in rows} == {8}
    return [
        *_gain(rows, HEADLINE + where, SCENE_GAIN if shared else NVS_GAIN),
        Claim(f"They gain on every family{where}", "> 0 dB", f"{least.mean:+.2f} dB ({worst})", everywhere),
    ]


def _map(fits: Rows) -> Rows:
    """Rows of the map, one for each pair of fits in the plain and the 3D-aware space that have all of its measures."""
    found, needed = [], {*_GAINS, *_KEPT}
    ours = fits.select(autoencoder="igae")
    for aware, plain in zip(ours, fits.select(autoencoder="base") if ours else (), strict=True):
        if needed <= aware.values.keys() & plain.values.keys():
            gained = {measure: aware.values[measure] - plain.values[measure] for measure in _GAINS}
            roles = {"base": plain, "igae": aware}
            kept = {f"{role}_{name}": row.values[name] for role, row in roles.items() for name in _KEPT}
            found.append(replace(aware, values=gained | kept))
    return Rows(found)


def _score_claims(measured: Measured) -> list[Claim]:
    scores = {row.labels["autoencoder"]: row.values["inconsistency"] for row in measured["score"]}
    latent = {
        role: fmean(measured["fits"].values("supervision_latent_psnr", autoencoder=role)) for role in scores
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
