"""`python -m benchmarks.poses KNOWN CAPTURED`: how far the poses of a captured scene are from those that are known.

Both are scene folders of the same photographs, which are known by their names.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from latentfields.scenes.load import find_reader

Array = npt.NDArray[np.float64]


def main() -> None:
    """Print the errors as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.poses", description=__doc__)
    parser.add_argument("known", type=Path, help="scene folder with the poses that are known")
    parser.add_argument("captured", type=Path, help="scene folder that `latentfields scenes capture` made")
    arguments = parser.parse_args()
    known, captured = _poses(arguments.known), _poses(arguments.captured)
    names = sorted(known.keys() & captured.keys())
    degrees, distances = pose_errors(
        np.stack([captured[name] for name in names]), np.stack([known[name] for name in names])
    )
    print(
        json.dumps(
            {
                "known": len(known),
                "compared": len(names),
                "degrees_median": round(float(np.median(degrees)), 3),
                "degrees_largest": round(float(degrees.max()), 3),
                "position_percent_median": round(100 * float(np.median(distances)), 3),
                "position_percent_largest": round(100 * float(distances.max()), 3),
            }
        )
    )


def pose_errors(found: Array, known: Array) -> tuple[Array, Array]:
    """Return the angles (N,) in degrees between poses, and the distances (N,) as shares of the known ones' spread.

    (N, 4, 4) camera-to-world poses are compared after the similarity that fits their positions best (Umeyama 1991); the
    spread is the root of the mean squared distance of the known positions from their mean.
    """
    positions, targets = found[:, :3, 3], known[:, :3, 3]
    centred, wanted = positions - positions.mean(axis=0), targets - targets.mean(axis=0)
    u, values, vt = np.linalg.svd(wanted.T @ centred)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = u @ np.diag(signs) @ vt
    scale = float((values * signs).sum() / np.square(centred).sum())
    distances = np.linalg.norm(scale * centred @ rotation.T - wanted, axis=1)
    spread = float(np.sqrt(np.square(wanted).sum(axis=1).mean()))
    relative = np.einsum("nji,njk->nik", known[:, :3, :3], rotation @ found[:, :3, :3])
    cosines = np.clip((np.trace(relative, axis1=1, axis2=2) - 1) / 2, -1, 1)
    return np.degrees(np.arccos(cosines)), distances / spread


def _poses(folder: Path) -> dict[str, Array]:
    """Poses by the names of their photographs, without folders and endings."""
    return {Path(view.name).stem: view.pose for view in find_reader(folder).read(folder).views}


if __name__ == "__main__":
    main()
