"""Fits to a few views of objects: what a prior of the latents is worth there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from latentfields.bench.objects import ObjectsStudy
from latentfields.bench.rows import QUALITY, Claim, Measured, Pivot, Value, at_least
from latentfields.bench.scales import FEW_VIEWS_SCALES, FewViewsScale, FitScale
from latentfields.bench.study import Cells, Workplace
from latentfields.config.checks import Range
from latentfields.fields.config import FieldName
from latentfields.latent_nerf.config import FEW_VIEWS_SHIFTS
from latentfields.priors.config import USUAL_AUTOENCODER, FewViewsConfig

if TYPE_CHECKING:
    from latentfields.bench.scenes import StudyScene

LATENTS, WITH_PRIOR, IMAGES = "latents alone", "latents with the prior", "images of the latents' resolution"
UNTOLD, SHIFTED = "latents with the prior, untold", "latents alone, shifted"
"""The methods. The last two show what parts of the second one are worth: its prior recognises the class of an object,
and views are shifted by parts of a latent (`FitConfig.shifts`)."""
LEAST_GAIN = 1.0
"""dB that the prior is to win over both others."""


@dataclass(frozen=True, kw_only=True)
class FewViewsStudyConfig(ObjectsStudy):
    """Fit fields to a few views: latents with a prior and without one, and images of the latents' resolution.

    Objects are those that the prior was not trained on: other members of its families, other families, and meshes. No
    fit is aligned: all share the autoencoder's decoder. Run the same command again to go on after an interruption.
    """

    kind: ClassVar[str] = "bench few-views"
    title = "Fits to a few views"
    about = (
        "Radiance fields of a few views of objects that the prior was not trained on, scored on other views."
    )
    tables = (
        Pivot(
            "Decoded novel views",
            {"method": "method"},
            (*QUALITY, Value("seconds", "training, s", ".0f")),
        ),
        Pivot(
            "The same by object: PSNR, dB", {"method": "method"}, (Value("psnr", "all"),), columns="family"
        ),
    )
    first_seed: ClassVar[int] = 900
    claims_title = "What is asked of the prior"
    pictured_by = ("family", "seed")
    told_apart_by = ()
    side_by_side = "method"

    families: tuple[str, ...] = ("mugs", "teapots", "chairs", "houses", "vases")
    """Families of generated objects."""
    training_views: Annotated[int, Range(low=1, high=6)] = 3
    """Views that fields are fitted to, evenly chosen."""
    autoencoder: str = USUAL_AUTOENCODER
    """Packaged name or folder of the autoencoder."""
    prior: str = "objects"
    """Packaged name or folder of a prior of its latents."""
    field: FieldName = "kplanes"
    """Representation."""

    @property
    def sizes(self) -> FewViewsScale:
        """The sizes of everything."""
        return FEW_VIEWS_SCALES[self.scale]

    @property
    def fit_scale(self) -> FitScale:
        """How objects are rendered, and latents fitted."""
        return self.sizes.fits

    def read_inputs(self, out: Path) -> None:
        """Raise InputError for objects, autoencoders and priors that cannot be used."""
        from latentfields.autoencoders.load import load_autoencoder
        from latentfields.priors.prior import load_prior

        self.read_objects((self.autoencoder,))
        load_prior(self.prior).check_space(load_autoencoder(self.autoencoder))

    def measure(self, place: Workplace) -> list[dict[str, Any]]:
        """Return what was measured of every fit, `fits.fit_and_compare`, one record for each."""
        from latentfields.autoencoders.load import load_autoencoder
        from latentfields.bench.fits import fit_and_compare
        from latentfields.priors.prior import load_prior

        self.render(place)
        factor = load_autoencoder(self.autoencoder).factor
        classes = load_prior(self.prior).config.classes
        cells = Cells()
        for scene in self.scenes(place.out):
            for number, (method, folder, options) in enumerate(self._methods(scene, factor, classes)):
                scored = f"image/{factor} upsampled" if method == IMAGES else method
                picture = f"pictures/{scene.name}/{scored.replace('/', '-')}.png"
                labels = {"method": method, "family": scene.kind, "seed": scene.seed, "picture": picture}
                work = partial(
                    fit_and_compare,
                    scene=scene,
                    device=place.device,
                    pictures=place.out / "pictures" / scene.name,
                    folder=place.out / "fits" / f"{scene.name}-{folder}",
                    factor=factor,
                    training_views=self.training_views,
                    **options,
                )
                cells[f"fit-{number}-{scene.name}"] = {**labels, "scored": scored}, work
        return [
            {**{name: value for name, value in record.items() if name != "methods"}, **scores}
            for record in place.measure(cells, label="fits")
            for scores in (record["methods"][record["scored"]],)
        ]

    def _methods(
        self, scene: StudyScene, factor: int, classes: Sequence[str]
    ) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """The fits of one object: their methods, names of their folders, and what `fit_and_compare` is told of each."""
        latents = self.fit_scale.fit(self.field, seed=scene.seed)
        images = self.fit_scale.fit(self.field, space="rgb", seed=scene.seed)
        images = images.with_steps(supervision=self.sizes.image_steps, alignment=0)
        images = replace(images, batch_rays=self.sizes.image_rays)

        def decoded(method: str, folder: str, **options: Any) -> tuple[str, str, dict[str, Any]]:
            own = {"config": latents, "autoencoder": self.autoencoder}
            return method, folder, {**own, "decoders": ((method, self.autoencoder),), **options}

        yield decoded(LATENTS, "alone")
        yield decoded(WITH_PRIOR, "prior", prior=self.prior, few_views=FewViewsConfig())
        yield IMAGES, "images", {"config": images, "autoencoder": None, "divisor": factor}
        if scene.kind in classes:
            yield decoded(UNTOLD, "untold", prior=self.prior, few_views=FewViewsConfig(category=None))
        yield decoded(SHIFTED, "shifted", config=replace(latents, shifts=FEW_VIEWS_SHIFTS))

    def claims(self, measured: Measured) -> list[Claim]:
        """Return what is asked of the prior."""
        better = {other: measured["fits"].gain("method", WITH_PRIOR, other) for other in (LATENTS, IMAGES)}
        return [
            at_least(f"{WITH_PRIOR}: better than {other}", found, LEAST_GAIN)
            for other, found in better.items()
        ]
