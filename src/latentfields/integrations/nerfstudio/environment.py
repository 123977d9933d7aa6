"""Detection of Nerfstudio, and the preparations for importing it beside a CPU build of torch."""

from __future__ import annotations

import importlib
import sys
from importlib import metadata

from latentfields.errors import InputError

SUPPORTED = "1.1.5"
"""The version of Nerfstudio whose models, trainer and commands this integration was written and tested for."""
INSTALL_HINT = "docs/nerfstudio.md says how to install it"


def require_nerfstudio() -> None:
    """Raise InputError when Nerfstudio is absent or of another version than `SUPPORTED`."""
    try:
        version = metadata.version("nerfstudio")
    except metadata.PackageNotFoundError:
        raise InputError("nerfstudio", f"is not installed; {INSTALL_HINT}") from None
    if version != SUPPORTED:
        raise InputError("nerfstudio", f"is version {version}; expected {SUPPORTED}; {INSTALL_HINT}")


def declare_torchvision_operators() -> None:
    """Make `import torchvision` work beside a build of torch that its compiled part does not fit.

    PyPI's torchvision is compiled for CUDA. Beside a CPU build of torch its library does not load, and its import then
    stops at shape functions for operators that nobody declared. Nerfstudio needs transforms and image files only,
    which are plain Python; the operators stay without an implementation. Does nothing where torchvision imports.
    """
    try:
        importlib.import_module("torchvision")
        return
    except RuntimeError:
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    # Declarations last as long as the object that made them.
    _declared.append(library)


_declared: list[object] = []
