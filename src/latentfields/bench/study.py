"""A study repeats tables of a paper: what it takes, computes and shows. Free of heavy imports, for the command line.

Every study runs in the same way (`Study.run`): its options and the inputs that they name are checked, its folder is
claimed, cells are computed that the folder does not have yet, their results become rows, and rows tables and pages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from latentfields.bench.rows import Claim, Measured, Pivot, Record, Row, Rows, claims_table
from latentfields.config.checks import Checked, require_at_least
from latentfields.files import write_json
from latentfields.training.lock import locked
from latentfields.training.runs import claim_run, require_claimable

if TYPE_CHECKING:
    from latentfields.pages.charts import Chart
    from latentfields.pages.report import Headline, Picture, PictureGroup, Table
    from latentfields.training.workers import Engine

Labels = Mapping[str, Any]
"""What a cell measured: its field, space, seed and so on, for results.json."""
Work = Callable[[], dict[str, Any]]
"""What a cell computes, as JSON: a `partial` of a module's function, so that other processes can import it."""
Cells = dict[str, tuple[Labels, Work]]
"""Cells by name."""


@dataclass(frozen=True)
class Workplace:
    """The folder, engine and device with which the cells of a study are computed."""

    out: Path
    """The study's folder."""
    engine: Engine
    """Computes them."""
    device: str
    """As for `latentfields.fit`."""

    def run(self, cells: Mapping[str, Work], *, label: str) -> dict[str, dict[str, Any]]:
        """Return the results of cells by name; finished ones are not computed again."""
        from latentfields.training.jobs import Cell, run_cells

        named = [Cell(name, call_work, work) for name, work in cells.items()]
        return run_cells(named, self.out, engine=self.engine, label=label)

    def run_alone(self, cells: Mapping[str, Work], *, label: str) -> dict[str, dict[str, Any]]:
        """As `run`, one cell after the other, whatever the engine has room for: of cells that are timed."""
        return {name: self.run({name: work}, label=label)[name] for name, work in cells.items()}

    def run_group(
        self, group: str, compute: Callable[[str], dict[str, Any]], names: Mapping[str, str]
    ) -> dict[str, dict[str, Any]]:
        """Return what is computed of each autoencoder, by its role; that of a role is the cell GROUP-ROLE."""
        cells = {f"{group}-{role}": partial(compute, name) for role, name in names.items()}
        return dict(zip(names, self.run(cells, label=group).values(), strict=True))

    def measure(self, cells: Mapping[str, tuple[Labels, Work]], *, label: str) -> list[dict[str, Any]]:
        """Return the labels of each cell together with its result."""
        done = self.run({name: work for name, (_, work) in cells.items()}, label=label)
        return [{**labels, **done[name]} for name, (labels, _) in cells.items()]


