"""SIFT features of photographs, in COLMAP's database: what is there already is not found again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from latentfields.files import replacing
from latentfields.structure_from_motion.config import CaptureConfig
from latentfields.structure_from_motion.photographs import Photograph

_CHUNK = 4
"""Photographs for every thread between two reports of progress."""


def begin_database(
    colmap: Any, database: Path, images: Path, photographs: Sequence[Photograph], options: CaptureConfig
) -> None:
    """Write a database of the photographs and their cameras, unless it is there; it appears whole.

    Focal lengths start at what EXIF says, with COLMAP's table of sensors, or at 1.2 times the longer side.
    """
    if database.exists():
        return
    reader = colmap.ImageReaderOptions(camera_model=options.lens.replace("-", "_").upper())
    with replacing(database) as temporary:
        colmap.Database.open(temporary).close()
        for camera in range(1 + max(photograph.camera for photograph in photographs)):
            names = [photograph.name for photograph in photographs if photograph.camera == camera]
            colmap.import_images(
                temporary, images, camera_mode=colmap.CameraMode.SINGLE, image_names=names, options=reader
            )


def find_features(
    colmap: Any,
    database: Path,
    images: Path,
    *,
    masks: Path | None,
    options: CaptureConfig,
    threads: int,
    on_photographs: Callable[[int], object] = lambda count: None,
) -> None:
    """Find the features of all photographs of the database that have none yet.

    With `masks`, a folder of NAME.png, only where these are not zero. Each is stored in one step.
    `on_photographs` is told how many more have them.
    """
    with colmap.Database.open(database) as opened:
        every = opened.read_all_images()
        wanted = [image.name for image in every if not opened.exists_descriptors(image.image_id)]
    on_photographs(len(every) - len(wanted))
    extraction = colmap.FeatureExtractionOptions(
        num_threads=threads, max_image_size=options.feature_size, use_gpu=False
    )
    extraction.sift.max_num_features = options.features
    reader = colmap.ImageReaderOptions() if masks is None else colmap.ImageReaderOptions(mask_path=masks)
    size = _CHUNK * threads
    for start in range(0, len(wanted), size):
        chunk = wanted[start : start + size]
        colmap.extract_features(
            database,
            images,
            image_names=chunk,
            reader_options=reader,
            extraction_options=extraction,
            device=colmap.Device.cpu,
        )
        on_photographs(len(chunk))
