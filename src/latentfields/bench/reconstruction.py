"""Images that nothing was trained on, through autoencoders: Table 12 of IG-AE."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from latentfields.bench.rows import Pivot, Value, lpips
from latentfields.bench.scales import FAMILIES
from latentfields.bench.study import Study, Workplace
from latentfields.config.checks import Filled, require_at_least
from latentfields.scenes.objects.config import RenderConfig

OBJECTS, SCENES, PHOTOGRAPHS = "generated objects", "scenes", "photographs"
"""Kinds of images."""
CELLS = {OBJECTS: "generated", SCENES: "scenes", PHOTOGRAPHS: "photographs"}
"""How their cells are called."""


def reconstruction_table(kind: str, title: str = "") -> Pivot:
    """Return the table of scores of autoencoders on images of one kind, for where there are some."""
    measures = {"psnr": "PSNR", "ssim": "SSIM", "ms_gmsd": "MS-GMSD"}
    columns = (*(Value(name, shown, ".4g") for name, shown in measures.items()), *lpips(".4g"))
    heading = f"{title or kind}: {{images:.0f}} images"
    return Pivot(heading, {"autoencoder": "autoencoder"}, columns, kind=kind)


@dataclass(frozen=True, kw_only=True)
class ReconstructionStudyConfig(Study):
    """Measure how well autoencoders reconstruct images that nothing was trained on (IG-AE Table 12)."""

    kind: ClassVar[str] = "bench reconstruction"
    title = "Reconstruction of images that nothing was trained on"
    about = "Images through autoencoders: what the decoder makes of the encoder's latents, against the image."
    tables = (
        reconstruction_table(OBJECTS, f"{OBJECTS} ({', '.join(FAMILIES)})"),
        reconstruction_table(SCENES),
        reconstruction_table(PHOTOGRAPHS),
    )

    autoencoders: Filled[str]
    """Packaged names, folders, or Hub ids of diffusers autoencoders."""
    photos: tuple[Path, ...] = ()
    """Folders of photographs."""
    pattern: str = "*"
    """Pattern of the names of those that count."""
    limit: int = 5000
    """Photographs at most, the first by name."""
    scenes: tuple[Path, ...] = ()
    """Scenes, or folders of them; views of generated objects are reconstructed in any case."""
    objects: int = 6
    """Generated objects of each of the families vases, hats and bags."""
    size: int = 128
    """Side of all images, in pixels."""

    def read_inputs(self, out: Path) -> None:
        """Raise InputError for sizes, autoencoders, photographs and scenes that cannot be used."""
        from latentfields.autoencoders.evaluate import SMALLEST_SIZE
        from latentfields.autoencoders.image_data import load_renders, matching_photos
        from latentfields.bench.images import require_autoencoders

        require_at_least("size", self.size, SMALLEST_SIZE)
        RenderConfig(size=self.size).check()
        require_autoencoders(self.autoencoders, size=self.size)
        matching_photos(self.photos, self.pattern)
        if self.scenes:
            load_renders(self.scenes, size=self.size)

    def measure(self, place: Workplace) -> dict[str, dict[str, Any]]:
        """Return scores by kind of image and autoencoder."""
        from latentfields.autoencoders.image_data import renders_on_white
        from latentfields.bench.images import object_views, photographs, reconstruct

        images: dict[str, Any] = {OBJECTS: partial(object_views, objects=self.objects, size=self.size)}
        if self.scenes:
            images[SCENES] = partial(renders_on_white, self.scenes, size=self.size)
        if self.photos:
            images[PHOTOGRAPHS] = partial(
                photographs, self.photos, pattern=self.pattern, limit=self.limit, size=self.size
            )
        # Names of cells number the autoencoders, which may be folders.
        numbers = {str(number): name for number, name in enumerate(self.autoencoders)}
        found = {}
        for kind, read in images.items():
            take = partial(reconstruct, read=read, device=place.device)
            done = place.run_group(CELLS[kind], take, numbers)
            found[kind] = {numbers[number]: scores for number, scores in done.items()}
        return found
