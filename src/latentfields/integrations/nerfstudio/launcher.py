"""Nerfstudio's commands, started so that they work beside a CPU build of torch, too."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from latentfields.errors import InputError
from latentfields.integrations.nerfstudio.environment import declare_torchvision_operators, require_nerfstudio

COMMANDS = {
    "train": "nerfstudio.scripts.train",
    "eval": "nerfstudio.scripts.eval",
    "render": "nerfstudio.scripts.render",
    "viewer": "nerfstudio.scripts.viewer.run_viewer",
}
"""Names of the commands, and the modules whose `entrypoint` they are."""


def launch(arguments: Sequence[str]) -> None:
    """Run `ns-train`, `ns-eval`, `ns-render` or `ns-viewer`: the command's name without `ns-`, then its arguments.

    Raises InputError for another command, and when Nerfstudio is absent or of an unsupported version.
    """
    name = arguments[0] if arguments else "nothing"
    if name not in COMMANDS:
        raise InputError("ns", f"got {name}; expected one of {', '.join(COMMANDS)}, then its own arguments")
    require_nerfstudio()
    declare_torchvision_operators()
    # The scripts read the process's arguments and cannot be given others.
    sys.argv = [f"latentfields ns {name}", *arguments[1:]]
    importlib.import_module(COMMANDS[name]).entrypoint()
