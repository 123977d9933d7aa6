"""`latentfields bench`: a command for every study, made from the configuration that the study takes."""

from __future__ import annotations

import dataclasses
import functools
import json as json_format
import operator
import sys
import typing
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import tyro

from latentfields.bench.studies import ALIASES, STUDIES, Alias
from latentfields.bench.study import Study
from latentfields.cli.command_line import command_line

_MARKERS: Mapping[str, Mapping[str, Any]] = {
    "reconstruction": {"autoencoders": tyro.conf.Positional},
    # Its name when only one could be given.
    "igae": {"fields": tyro.conf.arg(aliases=("--field",))},
}
"""How the command line shows some options otherwise than as a flag of their name, by study."""


@dataclass(frozen=True, kw_only=True)
class StudyCommand:
    """Options that every study has."""

    study: ClassVar[Study[Any]]
    now: ClassVar[str] = ""
    """Today's name, where this is a former one."""

    if TYPE_CHECKING:
        config: Any

    out: Path
    """Folder of the study: results, a page with pictures, a Markdown page, and every finished cell. Studies of the same
    fits can share it: scale, seeds, fields, families, meshes, and spaces in the same order."""
    processes: int = 1
    """Cells that run at the same time, with one thread each. Use 1 where times and memory matter."""
    device: str = "auto"
    """Where to compute: cpu, cuda, cuda:1, or auto: the first GPU if there is one."""
    json: bool = False
    """Print the results as JSON instead of tables."""

    @property
    def settings(self) -> Any:
        """The study's configuration, without the marks that the command line has put on its class."""
        names = [entry.name for entry in dataclasses.fields(self.study.config)]
        return self.study.config(**{name: getattr(self.config, name) for name in names})

    def run(self) -> None:
        """Run what is missing, and print the tables and where their page is."""
        from latentfields.pages.markdown import markdown

        findings = self.study.run(
            self.settings,
            out=self.out,
            processes=self.processes,
            device=self.device,
            command=command_line(),
        )
        if self.json:
            print(json_format.dumps(findings.results))
        else:
            print("\n\n".join(map(markdown, findings.tables)))
            print(f"\nReport: {findings.page.resolve()}")
        if self.now:
            message = (
                f"`bench {self.study.name}` is now `bench {self.now}`; the next release knows only that name"
            )
            print(message, file=sys.stderr)


def _command(study: Study[Any], alias: Alias | None = None) -> Any:
    """The subcommand of a study; under a former name, with the defaults that it had."""
    about = study.config.__doc__ if alias is None else f"Former name of `bench {alias.now}`: {alias.about}."
    options = _marked(study.config, _MARKERS.get(study.name, {}))
    start = options(**alias.defaults) if alias is not None else MISSING
    made = make_dataclass(
        f"{study.config.__name__}Command",
        [("config", Annotated[options, tyro.conf.arg(name="")], field(default=start))],
        bases=(StudyCommand,),
        namespace={"study": study, "now": alias.now if alias is not None else "", "__doc__": about},
        frozen=True,
        kw_only=True,
    )
    return Annotated[made, tyro.conf.subcommand(study.name)]


def _marked(config: type[Any], markers: Mapping[str, Any]) -> type[Any]:
    """The configuration with markers for tyro at some of its fields."""
    hints = typing.get_type_hints(config)
    defaults = {entry.name: entry.default for entry in dataclasses.fields(config)}
    fields = [
        (name, Annotated[hints[name], marker], field(default=defaults[name]))
        for name, marker in markers.items()
    ]
    return make_dataclass(config.__name__, fields, bases=(config,), frozen=True, kw_only=True)


COMMANDS: Any = functools.reduce(
    operator.or_,
    [*map(_command, STUDIES), *(_command(alias.study, alias) for alias in ALIASES)],
)
"""All subcommands, as tyro takes them."""


@dataclass(frozen=True)
class Benchmarks:
    """Repeat the papers' tables, at the scale that a machine allows."""

    command: Annotated[COMMANDS, tyro.conf.arg(name="")]

    def run(self) -> None:
        """Run the chosen command."""
        self.command.run()
