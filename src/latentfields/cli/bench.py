"""`latentfields bench`: a command for every study, made from its options."""

from __future__ import annotations

import dataclasses
import functools
import operator
import sys
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import tyro

from latentfields.bench.studies import ALIASES, STUDIES
from latentfields.bench.study import Study
from latentfields.cli.command_line import command_line
from latentfields.cli.options import Address, EngineName, cluster
from latentfields.cli.reporting import print_result

_MARKS: Mapping[str, Mapping[str, Any]] = {
    "reconstruction": {"autoencoders": tyro.conf.Positional},
    # Their names when only one could be given.
    "igae": {
        "fields": tyro.conf.arg(aliases=("--field",)),
        "regimes": tyro.conf.arg(aliases=("--alignment",)),
    },
}
"""How the command line shows some options otherwise than as a flag of their name, by study."""


@dataclass(frozen=True, kw_only=True)
class StudyCommand:
    """Options that every study has."""

    study: ClassVar[type[Study]]
    name: ClassVar[str]
    now: ClassVar[str] = ""
    """Today's name, where this is a former one."""

    out: Path
    """Folder of the study: results, a page with pictures, a Markdown page, and every finished cell. Studies of the same
    fits can share it: scale, seeds, fields, families, meshes, and spaces in the same order."""
    processes: int = 1
    """Cells that run at the same time on this machine, with one thread each. Use 1 where times and memory matter."""
    engine: EngineName = "local"
    address: Address = None
    device: str = "auto"
    """Where to compute: cpu, cuda, cuda:1, or auto: the first GPU if there is one."""
    json: bool = False
    """Print the results as JSON instead of tables."""

    @property
    def settings(self) -> Study:
        """The study, with its options alone."""
        names = (entry.name for entry in dataclasses.fields(self.study))
        return self.study(**{name: getattr(self, name) for name in names})

    def run(self) -> None:
        """Run what is missing, and print the tables and where their page is."""
        from latentfields.pages.markdown import markdown

        chosen = self.processes != 1
        engine = cluster(self.engine, self.address, chosen=chosen, threads=1, device=self.device)
        findings = self.settings.run(
            out=self.out, processes=self.processes, device=self.device, engine=engine, command=command_line()
        )
        tables = "\n\n".join(map(markdown, findings.tables))
        print_result(findings.results, [tables, f"\nReport: {findings.page.resolve()}"], json=self.json)
        if self.now:
            today = f"`bench {self.name}` is now `bench {self.now}`; the next release knows only that name"
            print(today, file=sys.stderr)


def _command(name: str) -> Any:
    """The subcommand of a study: its options, and those of all studies."""
    alias = ALIASES.get(name)
    study, now = (STUDIES[name], "") if alias is None else (alias.study, alias.now)
    about = study.__doc__ if alias is None else f"Former name of `bench {now}`: {alias.about}."
    hints, marks = typing.get_type_hints(study), _MARKS.get(name, {})
    changed = [
        (entry.name, Annotated[hints[entry.name], marks[entry.name]], field(default=entry.default))
        for entry in dataclasses.fields(study)
        if entry.name in marks
    ]
    namespace = {"study": study, "name": name, "now": now, "__doc__": about}
    title, bases = f"{study.__name__}Command", (StudyCommand, study)
    made = make_dataclass(title, changed, bases=bases, namespace=namespace, frozen=True, kw_only=True)
    return Annotated[made, tyro.conf.subcommand(name)]


COMMANDS: Any = functools.reduce(operator.or_, map(_command, (*STUDIES, *ALIASES)))
"""All subcommands, as tyro takes them."""


@dataclass(frozen=True)
class Benchmarks:
    """Repeat the papers' tables, at the scale that a machine allows."""

    command: Annotated[COMMANDS, tyro.conf.arg(name="")]

    def run(self) -> None:
        """Run the chosen command."""
        self.command.run()
