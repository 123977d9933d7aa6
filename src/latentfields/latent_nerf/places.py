"""Where the scene of a run may be: runs and scenes are moved, together or each for itself."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ScenePlaces:
    """The folder of a scene when its run began, said in two ways."""

    absolute: Path
    """Its whole path: right where the run was moved."""
    from_run: Path | None
    """Its path from the run's folder: right where both were moved together; None where there is none."""

    @classmethod
    def of(cls, scene: Path, run: Path) -> ScenePlaces:
        """The places of the folder `scene` for a run in the folder `run`."""
        absolute = scene.resolve()
        try:
            from_run = Path(os.path.relpath(absolute, run.resolve()))
        except ValueError:  # On another drive.
            from_run = None
        return cls(absolute, from_run)

    def folders(self, run: Path) -> tuple[Path, ...]:
        """Where to look for the scene of a run that is in the folder `run` now."""
        together = () if self.from_run is None else (Path(os.path.normpath(run.resolve() / self.from_run)),)
        return (*together, self.absolute)
