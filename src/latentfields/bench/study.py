"""A study repeats tables of a paper: what it takes, computes and shows. Free of heavy imports, for the command line.

Every study runs in the same way (`Study.run`): its configuration and the inputs it names are checked, its folder is
claimed, cells are computed that the folder does not have yet, their results become rows, and rows tables and pages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from latentfields.bench.rows import Claim, Measured, Pivot, claims_table
from latentfields.config.checks import Checked, require_at_least
from latentfields.files import write_json
from latentfields.training.lock import locked
from latentfields.training.runs import claim_run, require_claimable

if TYPE_CHECKING:
    from latentfields.pages.charts import Chart
    from latentfields.pages.report import Headline, PictureGroup, Table

C = TypeVar("C", bound=Checked)
Labels = Mapping[str, Any]
"""What a cell measured: its field, space, seed and so on, for results.json."""
Work = Callable[[], dict[str, Any]]
"""What a cell computes, as JSON: a `partial` of a module's function, so that other processes can import it."""


@dataclass(frozen=True)
class Workplace:
    """The folder, processes and device with which the cells of a study are computed."""

    out: Path
    """The study's folder."""
    processes: int
    """Cells at the same time."""
    device: str
    """As for `latentfields.fit`."""

    def run(self, cells: Mapping[str, Work], *, label: str) -> dict[str, dict[str, Any]]:
        """Return the results of cells by name; finished ones are not computed again."""
        from latentfields.training.jobs import Cell, run_cells

        named = [Cell(name, _call, work) for name, work in cells.items()]
        return run_cells(named, self.out, processes=self.processes, label=label)

    def run_groups(
        self, groups: Mapping[str, Mapping[str, Work]], *, label: str
    ) -> dict[str, dict[str, dict[str, Any]]]:
        """Return the results of cells by group and name, each kept as GROUP-NAME."""
        cells = {f"{group}-{name}": work for group, works in groups.items() for name, work in works.items()}
        done = self.run(cells, label=label)
        return {group: {name: done[f"{group}-{name}"] for name in works} for group, works in groups.items()}

    def measure(self, cells: Mapping[str, tuple[Labels, Work]], *, label: str) -> list[dict[str, Any]]:
        """Return the labels of each cell together with its result."""
        done = self.run({name: work for name, (_, work) in cells.items()}, label=label)
        return [{**labels, **done[name]} for name, (labels, _) in cells.items()]


def _call(work: Work) -> dict[str, Any]:
    return work()


def missing_measures() -> list[str]:
    """Return a sentence on every measure of images that cannot be had on this machine."""
    from latentfields.measures.standard import image_measures

    return image_measures()[1]


@dataclass(frozen=True)
class Findings:
    """The findings of a study."""

    results: Any
    """As results.json has it."""
    claims: tuple[Claim, ...]
    tables: tuple[Table, ...]
    notes: tuple[str, ...]
    """What could not be measured."""
    page: Path
    """HTML file with all of it, and pictures."""


@dataclass(frozen=True, kw_only=True)
class Study(Generic[C]):
    """A study: its configuration, cells, rows, tables and claims."""

    name: str
    """Of its command."""
    config: type[C]
    """What it takes: the options of its command. The class's documentation is the command's."""
    title: str
    """Of its pages."""
    about: str
    """What it measures, in a sentence for the pages."""
    read_inputs: Callable[[C, Path], None]
    """Raise InputError for inputs that cannot be used; numbers are in their ranges."""
    measure: Callable[[C, Workplace], Any]
    """Compute the cells and return the results, as JSON."""
    rows: Callable[[Any], Measured]
    """The rows of such results."""
    tables: tuple[Pivot | Callable[[C, Measured], Table | None], ...]
    """Made of the rows; None leaves out a table that there is nothing for."""
    claims: Callable[[Measured], list[Claim]] | None = None
    """What the paper claims, judged by the rows."""
    headlines: Callable[[Measured, Sequence[Claim]], list[Headline]] = lambda measured, claims: []
    charts: Callable[[C, Measured], list[Chart]] = lambda config, measured: []
    pictures: Callable[[Measured, Path], list[PictureGroup]] = lambda measured, folder: []
    """Pictures for the page, from files in the study's folder."""
    settings: Callable[[C, Path], Mapping[Path, Any]] = lambda config, out: {out: config}
    """What determines the results, by the folder that is claimed with it (`claim_run`)."""
    notes: Callable[[], Sequence[str]] = lambda: ()
    """Sentences on what cannot be measured on this machine."""
    results_file: str = "results.json"
    page: str = "report"
    """Name of the HTML page. Studies that can share a folder have pages of their own names."""

    def run(
        self, config: C, *, out: str | Path, processes: int = 1, device: str = "auto", command: str = ""
    ) -> Findings:
        """Compute what the folder `out` lacks; write results, page and document there, and return them.

        `processes` cells run at the same time, each with one thread. `device` is as for `latentfields.fit`; `command`
        is the command line, for the pages. Raises InputError for unusable input, before anything is written, and when
        `out` holds a study with other settings.
        """
        from latentfields.process import choose_device

        folder = Path(out)
        require_at_least("processes", processes, 1)
        choose_device(device)
        # Input is read before the folder is claimed: bad input leaves nothing behind.
        config.check()
        self.read_inputs(config, folder)
        for claimed, settings in self.settings(config, folder).items():
            require_claimable(claimed, settings)
        with locked(folder):
            return self._run_in(config, folder, processes=processes, device=device, command=command)

    def _run_in(self, config: C, folder: Path, *, processes: int, device: str, command: str) -> Findings:
        """As `run`, in a folder that no other process works in."""
        from latentfields.pages.markdown import machine, write_markdown
        from latentfields.pages.report import Report, write_report

        for claimed, settings in self.settings(config, folder).items():
            claim_run(claimed, settings)
        results = self.measure(config, Workplace(folder, processes, device))
        measured = self.rows(results)
        claims = [] if self.claims is None else self.claims(measured)
        notes = list(results.get("notes", ())) if isinstance(results, dict) else []
        notes += self.notes()
        if self.claims is not None:
            results["claims"] = [asdict(claim) for claim in claims]
        write_json(folder / self.results_file, results)
        findings = Findings(
            results=results,
            claims=tuple(claims),
            tables=tuple(self.all_tables(config, measured, claims)),
            notes=tuple(notes),
            page=folder / f"{self.page}.html",
        )
        report = Report(
            title=self.title,
            subtitle=self.about,
            command=command or f"latentfields.run_study({config!r}, out={str(folder)!r})",
            headlines=tuple(self.headlines(measured, claims)),
            charts=tuple(self.charts(config, measured)),
            groups=tuple(self.pictures(measured, folder)),
            tables=findings.tables,
            notes=findings.notes,
        )
        write_report(findings.page, report)
        # Studies that share a folder have documents of their own names, too.
        document = "page.md" if self.page == "report" else f"{self.page}.md"
        write_markdown(folder / document, report, machine=machine(device))
        return findings

    def all_tables(self, config: C, measured: Measured, claims: Sequence[Claim]) -> list[Table]:
        """Return the claims, if the study has any, and all tables of what was measured."""
        found = [] if self.claims is None else [claims_table(claims)]
        for entry in self.tables:
            if not isinstance(entry, Pivot):
                table = entry(config, measured)
            else:
                table = None if entry.optional and not entry.taken(measured) else entry.table(measured)
            if table is not None:
                found.append(table)
        return found
