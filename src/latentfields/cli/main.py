"""The `latentfields` command: parses, runs one subcommand, and turns bad input into one line and exit status 2."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol, cast

import tyro

from latentfields.cli import autoencoder, bench, igae, scenes
from latentfields.cli.demo import Demo
from latentfields.cli.evaluate import Evaluate
from latentfields.cli.fit import Fit, starting_point
from latentfields.cli.ns import Ns
from latentfields.cli.render import Render
from latentfields.errors import InputError
from latentfields.process import tune_allocator

EXIT_INPUT = 2
EXIT_INTERRUPTED = 130


class Command(Protocol):
    """A parsed subcommand."""

    def run(self) -> None:
        """Do it."""
        ...


@dataclass(frozen=True)
class Scenes:
    """Make scenes: render meshes, or generate textured objects."""

    command: tyro.conf.OmitSubcommandPrefixes[
        Annotated[scenes.Render, tyro.conf.subcommand("render")]
        | Annotated[scenes.Generate, tyro.conf.subcommand("generate")]
    ]

    def run(self) -> None:
        """Run the chosen command."""
        self.command.run()


@dataclass(frozen=True)
class Autoencoders:
    """Train, make 3D-aware, evaluate and score autoencoders."""

    command: tyro.conf.OmitSubcommandPrefixes[
        Annotated[autoencoder.Train, tyro.conf.subcommand("train")]
        | Annotated[igae.Finetune3D, tyro.conf.subcommand("finetune-3d")]
        | Annotated[autoencoder.Evaluate, tyro.conf.subcommand("evaluate")]
        | Annotated[igae.Score, tyro.conf.subcommand("score")]
    ]

    def run(self) -> None:
        """Run the chosen command."""
        self.command.run()


@dataclass(frozen=True)
class Benchmarks:
    """Repeat the papers' tables, at the scale that a machine allows."""

    command: tyro.conf.OmitSubcommandPrefixes[
        Annotated[bench.Igae, tyro.conf.subcommand("igae")]
        | Annotated[bench.Table1, tyro.conf.subcommand("table1")]
        | Annotated[bench.Table4, tyro.conf.subcommand("table4")]
        | Annotated[bench.LatentNvs, tyro.conf.subcommand("latent-nvs")]
        | Annotated[bench.RgbVsLatent, tyro.conf.subcommand("rgb-vs-latent")]
        | Annotated[bench.Reconstruction, tyro.conf.subcommand("reconstruction")]
    ]

    def run(self) -> None:
        """Run the chosen command."""
        self.command.run()


def parse(arguments: Sequence[str] | None = None) -> Command:
    """The subcommand that the arguments (default: the process's) describe. Exits with 2 when they are wrong."""
    arguments = sys.argv[1:] if arguments is None else arguments
    # Options after `ns` are Nerfstudio's.
    if len(arguments) > 1 and arguments[0] == "ns" and arguments[1] not in ("-h", "--help"):
        return Ns(tuple(arguments[1:]))
    fit = tyro.conf.subcommand("fit", default=starting_point(arguments))
    parsed = tyro.cli(
        Annotated[Demo, tyro.conf.subcommand("demo")]
        | Annotated[Scenes, tyro.conf.subcommand("scenes")]
        | Annotated[Autoencoders, tyro.conf.subcommand("autoencoder")]
        | Annotated[Fit, fit]
        | Annotated[Evaluate, tyro.conf.subcommand("evaluate")]
        | Annotated[Render, tyro.conf.subcommand("render")]
        | Annotated[Benchmarks, tyro.conf.subcommand("bench")]
        | Annotated[Ns, tyro.conf.subcommand("ns")],
        args=arguments,
        prog="latentfields",
        description="Radiance fields in the latent space of image autoencoders.",
    )
    return cast(Command, parsed)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the `latentfields` command."""
    command = parse(arguments)
    tune_allocator()
    try:
        command.run()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(EXIT_INPUT) from None
    except BaseException as error:
        # Imported only now: the module needs torch, and a run that was interrupted has it loaded already.
        from latentfields.training.loop import Interrupted

        if isinstance(error, Interrupted | KeyboardInterrupt):
            print(f"\n{str(error) or 'interrupted'}", file=sys.stderr)
            raise SystemExit(EXIT_INTERRUPTED) from None
        raise


if __name__ == "__main__":
    main()
