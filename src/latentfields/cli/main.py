"""The `latentfields` command: parses, runs one subcommand, and turns bad input into one line and exit status 2."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, make_dataclass
from typing import Annotated, Any, NoReturn, Protocol, cast

import tyro

import latentfields
from latentfields.cli import autoencoder, collection, export, igae, lrf, prior, scenes
from latentfields.cli.bench import Benchmarks
from latentfields.cli.completion import Completion
from latentfields.cli.demo import Demo
from latentfields.cli.edit import Edit
from latentfields.cli.evaluate import Evaluate
from latentfields.cli.fit import Fit
from latentfields.cli.fleet import Fleet
from latentfields.cli.generate import Generate
from latentfields.cli.lrf_align import AlignDecoder
from latentfields.cli.mistakes import explained
from latentfields.cli.ns import Ns
from latentfields.cli.options import StartsSomewhere
from latentfields.cli.render import Render
from latentfields.cli.reporting import LOG_LEVEL_HELP, LogLevel, one_line, reporting, with_flags
from latentfields.cli.view import View
from latentfields.errors import InputError
from latentfields.process import tune_allocator

EXIT_DEFECT = 1
EXIT_INPUT = 2
EXIT_INTERRUPTED = 130
EXIT_PIPE = 141
"""As of a program that the signal SIGPIPE ended."""


class Command(Protocol):
    """A parsed subcommand."""

    def run(self) -> None:
        """Do it."""
        ...


@dataclass(frozen=True)
class Scenes:
    """Make scenes: find the poses of photographs, render meshes, or generate textured objects."""

    command: Annotated[
        Annotated[scenes.Capture, tyro.conf.subcommand("capture")]
        | Annotated[scenes.Render, tyro.conf.subcommand("render")]
        | Annotated[scenes.Generate, tyro.conf.subcommand("generate")],
        tyro.conf.arg(name=""),
    ]

    def run(self) -> None:
        """Run the chosen command."""
        self.command.run()


@dataclass(frozen=True)
class Autoencoders:
    """Train, make 3D-aware, evaluate and score autoencoders."""

    command: Annotated[
        Annotated[autoencoder.Train, tyro.conf.subcommand("train")]
        | Annotated[autoencoder.Grow, tyro.conf.subcommand("grow")]
        | Annotated[autoencoder.Halve, tyro.conf.subcommand("halve")]
        | Annotated[igae.Finetune3D, tyro.conf.subcommand("finetune-3d")]
        | Annotated[autoencoder.Evaluate, tyro.conf.subcommand("evaluate")]
        | Annotated[igae.Score, tyro.conf.subcommand("score")],
        tyro.conf.arg(name=""),
    ]

    def run(self) -> None:
        """Run the chosen command."""
        self.command.run()


@dataclass(frozen=True)
class Priors:
    """Train 2D priors of latents, for `latentfields generate` and `edit`, and look at what they know."""

    command: Annotated[
        Annotated[prior.Train, tyro.conf.subcommand("train")]
        | Annotated[prior.Sample, tyro.conf.subcommand("sample")],
        tyro.conf.arg(name=""),
    ]

    def run(self) -> None:
        """Run the chosen command."""
        self.command.run()


@dataclass(frozen=True)
class Collections:
    """Fit many objects that share what is common (Fused-Planes), add some, and look at them."""

    command: Annotated[
        Annotated[collection.Fit, tyro.conf.subcommand("fit")]
        | Annotated[collection.Add, tyro.conf.subcommand("add")]
        | Annotated[collection.List, tyro.conf.subcommand("list")]
        | Annotated[collection.Remove, tyro.conf.subcommand("remove")]
        | Annotated[collection.Render, tyro.conf.subcommand("render")]
        | Annotated[collection.Export, tyro.conf.subcommand("export")]
        | Annotated[collection.View, tyro.conf.subcommand("view")],
        tyro.conf.arg(name=""),
    ]

    def run(self) -> None:
        """Run the chosen command."""
        self.command.run()


@dataclass(frozen=True)
class LatentRadianceFields:
    """Make latent radiance fields (LRF): correspondences, a correspondence-aware autoencoder, an aligned decoder."""

    command: Annotated[
        Annotated[lrf.Correspond, tyro.conf.subcommand("correspond")]
        | Annotated[lrf.FinetuneEncoder, tyro.conf.subcommand("finetune-encoder")]
        | Annotated[AlignDecoder, tyro.conf.subcommand("align-decoder")],
        tyro.conf.arg(name=""),
    ]

    def run(self) -> None:
        """Run the chosen command."""
        self.command.run()


@dataclass(frozen=True)
class Exports:
    """Write a finished run as files for other tools, in the capture's own coordinates, or as one portable file."""

    command: Annotated[
        Annotated[export.Mesh, tyro.conf.subcommand("mesh")]
        | Annotated[export.Points, tyro.conf.subcommand("points")]
        | Annotated[export.Gaussians, tyro.conf.subcommand("gaussians")]
        | Annotated[export.Cameras, tyro.conf.subcommand("cameras")]
        | Annotated[export.Scene, tyro.conf.subcommand("scene")],
        tyro.conf.arg(name=""),
    ]

    def run(self) -> None:
        """Run the chosen command."""
        self.command.run()


