"""`latentfields view`: look at a run in the browser; and what `fit --viewer` needs of it."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from latentfields.cli.options import Device, Threads
from latentfields.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from latentfields.training.loop import Trainable
    from latentfields.viewer.source import WatchedTrainer

LOCALHOST = "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class View:
    """Fly through a run in the browser: one that `fit` wrote, or the latent scenes of `autoencoder finetune-3d`.

    Serves until Ctrl-C, which is the normal end: the exit status is 0. Camera paths and films go to RUN/paths, or
    beside a scene file.
    """

    run_folder: tyro.conf.Positional[Path]
    """Folder of the run, or a file written by `latentfields export scene`."""
    scene: Path | None = None
    """Where the scene of a fit is now; by default where it was fitted from. A scene file needs it to show errors."""
    cache: Path | None = None
    """The folder that finetune-3d was given as --cache, if it was."""
    host: str = LOCALHOST
    """Interface to serve on; by default only this machine can connect. 0.0.0.0 lets everybody in, unencrypted."""
    port: int = 8080
    """Port to serve on; the next free one if it is taken, 0 for any."""
    device: Device = "auto"
    threads: Threads = 1

    def run(self) -> None:
        """Print the address and serve."""
        require_viser()
        from latentfields.process import choose_device, set_threads
        from latentfields.viewer.server import Address, serve
        from latentfields.viewer.source import open_source

        set_threads(self.threads)
        device = choose_device(self.device)
        source = open_source(self.run_folder, scene=self.scene, cache=self.cache, device=device)
        serve(source, Address(self.host, self.port))


def viewer_watch(out: Path, *, port: int) -> Callable[[WatchedTrainer], AbstractContextManager[Trainable]]:
    """Show a scene of the run in the folder `out` in the browser while it is trained, on this machine only."""
    require_viser()
    from latentfields.viewer.server import Address, watched

    def watch(trainer: WatchedTrainer) -> AbstractContextManager[Trainable]:
        return watched(trainer, folder=out, address=Address(LOCALHOST, port))

    return watch


def require_viser() -> None:
    """Raise InputError, saying how to install it, when the package of the web server is absent."""
    if importlib.util.find_spec("viser") is None:
        raise InputError("viewer", "needs the package viser; pip install 'latentfields[viewer]'")
