"""Does the evidence of LRF show here? Its Tables 1 to 5.

Fields are fitted to scenes that neither stage was trained on: in the latent spaces of the plain autoencoder and of its
correspondence-aware version (stage I), each decoded by its own decoder and by one aligned to latent fields (stage III);
and, as baselines, to images of the latents' resolution and above; on request also by Gaussians with the filters of
Mip-Splatting, and to colours and latents of one geometry, as Feature 3DGS fits them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from latentfields.bench.objects import RolesStudy
from latentfields.bench.rows import (
    QUALITY,
    Claim,
    Measured,
    Pivot,
    Row,
    Rows,
    Spread,
    Value,
    above_zero,
    at_least,
    at_most,
    gains,
)
from latentfields.bench.scales import LRF_SCALES, LrfScale
from latentfields.bench.study import Cells, Labels, Workplace
from latentfields.errors import ArgumentError
from latentfields.fields.config import FieldName, GaussiansConfig
from latentfields.latent_nerf.config import FitConfig
from latentfields.rendering.config import MipSplattingConfig, SplattingConfig

if TYPE_CHECKING:
    from latentfields.bench.scenes import StudyScene
    from latentfields.pages.report import Headline

FEW = 3
"""Training views of the few-shot fits (LRF Table 2)."""
KINDS: Mapping[int | None, str] = {None: "all views", FEW: "few views"}
"""Kinds of rows by the training views of their fits, None being all."""

STAGES: Mapping[str, str] = {
    "base": "plain VAE",
    "encoder": "encoder only (stage I)",
    "decoder": "decoder only (stage III)",
    "both": "both (LRF)",
}
"""The rows of LRF Table 3, by role: what of the autoencoder was fine-tuned."""

ENCODER_OF: Mapping[str, str] = {"base": "base", "encoder": "encoder", "decoder": "base", "both": "encoder"}
"""The role whose encoder a role shares, and with it the latent fields."""

PLAIN_LATENTS, LOW_IMAGES = "latents of the plain VAE", "images of the latents' resolution"
"""What LRF is compared with."""

DECODING_LOSS = 0.3
"""dB of reconstruction that both stages may cost; in Table 4 it is up to 1.34."""
STORAGE = 0.1
"""Share of the storage of an image-space field of the same quality."""


Comparisons = dict[str, tuple[Labels, dict[str, Any]]]
"""Fits that are compared, by name: their labels, and what `fits.fit_and_compare` is told of each."""

Baseline = Literal["feature-3dgs", "mip-splatting"]
"""Baselines of LRF's Table 1 beside images: colours and latents fitted at once, latents decoded; and images of the
latents' resolution by Gaussians with the filters of Mip-Splatting."""
FEATURE_3DGS: Baseline = "feature-3dgs"
MIP_SPLATTING: Baseline = "mip-splatting"
TITLES: Mapping[str, str] = {**STAGES, FEATURE_3DGS: "colours and latents (Feature-3DGS-like)"}
"""Titles of the methods that are not called by them."""


_NOVEL_VIEWS = Pivot(
    "Decoded novel views",
    {"title": "method"},
    QUALITY,
    kind="all views",
    note="image/N: a field fitted to images of 1/N of the resolution. Upsampled: rendered there, interpolated; "
    "enlarged: rendered at the full resolution.",
)


