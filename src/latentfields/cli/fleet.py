"""`latentfields fleet`: fit many scenes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from latentfields.cli.command_line import command_line
from latentfields.cli.fit import FitOptions
from latentfields.cli.options import Address, EngineName, cluster, set_up
from latentfields.cli.reporting import print_result

if TYPE_CHECKING:
    from latentfields.training.workers import Engine

EXIT_INCOMPLETE = 3
"""Some scenes could not be fitted; all others are."""


@dataclass(frozen=True, kw_only=True)
class Fleet(FitOptions):
    """Fit a radiance field to each of many scenes, several at the same time; OUT/fleet.html has what came out.

    What OUT/SCENE holds is what `latentfields fit` would have written, byte for byte on one kind of processor. Run the
    same command again to go on: finished runs are passed over, those that were interrupted are resumed. Scenes that
    cannot be read or fitted are reported in the end, and the exit status is 3 then. Other options are those of `fit`.
    """

    scenes: tyro.conf.Positional[tuple[Path, ...]]
    """Scenes, folders of scenes, or shards of them (`scenes generate --shards`)."""
    out: Path = Path("runs")
    """Folder of the runs; each is called like its scene."""
    processes: int | None = None
    """Scenes that are fitted at the same time on this machine, each with --threads threads and on another GPU where
    there are some; by default one for every GPU, or without any for every processor core. A cluster has as many as it
    has room for."""
    engine: EngineName = "local"
    address: Address = None
    retries: Annotated[int, tyro.conf.arg(help="How often a fit that failed, or was killed, is resumed.")] = 1
    strict: bool = False
    """Read what the files of all scenes say before any is fitted, and end with the first scene that cannot be read or
    fitted; runs that are going on save their state."""
    reports: bool = False
    """Write report.html and orbit.mp4 of every run, too, as `fit` does."""
    json: bool = False
    """Print the results as JSON instead of a table."""

    @classmethod
    def starting_point(cls, arguments: Sequence[str]) -> Fleet:
        """The fits that --field, --preset and so on describe."""
        return cls(scenes=tyro.MISSING, **cls.chosen(arguments))

    def run(self) -> None:
        """Fit what is missing, and print the table and where its page is."""
        from latentfields.latent_nerf.fleet import fit_fleet
        from latentfields.pages.markdown import markdown

        set_up(threads=self.threads, checkpoint_seconds=self.checkpoint_seconds)
        fit = self.configuration()
        found = fit_fleet(
            self.scenes,
            None if fit.space == "rgb" else self.autoencoder,
            out=self.out,
            config=self.left_open() or fit,
            size=self.size,
            reading=self.reading(),
            seconds=self.seconds,
            clock=self.clock,
            prior=self.prior,
            few_views=None if self.prior is None else self.few_views,
            device=self.device,
            engine=self._engine(),
            retries=self.retries,
            strict=self.strict,
            reports=self.reports,
            checkpoint_seconds=self.checkpoint_seconds,
            tensorboard=self.tensorboard,
            command=command_line(),
        )
        tables = "\n\n".join(map(markdown, found.tables()))
        print_result(found.to_json(), [tables, f"\nReport: {found.page.resolve()}"], json=self.json)
        if found.failed:
            raise SystemExit(EXIT_INCOMPLETE)

    def _engine(self) -> Engine:
        """Who fits. Raises ArgumentError for options of the other one."""
        from latentfields.training.workers import LocalWorkers, usual_processes

        found = cluster(
            self.engine,
            self.address,
            chosen=self.processes is not None,
            threads=self.threads,
            device=self.device,
        )
        if found is not None:
            return found
        processes = usual_processes(self.device) if self.processes is None else self.processes
        return LocalWorkers(processes, threads=self.threads, device=self.device)
