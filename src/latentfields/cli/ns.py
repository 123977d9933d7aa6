"""`latentfields ns`: Nerfstudio's commands, with latent methods, in a CPU environment as well."""

from __future__ import annotations

from dataclasses import dataclass

import tyro


@dataclass(frozen=True)
class Ns:
    """Run Nerfstudio's commands: train, eval, render or viewer, followed by their own arguments.

    `latentfields ns train --help` lists the methods, `latentfields ns train latent-tensorf --help` the options of one.
    """

    arguments: tyro.conf.Positional[tuple[str, ...]]
    """Command and arguments, passed on as they are."""

    def run(self) -> None:
        """Hand over to Nerfstudio."""
        from latentfields.integrations.nerfstudio.launcher import launch

        launch(self.arguments)