@dataclass(frozen=True, kw_only=True)
class LrfStudyConfig(RolesStudy):
    """Test the evidence of LRF (its Tables 1 to 5): both stages, against the plain VAE and against image space.

    Fits fields to vases, hats, bags and given scenes: to the latents of two encoders, each decoded by two decoders,
    and to images of the latents' resolution and above; to all training views, and to three. Every eighth view of a
    scene without splits is for testing. Autoencoders that are not given are trained here from the plain one.
    Run the same command again to go on after an interruption.
    """

    kind: ClassVar[str] = "bench lrf"
    roles = tuple(STAGES)
    first_seed = 500
    title = "LRF: does the evidence show?"
    about = "Latent radiance fields of scenes that nothing was trained on."
    pictured_by = ("scene", "seed")
    told_apart_by = ("views",)
    side_by_side = "title"
    tables = (
        # Tables 1 and 3; 2; 4; 5.
        _NOVEL_VIEWS,
        Pivot(
            "Decoded novel views by scene (PSNR, dB)",
            {"title": "method"},
            (Value("psnr", ""),),
            columns="scene",
            kind="all views",
        ),
        replace(_NOVEL_VIEWS, title=f"Decoded novel views of fits to {FEW} views", kind="few views"),
        Pivot(
            "Test views through the autoencoder alone",
            {"title": "autoencoder"},
            QUALITY,
            kind="reconstruction",
        ),
        Pivot(
            "What a scene costs",
            {"fitted": "fitted to"},
            (
                Value("seconds", "training, s", ".1f", spread=False),
                Value("memory", "memory, MiB", ".0f", spread=False),
                Value("bytes", "storage, MB", spread=False, unit=1e-6),
                Value("rendering_milliseconds", "rendering, ms", ".1f", spread=False),
                Value("decoding_milliseconds", "decoding, ms", ".1f", spread=False),
            ),
            kind="costs",
            note="Memory: peak during the fit and its scoring, less that before. Storage: the scene's own file; the "
            "decoder is stored once for all scenes. Times are per view.",
        ),
    )

    field: FieldName = "gaussians"
    """Representation of all scenes."""
    subpixels: int = 1
    """Rendered features per latent along one side: 1, the paper's, or an even number, mixed by a learned projection.
    Decoders that are given should have been aligned to renderings of the same kind."""
    encoder: str | None = None
    """The result of `lrf finetune-encoder` on the plain autoencoder; trained here if not given."""
    decoder: str | None = None
    """The result of `lrf align-decoder` on the plain autoencoder; trained here if not given."""
    both: str | None = None
    """The result of `lrf align-decoder` on that of `lrf finetune-encoder`; trained here if not given."""
    training_scenes: tuple[Path, ...] = ()
    """Scenes to train on, or folders of them, with depth maps or COLMAP models. None renders objects."""
    training_photos: tuple[Path, ...] = ()
    """Folders of photographs that autoencoders trained here go on reconstructing; none keeps to the scenes."""
    scenes: tuple[Path, ...] = ()
    """Captured scenes that nothing was trained on, or folders of them, to test on beside the rendered ones; each is
    fitted with every seed."""
    baselines: tuple[Baseline, ...] = ()
    """Baselines of Table 1 beside images: colours and latents fitted at once (feature-3dgs), and, for Gaussians alone,
    images of the latents' resolution with the filters of Mip-Splatting. The first takes as long as image/1."""

    @property
    def sizes(self) -> LrfScale:
        """Sizes of the scale."""
        return LRF_SCALES[self.scale]

    def fit(self, seed: int) -> FitConfig:
        """Return how a scene is fitted with this seed: Gaussians with the blur of 3DGS, and with views of their whole
        size from the start, as the paper's are."""
        fit = self.sizes.fit(self.field, subpixels=self.subpixels, seed=seed)
        if not isinstance(fit.field, GaussiansConfig):
            return fit
        return replace(fit, field=replace(fit.field, low_resolution_share=0.0), sampling=SplattingConfig())

    def captured(self, factor: int) -> list[StudyScene]:
        """Return the captured scenes. Raises InputError where they cannot be compared on."""
        from latentfields.bench.scenes import captured_scenes

        training, size = self.training_scenes, self.sizes.size
        return captured_scenes(
            self.scenes, training=training, seeds=range(self.seeds), size=size, factor=factor
        )

    def factor(self) -> int:
        """Return pixels per latent. Raises InputError for autoencoders that do not belong together."""
        from latentfields.autoencoders.load import load_autoencoder
        from latentfields.bench.trainings import require_same_encoder

        given = self.given
        for role, other in ENCODER_OF.items():
            if role != other and role in given and other in given:
                require_same_encoder(role, given[role], given[other])
        if "both" in given and "encoder" not in given:
            raise ArgumentError("both", "is given without `encoder`, which it was made from")
        factors = {load_autoencoder(name).factor for name in given.values()}
        if len(factors) > 1:
            raise ArgumentError(
                "encoder", f"and the others have factors {sorted(factors)}; expected one factor"
            )
        return factors.pop()

    def read_inputs(self, out: Path) -> None:
        """Raise InputError for autoencoders, scenes and photographs that cannot be used."""
        from latentfields.autoencoders.image_data import photo_paths

        photo_paths(self.training_photos)
        self.captured(self.factor())
        self.fit(0).check()

    def train(self, place: Workplace) -> dict[str, str]:
        """Return names or folders of the autoencoders by role, trained where they were not given."""
        from latentfields.bench.trainings import LOOP, train_encoder, train_missing, training_scenes
        from latentfields.lrf.decoder.align import align_decoder
        from latentfields.scenes.load import scene_folders

        known, sizes = self.given, self.sizes
        folder, scenes = place.out / "training", tuple(scene_folders(self.training_scenes))
        if not scenes and self.missing:
            scenes = (folder / "scenes",)
            cells = training_scenes(scenes[0], objects=sizes.training_objects, options=sizes.views)
            place.run(cells, label="training scenes")
        data: Any = {"scenes": scenes, "photos": self.training_photos, "device": place.device, "loop": LOOP}
        if "encoder" not in known:
            train = {"encoder": partial(train_encoder, sizes.encoder, autoencoder=self.base, **data)}
            known |= train_missing(place, folder, train, label="stage I", inside="training")
        align = partial(align_decoder, sizes.decoder, fit=self.fit(0), size=sizes.size, **data)
        missing = [role for role in self.roles if role not in known]
        trainings = {role: partial(align, autoencoder=known[ENCODER_OF[role]]) for role in missing}
        known |= train_missing(place, folder, trainings, label="stage III")
        return {role: known[role] for role in self.roles}

    def measure(self, place: Workplace) -> dict[str, Any]:
        """Return `fits` one by one, and the `reconstruction` of each scene's test views by role."""
        from latentfields.bench.images import reconstruct_test_views
        from latentfields.bench.scenes import rendered_scenes, rendering
        from latentfields.measures.standard import image_measures

        factor, sizes = self.factor(), self.sizes
        autoencoders = self.train(place)
        objects = rendered_scenes(place.out / "objects", families=sizes.families, seeds=self.numbers)
        place.run(rendering(objects, sizes.views), label="objects")
        scenes = [*objects, *self.captured(factor)]
        take = partial(reconstruct_test_views, scenes=scenes, device=place.device)
        fits = place.measure(self._fits(place, scenes, factor, autoencoders), label="fits")
        alone = place.run_group("reconstruction", take, autoencoders)
        return {
            "field": self.field,
            "factor": factor,
            "autoencoders": autoencoders,
            "fits": fits,
            "reconstruction": {role: done["scenes"] for role, done in alone.items()},
            "notes": image_measures()[1],
        }

    def _fits(
        self, place: Workplace, scenes: Sequence[StudyScene], factor: int, autoencoders: Mapping[str, str]
    ) -> Cells:
        """The fits that are compared, to all views and to few of every scene."""
        from latentfields.bench.fits import fit_and_compare

        found: Cells = {}
        for scene, views in product(scenes, KINDS):
            ending, shared = _ending(scene.kind, scene.seed, views), {"scene": scene.kind, "seed": scene.seed}
            for name, (labels, options) in self.comparisons(scene.seed, views, factor, autoencoders).items():
                cell = f"{name}-{ending}"
                work = partial(
                    fit_and_compare,
                    scene=scene,
                    factor=factor,
                    training_views=views,
                    device=place.device,
                    pictures=place.out / "pictures" / ending,
                    folder=place.out / "fits" / cell,
                    **options,
                )
                found[cell] = {**shared, "training_views": views, **labels}, work
        return found

    def comparisons(
        self, seed: int, views: int | None, factor: int, autoencoders: Mapping[str, str]
    ) -> Comparisons:
        """Return the fits to so many views of a scene: to every latent space, decoded by all, and to images.

        With few views there is one baseline of images, at the latents' resolution; with all, also those of higher ones.
        """
        fit, base = self.fit(seed), autoencoders["base"]
        # Latents are normalised by statistics of the scene's own training views (LRF App. A.3).
        latents = replace(fit, statistics="scene")
        found: Comparisons = {}
        for encoder in dict.fromkeys(ENCODER_OF.values()):
            own = [(role, autoencoders[role]) for role in self.roles if ENCODER_OF[role] == encoder]
            options = {"config": latents, "autoencoder": autoencoders[encoder], "decoders": own}
            found[f"latents-{encoder}"] = {"encoder": encoder}, options
        images = {"config": fit, "autoencoder": None}
        for divisor in (factor, *self.sizes.divisors) if views is None else (factor,):
            found[f"images-{divisor}"] = {"divisor": divisor}, {**images, "divisor": divisor}
        # Seen on pixels and on latents, or on coarse pixels and fine ones: at two resolutions, as the filters allow it.
        filters: dict[str, Any] = {"sampling": MipSplattingConfig()} if self.field == "gaussians" else {}
        if FEATURE_3DGS in self.baselines:
            # Both losses move the geometry, as in Feature 3DGS.
            both = replace(latents, space="both", geometry_from_latents=1.0, **filters)
            options = {"config": both, "autoencoder": base, "decoders": [(FEATURE_3DGS, base)]}
            found["colors-and-latents"] = {"encoder": "base", "baseline": FEATURE_3DGS}, options
        if MIP_SPLATTING in self.baselines and filters:
            options = {
                **images,
                "config": replace(fit, **filters),
                "divisor": factor,
                "name": "Mip-Splatting",
            }
            found[f"filtered-{factor}"] = {"divisor": factor, "baseline": MIP_SPLATTING}, options
        return found

    def rows(self, results: Any) -> Measured:
        """Return rows of methods, fit by fit, also those of all views and of few; of costs; of reconstructed views."""
        costs, shown = [], []
        for fit in results["fits"]:
            views, methods = KINDS[fit["training_views"]], fit["methods"]
            plain = fit.get("divisor") == results["factor"] and "baseline" not in fit
            labels = {"scene": fit["scene"], "seed": fit["seed"], "plain": plain, "views": views}
            ending = _ending(fit["scene"], fit["seed"], fit["training_views"])
            for method, scores in methods.items():
                picture = f"pictures/{ending}/{method.replace('/', '-')}.png"
                title = TITLES.get(method, method)
                shown.append(Row.of(scores, method=method, title=title, picture=picture, **labels))
            if fit["training_views"] is None:
                psnr = {method: scores["psnr"] for method, scores in methods.items()}
                quality = {"best_psnr": max(psnr.values()), "both_psnr": psnr.get("both")}
                costs.append(Row.of({**fit, **quality}, fitted=_fitted_to(fit)))
        # Image space first, then the stages in their order.
        places = {role: place for place, role in enumerate(STAGES, start=1)}
        shown.sort(key=lambda row: places.get(row.labels["method"], 0))
        alone = [
            Row.of(score, method=role, title=STAGES[role])
            for role, scores in results["reconstruction"].items()
            for score in scores
        ]
        kinds = {views: rows for (views,), rows in Rows(shown).grouped("views").items()}
        return {**kinds, "fits": Rows(shown), "costs": Rows(costs), "reconstruction": Rows(alone)}

    def claims(self, measured: Measured) -> list[Claim]:
        """Return all claims, judged by means over scenes and seeds. Gains are paired: same scene, same seed."""
        fits, few = measured["all views"], measured["few views"]
        encoder, decoder, both = (fits.values("psnr", method=role) for role in ("encoder", "decoder", "both"))
        alone = [max(pair) for pair in zip(encoder, decoder, strict=True)]
        kept = measured["reconstruction"].gain("method", "both", "base")
        share = [ours / theirs for ours, theirs in same_quality_bytes(measured["costs"])]
        first, third = (fits.gain("method", role, "base") for role in ("encoder", "decoder"))
        lower: dict[str, Any] = {"unit": "", "spec": ".4f"}
        return [
            above_zero("Stage I helps (encoder only, against the plain VAE)", first),
            above_zero("Stage III helps (decoder only, against the plain VAE)", third),
            above_zero("Both together help most (against the better one alone)", gains(both, alone)),
            *_better(fits, "psnr", "LRF is better than {} (PSNR)"),
            *_better(fits, "ms_gmsd", "LRF is better than {} (MS-GMSD, lower is better)", **lower),
            *_better(few, "psnr", f"With {FEW} views, LRF is better than {{}} (PSNR)"),
            at_least("Reconstruction is kept (test views, against the plain VAE)", kept, -DECODING_LOSS),
            at_most("A scene is small (share of an image-space field of the same PSNR)", share, STORAGE),
        ]

    def headlines(self, measured: Measured, claims: Sequence[Claim]) -> list[Headline]:
        """Return the quality of LRF and of both baselines."""
        from latentfields.pages.report import Headline

        fits = measured["all views"]
        psnr = {"LRF": fits.values("psnr", method="both"), **_others(fits, "psnr")}
        means = {name: Spread.of(numbers).mean for name, numbers in psnr.items()}
        return [Headline(name, f"{mean:.2f}", "dB", "novel views") for name, mean in means.items()]