AUTOENCODER_TRAININGS: Mapping[str, type[StartsSomewhere]] = {
    "train": autoencoder.Train,
    "finetune-3d": igae.Finetune3D,
}
PRIOR_TRAININGS: Mapping[str, type[StartsSomewhere]] = {"train": prior.Train}
COLLECTION_TRAININGS: Mapping[str, type[StartsSomewhere]] = {"fit": collection.Fit}
LRF_TRAININGS: Mapping[str, type[StartsSomewhere]] = {
    "finetune-encoder": lrf.FinetuneEncoder,
    "align-decoder": AlignDecoder,
}


class CommandLine(Protocol):
    """Everything that was asked for."""

    @property
    def command(self) -> Command:
        """The parsed subcommand."""
        ...

    @property
    def log_level(self) -> LogLevel:
        """The amount that is said on stderr."""
        ...


@dataclass(frozen=True)
class _PassedOn:
    """Arguments that another program parses."""

    command: Command
    log_level: LogLevel = "info"


def parse_line(arguments: Sequence[str] | None = None) -> CommandLine:
    """Parse the arguments (default: the process's). Exits with 2 when they are wrong."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if list(arguments) == ["--version"]:
        print(f"latentfields {latentfields.__version__}")
        raise SystemExit(0)
    # Options after `ns` are Nerfstudio's.
    if len(arguments) > 1 and arguments[0] == "ns" and arguments[1] not in ("-h", "--help"):
        return _PassedOn(Ns(tuple(arguments[1:])))
    try:
        fit = _subcommand(
            "fit", Fit.starting_point(arguments) if "fit" in arguments else Fit.starting_point(())
        )
        fleet = _subcommand("fleet", Fleet.starting_point(arguments if "fleet" in arguments else ()))
        trainings = _group("autoencoder", Autoencoders, arguments, AUTOENCODER_TRAININGS)
        lrf_stages = _group("lrf", LatentRadianceFields, arguments, LRF_TRAININGS)
        generate = _subcommand("generate", Generate.starting_point(arguments))
        priors = _group("prior", Priors, arguments, PRIOR_TRAININGS)
        collections = _group("collection", Collections, arguments, COLLECTION_TRAININGS)
    except InputError as error:
        _refuse(error)
    commands = (
        Annotated[Demo, tyro.conf.subcommand("demo")]
        | Annotated[Scenes, tyro.conf.subcommand("scenes")]
        | Annotated[Autoencoders, trainings]
        | Annotated[Fit, fit]
        | Annotated[Fleet, fleet]
        | Annotated[Generate, generate]
        | Annotated[Edit, tyro.conf.subcommand("edit")]
        | Annotated[Priors, priors]
        | Annotated[Collections, collections]
        | Annotated[Evaluate, tyro.conf.subcommand("evaluate")]
        | Annotated[Render, tyro.conf.subcommand("render")]
        | Annotated[LatentRadianceFields, lrf_stages]
        | Annotated[View, tyro.conf.subcommand("view")]
        | Annotated[Exports, tyro.conf.subcommand("export")]
        | Annotated[Benchmarks, tyro.conf.subcommand("bench")]
        | Annotated[Ns, tyro.conf.subcommand("ns")]
        | Annotated[Completion, tyro.conf.subcommand("completion")]
    )
    # Made here, since where the options of trainings start depends on the arguments.
    line = make_dataclass(
        "Line",
        [
            ("command", Annotated[commands, tyro.conf.arg(name="")]),
            (
                "log_level",
                Annotated[LogLevel, tyro.conf.CascadeSubcommandArgs, tyro.conf.arg(help=LOG_LEVEL_HELP)],
                "info",
            ),
        ],
    )
    with nullcontext() if "--help" in arguments else explained(arguments, _help_text):
        parsed: Any = tyro.cli(
            line,
            args=arguments,
            prog="latentfields",
            description="Radiance fields in the latent space of image autoencoders. --version prints the version.",
        )
    return cast(CommandLine, parsed)


def _help_text(arguments: Sequence[str]) -> str:
    """What a command line that asks for help prints."""
    with redirect_stdout(io.StringIO()) as printed, redirect_stderr(io.StringIO()), suppress(SystemExit):
        parse_line(arguments)
    return printed.getvalue()


def _group(
    name: str,
    group: Callable[[Any], Any],
    arguments: Sequence[str],
    trainings: Mapping[str, type[StartsSomewhere]],
) -> Any:
    """Tyro's description of a group of commands, the one of `trainings` that is called with its defaults set."""
    called = next((word for word in arguments if word in trainings), None) if name in arguments else None
    return _subcommand(name, None if called is None else group(trainings[called].starting_point(arguments)))


