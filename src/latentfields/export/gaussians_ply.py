"""Gaussians as PLY files with the property names of 3DGS, for any number of channels.

x y z, nx ny nz (zero), f_dc_i (C of them), f_rest_i (C (K - 1) of them, channel by channel), opacity (a logit),
scale_i (logarithms), rot_i (a quaternion, w first): float32, binary, little-endian. With C = 3, features are colours as
3DGS has them, 0.5 plus the sum of the harmonics, so that its viewers open the file.

Shape suffixes: N Gaussians, C channels, K = (degree + 1)^2 harmonics.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentfields.errors import InputError
from latentfields.fields.gaussians.field import PARAMETERS, VALUES, GaussianField, GaussianValues
from latentfields.files import replacing
from latentfields.rendering.splatting.gaussians import Gaussians
from latentfields.scenes.normalise import transform_points

_HARMONICS = (1, 4, 9, 16)
_LONGEST_LINE = 4096
_LEAST_OPACITY = 1e-6
"""Logits of opacities are of values at least this far from 0 and 1, where they have no number."""
_MOST_LINES = 100_000
Array = NDArray[np.float32]


@dataclass(frozen=True)
class GaussianCloud:
    """Gaussians before their activations, float32, on the CPU."""

    means: Tensor
    """(N, 3)."""
    scales: Tensor
    """(N, 3) logarithms of standard deviations."""
    rotations: Tensor
    """(N, 4) quaternions w, x, y, z of any length."""
    opacities: Tensor
    """(N,) logits."""
    features_dc: Tensor
    """(N, 1, C) coefficients of the harmonic of degree 0."""
    features_rest: Tensor
    """(N, K - 1, C) coefficients of the others."""

    @classmethod
    def of(cls, field: GaussianField) -> GaussianCloud:
        """The Gaussians of `field`, in the normalised frame."""
        return cls(**{name: getattr(field, name).detach().cpu().float() for name in PARAMETERS})

    def fused(self, gaussians: Gaussians) -> GaussianCloud:
        """With the scales and opacities of `gaussians`: those that a filter has made of the same ones."""
        opacities = gaussians.opacities.detach().cpu().double()
        return replace(
            self,
            scales=gaussians.scales.detach().cpu().double().log().float(),
            opacities=torch.logit(opacities, eps=_LEAST_OPACITY).float(),
        )

    def with_values(self, values: GaussianValues) -> GaussianCloud:
        """The same Gaussians with other features."""
        return replace(self, **{name: getattr(values, name).detach().cpu().float() for name in VALUES})

    def transformed(self, similarity: Tensor) -> GaussianCloud:
        """After a similarity (4, 4) of uniform scale and translation, which leaves the axes alone."""
        matrix = similarity.double()
        return GaussianCloud(
            means=transform_points(matrix, self.means.double()).float(),
            scales=(self.scales.double() + math.log(float(matrix[0, 0]))).float(),
            rotations=self.rotations,
            opacities=self.opacities,
            features_dc=self.features_dc,
            features_rest=self.features_rest,
        )


def write_gaussians_ply(path: Path, cloud: GaussianCloud) -> None:
    """Write `cloud` as a PLY file, in one step; `read_gaussians_ply` gives the same bits back."""
    count, rest, channels = cloud.features_rest.shape
    columns = {
        "x y z": cloud.means,
        "nx ny nz": torch.zeros(count, 3),
        " ".join(_indexed("f_dc", channels)): cloud.features_dc[:, 0],
        " ".join(_indexed("f_rest", rest * channels)): cloud.features_rest.transpose(1, 2).reshape(count, -1),
        "opacity": cloud.opacities[:, None],
        "scale_0 scale_1 scale_2": cloud.scales,
        "rot_0 rot_1 rot_2 rot_3": cloud.rotations,
    }
    properties = "".join(f"property float {name}\n" for name in " ".join(columns).split())
    header = f"ply\nformat binary_little_endian 1.0\nelement vertex {count}\n{properties}end_header\n"
    table = torch.cat(list(columns.values()), dim=1).numpy().astype("<f4")
    with replacing(path) as temporary:
        temporary.write_bytes(header.encode("ascii") + table.tobytes())


def read_gaussians_ply(path: Path) -> GaussianCloud:
    """Read Gaussians written by `write_gaussians_ply` or by 3DGS and its like; other properties are passed over.

    Raises InputError naming the file and what it lacks: another format, missing properties, data cut short, numbers
    that are not finite.
    """
    try:
        with path.open("rb") as file:
            names, table = _read_table(path, file)
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})") from None
    channels = sum(name.startswith("f_dc_") for name in names)
    rest = sum(name.startswith("f_rest_") for name in names)
    if not channels or rest % channels or rest // channels + 1 not in _HARMONICS:
        raise InputError(
            path,
            f"has {channels} properties f_dc_i and {rest} f_rest_i; expected 0, 3, 8 or 15 times as many",
        )

    def columns(wanted: Sequence[str]) -> Tensor:
        missing = [name for name in wanted if name not in names]
        if missing:
            raise InputError(path, f"lacks the property {missing[0]}; expected Gaussians as 3DGS writes them")
        values = torch.from_numpy(np.ascontiguousarray(table[:, [names.index(name) for name in wanted]]))
        if not bool(torch.isfinite(values).all()):
            raise InputError(path, f"{wanted[0]}: expected finite numbers")
        return values

    features_rest = columns(_indexed("f_rest", rest)).view(len(table), channels, rest // channels)
    return GaussianCloud(
        means=columns(("x", "y", "z")),
        scales=columns(_indexed("scale", 3)),
        rotations=columns(_indexed("rot", 4)),
        opacities=columns(("opacity",))[:, 0],
        features_dc=columns(_indexed("f_dc", channels))[:, None],
        features_rest=features_rest.transpose(1, 2).contiguous(),
    )


def _indexed(name: str, count: int) -> list[str]:
    return [f"{name}_{index}" for index in range(count)]


def _read_table(path: Path, file: BinaryIO) -> tuple[list[str], Array]:
    """The names of the vertices' properties and their values (N, properties)."""
    if file.readline(_LONGEST_LINE).strip() != b"ply":
        raise InputError(path, "is not a PLY file")
    names: list[str] = []
    count, formatted = -1, False
    for _ in range(_MOST_LINES):
        match file.readline(_LONGEST_LINE).decode("latin-1").split():
            case ["format", "binary_little_endian", _]:
                formatted = True
            case ["comment" | "obj_info", *_]:
                pass
            case ["element", "vertex", number] if number.isdecimal() and count < 0:
                count = int(number)
            case ["property", "float" | "float32", name] if count >= 0:
                names.append(name)
            case ["end_header"]:
                break
            case words:
                raise InputError(
                    path,
                    f"header has '{' '.join(words)[:80]}'; expected binary little-endian vertices of floats",
                )
    if not formatted or count < 0 or not names or len(set(names)) != len(names):
        raise InputError(path, "expected a binary little-endian format and an element vertex with properties")
    needed = 4 * count * len(names)
    data = file.read(needed)
    if len(data) < needed:
        raise InputError(path, f"claims {count} vertices, but only {len(data)} bytes are left")
    return names, np.frombuffer(data, dtype="<f4").reshape(count, len(names))
