"""What `metrics.json` of a finished fit holds."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from latentfields.errors import InputError
from latentfields.files import read_json
from latentfields.latent_nerf.capture_check import SHARES
from latentfields.training.recipe import METRICS_FILE


def read_metrics(folder: Path) -> dict[str, Any]:
    """The `metrics.json` of a finished fit. Raises InputError, naming the field, where it lacks what is shown of it."""
    path = folder / METRICS_FILE
    metrics = read_json(path)
    fields: dict[str, Any] = metrics if isinstance(metrics, dict) else {}
    _require(_is_number(fields.get("training_seconds")), path, "training_seconds", "a number")
    notes = fields.get("notes")
    _require(
        isinstance(notes, list) and all(isinstance(note, str) for note in notes),
        path,
        "notes",
        "a list of texts",
    )
    test: Any = fields.get("test")
    _require(
        isinstance(test, dict) and "images" in test, path, "test", "an object with the scores of 'images'"
    )
    for group, scores in test.items():
        mean = scores.get("mean") if isinstance(scores, dict) else None
        known = isinstance(mean, dict) and "psnr" in mean and all(map(_is_number, mean.values()))
        _require(known, path, f"test.{group[:80]}.mean", "an object of numbers, with 'psnr'")
    supervised: Any = fields.get("after_supervision")
    known = isinstance(supervised, dict) and (not supervised or _is_number(supervised.get("test_psnr")))
    _require(known, path, "after_supervision", "an object, empty or with the number 'test_psnr'")
    shares: Any = fields.get("capture")
    known = isinstance(shares, dict) and all(_is_number(shares.get(name)) for name in SHARES)
    _require(
        known or "capture" not in fields, path, "capture", f"an object with the numbers {', '.join(SHARES)}"
    )
    return fields


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < sys.float_info.max


def _require(fits: bool, path: Path, field: str, expected: str) -> None:
    if not fits:
        raise InputError(path, f"field '{field}': expected {expected}")