def call_work(work: Work) -> dict[str, Any]:
    """Compute a cell."""
    return work()


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
class Study(Checked):
    """A study: its fields are the options of its command, its documentation is that of the command.

    What it shows are class attributes, what it computes are methods; studies inherit what they share.
    """

    kind: ClassVar[str]
    """Of its folders: "bench" and the name of its command."""
    title: ClassVar[str]
    """Of its pages."""
    about: ClassVar[str]
    """What it measures, in a sentence for the pages."""
    tables: ClassVar[tuple[Pivot, ...]] = ()
    """Made of the rows."""
    of_images: ClassVar[bool] = True
    """Tables show measures of images: pages say which of them cannot be had on this machine."""
    claims_title: ClassVar[str] = "Claims of the paper"
    headline: ClassVar[str] = ""
    """Of claims that begin so, what was measured is what the page begins with."""
    numbered: ClassVar[tuple[str, ...]] = ("seed",)
    """Numbers in the results that are labels."""
    pictured_by: ClassVar[tuple[str, ...]] = ()
    """Labels of the fits whose pictures are shown together. Without "seed", those of the first seed are."""
    told_apart_by: ClassVar[tuple[str, ...]] = ("field", "space", "path")
    """Labels, where fits have them, of those that are shown together."""
    side_by_side: ClassVar[str] = ""
    """Label of methods whose pictures are files of their own, beside the truth's; "" of halves of one: truth, fit."""
    results_file: ClassVar[str] = "results.json"
    page: ClassVar[str] = "report"
    """Name of the HTML page. Studies that can share a folder have pages of their own names."""

    def read_inputs(self, out: Path) -> None:
        """Raise InputError for inputs that cannot be used; numbers are in their ranges."""

    def settings(self, out: Path) -> Mapping[Path, Any]:
        """Return what determines the results, by the folder that is claimed with it (`claim_run`)."""
        return {out: self}

    def measure(self, place: Workplace) -> Any:
        """Compute the cells and return the results, as JSON."""
        raise NotImplementedError

    def rows(self, results: Any) -> Measured:
        """Return the rows of such results: a list of JSON objects for each kind, or objects by autoencoder.

        What is a list itself is of the kind "fits".
        """
        kinds = {"fits": results} if isinstance(results, list) else results
        return {kind: self.rows_of(kinds[kind]) for kind in kinds if kind not in ("notes", "claims")}

    def rows_of(self, records: Sequence[Record] | Mapping[str, Record]) -> Rows:
        """Return the rows of JSON objects, which may be those of autoencoders by name."""
        if isinstance(records, Mapping):
            records = [{**record, "autoencoder": name} for name, record in records.items()]
        return Rows(Row.of(record, numbered=self.numbered) for record in records)

    def claims(self, measured: Measured) -> list[Claim] | None:
        """Return what the paper claims, judged by the rows; None for a study of no claims."""
        return None

    def more_tables(self, measured: Measured) -> Sequence[Table]:
        """Return tables that depend on the options, to be shown after `tables`."""
        return ()

    def headlines(self, measured: Measured, claims: Sequence[Claim]) -> list[Headline]:
        """Return the numbers that the page begins with."""
        from latentfields.pages.report import Headline

        found = []
        for claim in claims:
            if self.headline and claim.statement.startswith(self.headline):
                value, *_, unit = claim.measured.split()
                found.append(Headline(claim.statement, value, unit, claim.required))
        return found

    def charts(self, measured: Measured) -> list[Chart]:
        """Return the charts of the page."""
        return []

    def pictures(self, measured: Measured, folder: Path) -> list[PictureGroup]:
        """Return the pictures of the page, from files in the study's folder: a test view of fits and its truth."""
        from latentfields.pages.report import Picture, PictureGroup, PictureRow

        fits = measured["fits"] if self.pictured_by else Rows()
        if (seeds := fits.distinct("seed")) and "seed" not in self.pictured_by:
            fits = fits.select(seed=min(seeds, key=int))

        def shown(rows: Rows) -> Iterator[Picture | None]:
            files = [folder / row.labels.get("picture", "") for row in rows]
            if self.side_by_side:
                yield Picture.read("truth", files[0].with_name("truth.png"))
                titles = [row.labels[self.side_by_side] for row in rows]
                yield from map(Picture.read, titles, files)
                return
            for pair in filter(None, map(partial(Picture.read, ""), files)):
                width = pair.pixels.shape[1] // 2
                yield Picture("truth", pair.pixels[:, :width])
                yield Picture("decoded", pair.pixels[:, width:])

        groups = []
        for title, group in fits.grouped(*self.pictured_by).items():
            kinds = group.grouped(*self.told_apart_by).items()
            found = [PictureRow(", ".join(filter(None, kind)), tuple(shown(rows))) for kind, rows in kinds]
            if seen := tuple(row for row in found if any(row.pictures)):
                groups.append(PictureGroup(", ".join(filter(None, title)), seen))
        return groups

    def all_tables(self, measured: Measured) -> list[Table]:
        """Return the claims, if the study has any, and all tables of what was measured."""
        claims = self.claims(measured)
        judged = [claims_table(claims, title=self.claims_title)] if claims else []
        tables = [pivot.table(measured) for pivot in self.tables if pivot.taken(measured)]
        return [*judged, *tables, *self.more_tables(measured)]

    def run(
        self,
        *,
        out: str | Path,
        processes: int = 1,
        device: str = "auto",
        engine: Engine | None = None,
        command: str = "",
    ) -> Findings:
        """Compute what the folder `out` lacks; write results, page and document there, and return them.

        `processes` cells run at the same time on this machine, each with one thread; an `engine` computes them instead,
        such as a `RayCluster`. `device` is as for `latentfields.fit`; `command` is the command line, for the pages.
        Raises InputError for unusable input, before anything is written, and when `out` holds a study with other
        settings.
        """
        from latentfields.training.jobs import local_engine

        folder, elsewhere = Path(out), engine is not None
        require_at_least("processes", processes, 1)
        engine = engine or local_engine(processes, device)
        engine.require_device(device)
        # Input is read before the folder is claimed: bad input leaves nothing behind.
        self.check()
        self.read_inputs(folder)
        settings = self.settings(folder)
        for claimed, config in settings.items():
            require_claimable(claimed, config)
        with locked(folder):
            for claimed, config in settings.items():
                claim_run(claimed, config)
            results = self.measure(Workplace(folder, engine, device))
            where = _machine(device, engine if elsewhere else None)
            return self._write(results, folder, machine=where, command=command)

    def _write(self, results: Any, folder: Path, *, machine: str, command: str) -> Findings:
        """Write results, page and document of what was measured on a machine."""
        from latentfields.measures.standard import image_measures
        from latentfields.pages.markdown import write_markdown
        from latentfields.pages.report import Report, write_report

        measured = self.rows(results)
        claims = self.claims(measured)
        notes = list(results.get("notes", ())) if isinstance(results, dict) else []
        if self.of_images:
            notes += image_measures()[1]
        notes = list(dict.fromkeys(notes))
        if claims is not None and isinstance(results, dict):
            results["claims"] = [asdict(claim) for claim in claims]
        write_json(folder / self.results_file, results)
        tables = tuple(self.all_tables(measured))
        report = Report(
            title=self.title,
            subtitle=self.about,
            command=command or f"latentfields.run_study({self!r}, out={str(folder)!r})",
            headlines=tuple(self.headlines(measured, claims or [])),
            charts=tuple(self.charts(measured)),
            groups=tuple(self.pictures(measured, folder)),
            tables=tables,
            notes=tuple(notes),
        )
        page = folder / f"{self.page}.html"
        write_report(page, report)
        # Studies that share a folder have documents of their own names, too.
        document = folder / ("page.md" if self.page == "report" else f"{self.page}.md")
        write_markdown(document, report, machine=machine)
        return Findings(results, tuple(claims or ()), tables, tuple(notes), page)


def _machine(device: str, engine: Engine | None) -> str:
    """The hardware and the versions of this machine, or of one that the engine computes with."""
    from latentfields.pages.markdown import machine
    from latentfields.training.jobs import Job, raise_first, run_jobs

    if engine is None:
        return machine(device)
    found: list[str] = []
    job = Job("machine", machine, device)
    raise_first(run_jobs([job], engine=engine, label=None, done=lambda job, text: found.append(text)))
    return found[0]