def _subcommand(name: str, default: object | None) -> Any:
    """Tyro's description of a subcommand, which has defaults of its own class or the `default`."""
    return tyro.conf.subcommand(name) if default is None else tyro.conf.subcommand(name, default=default)


def _refuse(error: InputError, command: object = None) -> NoReturn:
    """Say in one line what is wrong, and exit."""
    # The command of a group is what has the options.
    while (inner := getattr(command, "command", None)) is not None:
        command = inner
    print(f"error: {with_flags(error, command)}", file=sys.stderr)
    raise SystemExit(EXIT_INPUT) from None


def parse(arguments: Sequence[str] | None = None) -> Command:
    """The subcommand that the arguments (default: the process's) describe. Exits with 2 when they are wrong."""
    return parse_line(arguments).command


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the `latentfields` command."""
    try:
        line = parse_line(arguments)
        tune_allocator()
        with reporting(line.log_level):
            _run(line.command, show_defects=line.log_level == "debug")
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output, such as `head`, has seen enough; Python would complain on its way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(EXIT_PIPE) from None


def _run(command: Command, *, show_defects: bool) -> None:
    """Run a command; what goes wrong becomes one line and an exit status, defects unless they are to be shown."""
    try:
        command.run()
    except InputError as error:
        _refuse(error, command)
    except (SystemExit, BrokenPipeError):
        raise
    except BaseException as error:
        # Imported only now: the module needs torch, and a run that was interrupted has it loaded already.
        from latentfields.training.loop import Interrupted

        if isinstance(error, Interrupted | KeyboardInterrupt):
            print(f"\n{str(error) or 'interrupted'}", file=sys.stderr)
            raise SystemExit(EXIT_INTERRUPTED) from None
        if show_defects or not isinstance(error, Exception):
            raise
        print(f"error: {one_line(error)}", file=sys.stderr)
        raise SystemExit(EXIT_INPUT if isinstance(error, OSError) else EXIT_DEFECT) from None


if __name__ == "__main__":
    main()
