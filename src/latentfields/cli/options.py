"""Options that several commands have, each with one meaning and one help text, and where a command's options start.

What a preset says is the default of many options, so that defaults depend on other options. Before the parser proper,
`chosen` therefore looks for those few alone; `starting_point` of a command makes an instance of what they say, whose
values are the parser's defaults.
"""

from __future__ import annotations

import argparse
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, TypeVar

import tyro

from latentfields.config.checks import require_at_least
from latentfields.config.typed_json import with_changes
from latentfields.errors import ArgumentError
from latentfields.files import read_json

if TYPE_CHECKING:
    from latentfields.training.ray_cluster import RayCluster

T = TypeVar("T")

Device = Annotated[
    str,
    tyro.conf.arg(help="Where to compute: cpu, cuda, cuda:1, or auto: the first GPU if there is one."),
]
Threads = Annotated[int, tyro.conf.arg(help="Threads inside tensor operations.")]
EngineName = Annotated[
    Literal["local", "ray"],
    tyro.conf.arg(
        help="Who computes: processes of this machine, or a Ray cluster, whose machines share the folders that are "
        "read and written; it needs pip install 'latentfields[cluster]'."
    ),
]
Address = Annotated[
    str | None,
    tyro.conf.arg(
        help="Of the cluster, as in `ray.init`: auto, HOST:PORT, ray://HOST:PORT; by default $RAY_ADDRESS, or a "
        "cluster of this machine alone for as long as the command runs."
    ),
]
CheckpointSeconds = Annotated[float, tyro.conf.arg(help="Seconds between checkpoints.")]
TensorBoard = Annotated[
    bool,
    tyro.conf.arg(
        help="Write what is logged as TensorBoard's events, too, into folders `tensorboard`; needs the extra of that "
        "name."
    ),
]
Settings = Annotated[
    Path | None,
    tyro.conf.arg(
        help="JSON file of settings that differ from the preset's, as under `training` in a run's config.json (under "
        "`fit` for fits). Options on the command line come last."
    ),
]


class StartsSomewhere(Protocol):
    """A command whose defaults depend on the arguments."""

    @classmethod
    def starting_point(cls, arguments: Sequence[str]) -> Any:
        """The command with the defaults that go with the `arguments`, and with tyro.MISSING where there are none."""
        ...


def chosen(arguments: Sequence[str], options: Mapping[str, Any]) -> dict[str, Any]:
    """Values of some options in `arguments`, by their names; `options` has their types, Literals or paths.

    Values that do not exist are passed over here: the parser proper names them.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for name in options:
        parser.add_argument(f"--{name}", nargs="?")
    found = vars(parser.parse_known_args(arguments)[0])
    values = {name: _value(text, options[name]) for name, text in found.items() if text is not None}
    return {name: value for name, value in values.items() if value is not None}


def given(arguments: Sequence[str]) -> tuple[str, ...]:
    """Names of the options in `arguments`, as those of fields of dataclasses: seed of --seed, field.kind of
    --field.kind=a."""
    return tuple(word[2:].partition("=")[0].replace("-", "_") for word in arguments if word.startswith("--"))


def with_settings(config: T, settings: Path | None) -> T:
    """The configuration with what a file changes in it. Raises InputError for a file that does not fit."""
    return config if settings is None else with_changes(config, read_json(settings), source=settings)


def set_up(*, threads: int, checkpoint_seconds: float) -> None:
    """Prepare this process for a training. Raises ArgumentError for numbers out of range."""
    from latentfields.process import set_threads

    require_at_least("checkpoint_seconds", checkpoint_seconds, 0)
    set_threads(threads)


def cluster(
    engine: EngineName, address: Address, *, chosen: bool, threads: int, device: str
) -> RayCluster | None:
    """The cluster that was asked for; None where this machine computes.

    Raises ArgumentError for an address without a cluster, and where a number of `processes` was `chosen` beside one.
    """
    if engine == "local":
        if address is not None:
            raise ArgumentError("address", "is that of a cluster; expected the `engine` ray with it")
        return None
    from latentfields.training.ray_cluster import RayCluster

    if chosen:
        raise ArgumentError("processes", "is for the `engine` local; a cluster says what it has room for")
    return RayCluster(address, threads=threads, gpus=0 if device == "cpu" else None)


def _value(text: str, hint: Any) -> Any:
    """`text` as a value of the type, or None."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _value(text, parts[0])
    if origin in (typing.Union, types.UnionType):
        return next((value for part in parts if (value := _value(text, part)) is not None), None)
    if origin is Literal:
        return text if text in parts else None
    return Path(text) if hint is Path else None
