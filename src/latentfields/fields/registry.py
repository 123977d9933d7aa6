"""From a field's configuration to the field."""

from __future__ import annotations

from collections.abc import Callable

from latentfields.fields.config import (
    InstantNgpConfig,
    KPlanesConfig,
    OwnFieldConfig,
    RayFieldConfig,
    TensorfConfig,
    TriPlaneConfig,
    VanillaConfig,
)
from latentfields.fields.field import Field, Head
from latentfields.fields.instant_ngp import InstantNgp
from latentfields.fields.kplanes import KPlanes
from latentfields.fields.tensorf import Tensorf
from latentfields.fields.triplane import TriPlane
from latentfields.fields.vanilla import Vanilla

FIELDS: dict[type, Callable[..., Field]] = {
    TriPlaneConfig: TriPlane,
    KPlanesConfig: KPlanes,
    TensorfConfig: Tensorf,
    InstantNgpConfig: InstantNgp,
    VanillaConfig: Vanilla,
}
"""The field that each configuration describes."""


def new_field(config: RayFieldConfig | OwnFieldConfig, *, channels: int, head: Head) -> Field:
    """An untrained field with C = `channels`; weights are drawn from torch's global generator."""
    if isinstance(config, OwnFieldConfig):
        return config.new_field(channels=channels, head=head)
    return FIELDS[type(config)](config, channels=channels, head=head)
