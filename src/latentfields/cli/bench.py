"""`latentfields bench`: the papers' tables as commands."""

from __future__ import annotations

import abc
import json as json_format
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from latentfields.bench.grid_config import PAPER_FIELDS, FitGrid
from latentfields.bench.igae_config import Scale
from latentfields.cli.command_line import command_line
from latentfields.fields.config import FieldName

if TYPE_CHECKING:
    from latentfields.pages.charts import Chart
    from latentfields.pages.report import Table


def print_results(results: Any, tables: Sequence[Table], *, json: bool, page: Path | None = None) -> None:
    """Print `results` as JSON, or the tables and where their page is."""
    from latentfields.bench.markdown import markdown

    if json:
        print(json_format.dumps(results))
        return
    print("\n\n".join(map(markdown, tables)))
    if page is not None:
        print(f"\nReport: {page.resolve()}")


@dataclass(frozen=True, kw_only=True)
class Reconstruction:
    """How well autoencoders reconstruct images that nothing was trained on (IG-AE Table 12)."""

    autoencoders: tyro.conf.Positional[tuple[str, ...]]
    """Packaged names, folders, or Hub ids of diffusers autoencoders."""
    out: Path
    """Folder of the benchmark: results.json and every finished cell."""
    photos: tuple[Path, ...] = ()
    """Folders of photographs."""
    pattern: str = "*"
    """Pattern of the names of those that count."""
    limit: int = 5000
    """Photographs at most, the first by name."""
    scenes: tuple[Path, ...] = ()
    """Scenes, or folders of them."""
    objects: int = 6
    """Generated objects of each of the families vases, hats and bags."""
    size: int = 128
    """Side of all images, in pixels."""
    processes: int = 1
    """Cells that run at the same time, with one thread each."""
    json: bool = False
    """Print results.json instead of tables."""

    def run(self) -> None:
        """Run what is missing and print the tables."""
        from latentfields.bench.reconstruction import ReconstructionBench, run_reconstruction_bench, tables

        config = ReconstructionBench(
            autoencoders=self.autoencoders,
            photos=self.photos,
            pattern=self.pattern,
            limit=self.limit,
            scenes=self.scenes,
            objects=self.objects,
            size=self.size,
        )
        results = run_reconstruction_bench(config, self.out, processes=self.processes)
        print_results(results, tables(results), json=self.json)


@dataclass(frozen=True, kw_only=True)
class GridCommand(abc.ABC):
    """NeRFs fitted in several spaces to the same objects; each table reads its part of the scores."""

    out: Path
    """Folder of the benchmark: results.json, pictures, a page, and every finished cell. Tables of the same fits can
    share it: scale, seeds, fields, families, meshes, and spaces in the same order."""
    scale: Scale = "small"
    """Minutes, hours on two cores, or as in the paper (needs a GPU; unmeasured)."""
    seeds: int = 3
    """Objects per family; each is fitted with its own seed."""
    fields: tuple[FieldName, ...] = PAPER_FIELDS
    """Representations."""
    families: tuple[str, ...] = ("vases", "hats", "bags")
    """Families of generated objects."""
    meshes: tuple[Path, ...] = ()
    """Mesh files, such as scans: one more family of objects."""
    processes: int = 1
    """Cells that run at the same time, with one thread each. Use 1 where times matter."""
    json: bool = False
    """Print the results as JSON instead of tables."""

    def grid(self, spaces: tuple[str, ...]) -> FitGrid:
        """What is fitted."""
        return FitGrid(
            scale=self.scale,
            seeds=self.seeds,
            fields=self.fields,
            spaces=spaces,
            families=self.families,
            meshes=self.meshes,
        )

    def show(
        self,
        name: str,
        results: Any,
        fits: Sequence[Mapping[str, Any]],
        tables: Sequence[Table],
        charts: Sequence[Chart] = (),
    ) -> None:
        """Write the page `name`.html of `fits`, and print the tables, or `results` as JSON."""
        from latentfields.bench.grid_page import write_grid_page

        page = self.out / f"{name}.html"
        write_grid_page(
            page, fits, title=f"Benchmark: {name}", tables=tables, charts=charts, command=command_line()
        )
        print_results(results, tables, json=self.json, page=page)


@dataclass(frozen=True, kw_only=True)
class _SpacesTable(GridCommand):
    """One table of fits in named spaces."""

    spaces: tuple[str, ...] = ("base", "igae")
    """Names or folders of autoencoders; rgb fits colours."""

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """Of the page."""

    @abc.abstractmethod
    def tables(self, fits: Sequence[Mapping[str, Any]]) -> list[Table]:
        """What is printed."""

    def run(self) -> None:
        """Run what is missing and print the tables."""
        from latentfields.bench.grid import run_fit_grid

        fits = run_fit_grid(self.grid(self.spaces), self.out, processes=self.processes)
        self.show(self.name, fits, fits, self.tables(fits))


@dataclass(frozen=True, kw_only=True)
class Table1(_SpacesTable):
    """Novel views of every NeRF in the space of a plain and of a 3D-aware autoencoder (IG-AE Tables 1, 5 to 9)."""

    name = "table1"

    def tables(self, fits: Sequence[Mapping[str, Any]]) -> list[Table]:
        """Decoded novel views."""
        from latentfields.bench.grid_tables import novel_views

        return novel_views(fits)


@dataclass(frozen=True, kw_only=True)
class Table4(_SpacesTable):
    """What RGB Alignment is worth: novel views after each stage (IG-AE Table 4)."""

    name = "table4"

    def tables(self, fits: Sequence[Mapping[str, Any]]) -> list[Table]:
        """Decoded novel views after each stage."""
        from latentfields.bench.grid_tables import stages

        return stages(fits)


@dataclass(frozen=True, kw_only=True)
class LatentNvs(_SpacesTable):
    """Rendered against encoded latents (IG-AE Table 11)."""

    name = "latent-nvs"

    def tables(self, fits: Sequence[Mapping[str, Any]]) -> list[Table]:
        """Latent novel views."""
        from latentfields.bench.grid_tables import latent_novel_views

        return latent_novel_views(fits)


@dataclass(frozen=True, kw_only=True)
class RgbVsLatent(_SpacesTable):
    """Time and quality of NeRFs in latent and in RGB space (IG-AE Table 13)."""

    spaces: tuple[str, ...] = ("rgb", "base")
    """Names or folders of autoencoders; rgb fits colours."""

    name = "rgb-vs-latent"

    def tables(self, fits: Sequence[Mapping[str, Any]]) -> list[Table]:
        """Times and quality."""
        from latentfields.bench.grid_tables import against_rgb

        return against_rgb(fits)
