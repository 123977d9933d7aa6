"""Scenes: posed images, their readers, and the makers of synthetic ones."""

from typing import TYPE_CHECKING

from latentfields.lazy import lazy_attributes

if TYPE_CHECKING:
    from latentfields.scenes.load import load_scene
    from latentfields.scenes.scene import Scene

__all__ = ["Scene", "load_scene"]

__getattr__ = lazy_attributes(
    __name__, {"Scene": "latentfields.scenes.scene", "load_scene": "latentfields.scenes.load"}
)
