"""Procedural textured objects: families of meshes for training and testing without any download.

Every object follows from its family and a seed, bit for bit. The evaluation families are for testing what a
model trained on the others makes of new kinds of objects; no training command of this package uses them.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from latentfields.config.arguments import checked
from latentfields.errors import ArgumentError, InputError
from latentfields.scenes.objects.meshes import Mesh, concatenate
from latentfields.scenes.procedural.animals import animal
from latentfields.scenes.procedural.bags import bag
from latentfields.scenes.procedural.books import books
from latentfields.scenes.procedural.cakes import cake
from latentfields.scenes.procedural.chairs import chair
from latentfields.scenes.procedural.fish import fish
from latentfields.scenes.procedural.hats import hat
from latentfields.scenes.procedural.houses import house
from latentfields.scenes.procedural.lamps import lamp
from latentfields.scenes.procedural.mushrooms import mushroom
from latentfields.scenes.procedural.rocks import rock
from latentfields.scenes.procedural.teaware import mug, teapot
from latentfields.scenes.procedural.vases import vase

Maker = Callable[[np.random.Generator], list[Mesh]]

FAMILIES: Mapping[str, Maker] = MappingProxyType(
    {
        "animals": animal,
        "bags": bag,
        "books": books,
        "cakes": cake,
        "chairs": chair,
        "fish": fish,
        "hats": hat,
        "houses": house,
        "lamps": lamp,
        "mugs": mug,
        "mushrooms": mushroom,
        "rocks": rock,
        "teapots": teapot,
        "vases": vase,
    }
)
"""Every family by name."""

EVALUATION_FAMILIES: tuple[str, ...] = ("vases", "hats", "bags")
"""Families kept for testing, after the ShapeNet classes that IG-AE is tested on."""

TRAIN_FAMILIES: tuple[str, ...] = tuple(name for name in FAMILIES if name not in EVALUATION_FAMILIES)
"""Families to train autoencoders on."""


@checked
def generate_object(family: str, seed: int) -> Mesh:
    """The object number `seed` (any integer >= 0) of a family: a textured mesh with z up, of arbitrary size.

    The same arguments give the same mesh. Raises InputError for an unknown family or a negative seed.
    """
    if family not in FAMILIES:
        raise InputError(family, f"unknown family of objects; expected one of {', '.join(FAMILIES)}")
    if seed < 0:
        raise ArgumentError("seed", f"is {seed}; expected at least 0")
    random = np.random.default_rng([zlib.crc32(family.encode()), seed])
    return concatenate(f"{family}-{seed:04d}", FAMILIES[family](random))
