"""`latentfields completion`: completion of commands and options by the shell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import tyro


@dataclass(frozen=True, kw_only=True)
class Completion:
    """Print the script that makes a shell complete commands and options.

    bash: latentfields completion bash > ~/.local/share/bash-completion/completions/latentfields
    zsh, with a folder of $fpath: latentfields completion zsh > FOLDER/_latentfields
    fish: latentfields completion fish > ~/.config/fish/completions/latentfields.fish
    """

    shell: tyro.conf.Positional[Literal["bash", "zsh", "fish"]]
    """The shell."""

    def run(self) -> None:
        """Print the script and exit."""
        from latentfields.cli.main import parse_line

        parse_line(["--tyro-write-completion", self.shell, "-"])
