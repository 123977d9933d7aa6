from __future__ import annotations

from pathlib import Path

import pytest

from helpers.photographs import arc_cameras, noise_photograph, write_photographs
from latentfields.structure_from_motion.capture import CaptureSummary, capture

Captured = tuple[Path, CaptureSummary]


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight photographs of a corner, and one of something else."""
    folder = write_photographs(tmp_path_factory.mktemp("capture") / "photographs", arc_cameras())
    noise_photograph(folder / "zz_elsewhere.jpg", seed=1)
    return folder


@pytest.fixture(scope="session")
def captured(photographs: Path) -> Captured:
    """The scene that was made of them."""
    out = photographs.parent / "scene"
    return out, capture(photographs, out=out, threads=2, command="latentfields scenes capture photographs")