def _ending(scene: str, seed: int, views: int | None) -> str:
    """The end of names of fits to so many training views of a scene; None stands for all views."""
    return ("" if views is None else f"{views}-views-") + f"{scene}-{seed:04d}"


def _fitted_to(fit: Mapping[str, Any]) -> str:
    """What a field was fitted to, for the table of costs."""
    if "divisor" in fit:
        return f"image/{fit['divisor']}" + (", filtered" if "baseline" in fit else "")
    return ("colours and " if "baseline" in fit else "") + f"latents of {STAGES[fit['encoder']]}"


def _others(fits: Rows, measure: str) -> dict[str, list[float]]:
    """Both baselines, fit by fit."""
    plain = fits.values(measure, method="base")
    return {PLAIN_LATENTS: plain, LOW_IMAGES: image_baseline(fits, measure)}


def _better(fits: Rows, measure: str, statement: str, **shown: str) -> list[Claim]:
    """The claims that LRF is better than both baselines, fit by fit."""
    ours, others = fits.values(measure, method="both"), _others(fits, measure)
    lower = measure == "ms_gmsd"
    better = {name: gains(theirs, ours) if lower else gains(ours, theirs) for name, theirs in others.items()}
    return [above_zero(statement.format(name), gained, **shown) for name, gained in better.items()]


def image_baseline(fits: Rows, measure: str) -> list[float]:
    """Return the baseline at the latents' resolution, fit by fit: the better of rendering large and interpolating."""
    best = max if measure in ("psnr", "ssim") else min
    pairs = fits.select(plain="True").grouped("scene", "seed").values()
    return [best(pair.values(measure)) for pair in pairs]


def same_quality_bytes(fits: Rows) -> list[tuple[float, float]]:
    """Return bytes of LRF's scene, and of the smallest image-space field of at least its PSNR, by scene and seed.

    Where no image-space field is as good, the best one stands for it: one of that quality would hardly be smaller.
    """
    pairs = []
    for group in fits.grouped("scene", "seed").values():
        ours = next(row.values for row in group if "both_psnr" in row.values)
        images = [row for row in group if "divisor" in row.values and "baseline" not in row.labels]
        ladder = [(row.values["best_psnr"], row.values["bytes"]) for row in images]
        enough = [size for psnr, size in ladder if psnr >= ours["both_psnr"]]
        pairs.append((ours["bytes"], min(enough) if enough else max(ladder)[1]))
    return pairs
