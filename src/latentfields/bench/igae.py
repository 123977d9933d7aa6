"""Does the evidence of IG-AE show here, and what is each part of its training worth? Tables 1, 2, 4, 10, 11 and 12.

Latent NeRFs are fitted, through the paper's pipeline, to objects that nothing was trained on, in the spaces of the
plain autoencoder, of its 3D-aware version, and of the ablations without L_3D and without L_ae.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from latentfields.bench.objects import (
    ObjectsStudy,
    RolesStudy,
    TrainingStudy,
    by_family,
    fit_cell,
    lpips_by_family,
    picture_of,
)
from latentfields.bench.reconstruction import PHOTOGRAPHS, autoencoder_rows, reconstruction_table
from latentfields.bench.rows import (
    Claim,
    Measured,
    Pivot,
    Row,
    Spread,
    Value,
    at_least,
    distinct,
    gains,
    select,
    values,
)
from latentfields.bench.scales import IGAE_SCALES, FitScale, IgaeScale
from latentfields.bench.study import Cells, Labels, Workplace
from latentfields.fields.config import RayFieldName
from latentfields.igae.config import Ablation
from latentfields.latent_nerf.config import AlignmentKind, FitConfig, StageConfig
from latentfields.training.runs import is_claimed

if TYPE_CHECKING:
    from latentfields.pages.report import Headline

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

ABLATIONS: Mapping[str, Ablation] = MappingProxyType(
    {"igae": "none", "no-3d": "no-3d", "no-preservation": "no-preservation"}
)
"""What the trainings of the roles leave out."""

HEADLINE = "Latent NeRFs gain by 3D-consistency (decoded test PSNR)"
"""The claim that the page begins with."""


@dataclass(frozen=True, kw_only=True)
class AblationsStudy(ObjectsStudy, RolesStudy, TrainingStudy):
    """A study of a plain autoencoder, its 3D-aware version and the ablations: given, or trained on data that is given.

    The trainings leave out what `ABLATIONS` says.
    """

    roles = ("base", *ABLATIONS)

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
        from latentfields.bench.trainings import LOOP, train_missing, training_data
        from latentfields.igae.finetune import finetune_3d

        if not (self.missing and self.can_train):
            return self.given
        scenes, photos = training_data(self, place, folder)
        training = partial(
            finetune_3d,
            autoencoder=self.base,
            scenes=scenes,
            photos=photos,
            cache=folder / "cache",
            device=place.device,
            command=f"latentfields {self.kind}",
            loop=LOOP,
        )
        settings = {role: replace(self.sizes.training, ablation=ABLATIONS[role]) for role in self.missing}
        trainings = {role: partial(training, config) for role, config in settings.items()}
        names = self.given | train_missing(place, folder, trainings, label="autoencoders")
        return {role: names[role] for role in self.roles}

    def photos(self, place: Workplace, autoencoders: Mapping[str, str]) -> dict[str, dict[str, Any]]:
        """Return the reconstruction of the photographs by role; none without photographs."""
        from latentfields.bench.images import photographs, reconstruct

        size = self.sizes.fits.views.size
        read = partial(
            photographs, self.test_photos, pattern=self.test_pattern, limit=self.sizes.photos, size=size
        )
        named = autoencoders.items() if self.test_photos else ()
        return place.run_group(
            "photos", {role: partial(reconstruct, name, read, device=place.device) for role, name in named}
        )


_LABELS = {"field": "NeRF", "autoencoder": "autoencoder"}
_by_family = partial(by_family, labels=_LABELS, only_several=("field",))


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
    first_seed = 500  # None of the score's objects, nor of those in the examples.
    pictured_by = ("family", "seed")
    told_apart_by = ("field", "autoencoder")
    tables = (
        _by_family("psnr", "Decoded novel views after RGB Alignment (PSNR, dB)"),
        # Of several NeRFs, as Table 10 has it.
        _by_family("ssim", "The same: SSIM", kind="several", optional=True),
        *lpips_by_family(_by_family),
        _by_family("supervision_psnr", "Decoded novel views after Latent Supervision (PSNR, dB)"),
        _by_family(
            "supervision_latent_psnr", "Rendered against encoded latents after Latent Supervision (PSNR, dB)"
        ),
        # Between training and test lies what fields memorised; blurred latents agree, too.
        *(
            _by_family(measure, title, needs=measure, optional=True)
            for measure, title in (
                ("train_psnr", "Decoded training views (PSNR, dB)"),
                ("spread_ratio", "Spread of rendered latents over that of encoded ones"),
                ("detail_ratio", "The same of what is finer than half of the Nyquist frequency"),
            )
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
    )

    fields: tuple[RayFieldName, ...] = ("kplanes",)
    """The NeRFs that are fitted to every object."""
    subpixels: int = 1
    """Rays per latent along one side: 1, the paper's, or an even number, mixed by a learned projection."""
    alignment: AlignmentKind = "full"
    """What RGB Alignment moves: nothing, the scene alone, so that all share the autoencoder's decoder, or both."""
    alignment_factor: float | None = None
    """Multiplies the field's learning rates during RGB Alignment (xi_align), instead of the preset's factor."""
    decoder_learning_rate: float | None = None
    """Adam learning rate of the decoder during RGB Alignment, instead of the preset's."""

    @property
    def fit_scale(self) -> FitScale:
        """How objects are rendered and fitted."""
        return self.sizes.fits

    def fit(self, field: RayFieldName, *, seed: int) -> FitConfig:
        """Return how a field is fitted to the object with this seed."""
        config = self.fit_scale.fit(field, seed=seed)
        config = replace(config, subpixels=self.subpixels, alignment_kind=self.alignment)
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

    def measure(self, place: Workplace) -> dict[str, Any]:
        """Return `fits` one by one, `photos` and `score` by role, the autoencoders and notes on what is missing."""
        from latentfields.bench.images import score

        self.render(place)
        autoencoders = self.train(place, place.out / "training")
        take = partial(
            score, objects=self.sizes.score_objects, size=self.fit_scale.views.size, device=place.device
        )
        left_out = [role for role in self.missing if role not in autoencoders]
        return {
            "autoencoders": autoencoders,
            "fits": place.measure(self._fits(place, autoencoders), label="fits"),
            "photos": self.photos(place, autoencoders),
            "score": place.run_group(
                "score", {role: partial(take, name) for role, name in autoencoders.items()}
            ),
            "notes": [
                f"{role} is left out: neither it nor data to train it on was given." for role in left_out
            ],
        }

    def _fits(self, place: Workplace, autoencoders: Mapping[str, str]) -> Cells:
        """Labels and work of all fits. Fields are named where there are several."""
        found: Cells = {}
        for field in self.fields:
            named = {"field": field} if len(self.fields) > 1 else {}
            for role, autoencoder in autoencoders.items():
                for scene in self.scenes(place.out):
                    labels = {**named, "autoencoder": role}
                    name, fit = _fit_name(labels, scene.name), self.fit(field, seed=scene.seed)
                    found[name] = fit_cell(place, name, scene, autoencoder, fit, labels)
        return found

    def rows(self, results: Any) -> Measured:
        """Return rows of fits, of the same views through autoencoders alone, of photographs, and of the score."""
        fits = []
        for fit in results["fits"]:
            picture = picture_of(_fit_name(fit, f"{fit['family']}-{fit['seed']:04d}"))
            fits.append(Row.of({"field": "", **fit}, seed=fit["seed"], picture=picture))
        scores = {
            role: {"inconsistency": score["latents"]["inconsistency"], "noise_psnr": score["noise_psnr"]}
            for role, score in results["score"].items()
        }
        # What an autoencoder does alone depends on no field.
        alone = select(fits, field=fits[0].labels["field"])
        return {
            "fits": fits,
            "several": fits if len(alone) < len(fits) else [],
            "alone": alone,
            PHOTOGRAPHS: autoencoder_rows(results["photos"]),
            "score": autoencoder_rows(scores),
        }

    def claims(self, measured: Measured) -> list[Claim]:
        """Return all claims that can be judged by the autoencoders and photographs that were measured."""
        fits = measured["fits"]
        known = distinct(fits, "autoencoder")
        if "igae" not in known:
            return []

        def gained(measure: str, over: str, kind: str = "fits", **labels: str) -> list[float]:
            ours, theirs = (
                values(measured[kind], measure, autoencoder=role, **labels) for role in ("igae", over)
            )
            return gains(ours, theirs)

        def gain(
            statement: str, bound: float, measure: str = "psnr", *, over: str = "base", kind: str = "fits"
        ) -> list[Claim]:
            """The claim of a gain in the space of the IG-AE, row by row, if there is something to gain over."""
            judged = over in known and measured[kind]
            return [at_least(statement, gained(measure, over, kind), bound)] if judged else []

        families = distinct(fits, "family")
        by_family = {family: Spread.of(gained("psnr", "base", family=family)) for family in families}
        worst = min(by_family, key=lambda family: by_family[family].mean)
        everywhere = all(gain.mean > gain.error for gain in by_family.values())
        worst_gain = f"{by_family[worst].mean:+.2f} dB ({worst})"
        ours = select(fits, autoencoder="igae")
        aligned = gains(values(ours, "psnr"), values(ours, "supervision_psnr"))
        return [
            *gain(HEADLINE, NVS_GAIN),
            Claim("They gain on every family", "> 0 dB", worst_gain, everywhere),
            *gain(
                "Latents are 3D-consistent (rendered against encoded)", LATENT_GAIN, "supervision_latent_psnr"
            ),
            at_least("RGB Alignment matters (after it, against before)", aligned, 0.0),
            *_score_claims(measured),
            *gain("Without L_3D, novel views are lost (decoded test PSNR)", NVS_GAIN, over="no-3d"),
            *gain(
                "Objects never seen are preserved, against training without L_3D",
                -PRESERVATION_LOSS,
                "autoencoder_psnr",
                over="no-3d",
            ),
            *gain(
                "Photographs are preserved, against training without L_3D",
                -PRESERVATION_LOSS,
                over="no-3d",
                kind=PHOTOGRAPHS,
            ),
            *gain(
                "Without preservation, photographs are lost",
                SEVERAL,
                over="no-preservation",
                kind=PHOTOGRAPHS,
            ),
        ]

    def headlines(self, measured: Measured, claims: Sequence[Claim]) -> list[Headline]:
        """Return the gain by 3D-consistency."""
        from latentfields.pages.report import Headline

        shown = (claim for claim in claims if claim.statement == HEADLINE)
        return [Headline(claim.statement, claim.measured.split()[0], "dB") for claim in shown]


def _fit_name(labels: Labels, scene: str) -> str:
    """The name of a fit's cell and picture."""
    return "-".join(["fit", *filter(None, (labels.get("field"), labels["autoencoder"])), scene])


def _score_claims(measured: Measured) -> list[Claim]:
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
