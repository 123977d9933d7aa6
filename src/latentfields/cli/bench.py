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
from latentfields.bench.igae_config import IgaeBench, Scale
from latentfields.bench.lrf_config import LrfBench
from latentfields.cli.command_line import command_line
from latentfields.fields.config import FieldName

if TYPE_CHECKING:
    from latentfields.evaluation.charts import Chart
    from latentfields.evaluation.report import Table


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
class Igae:
    """Does the evidence of IG-AE show? Novel views, consistency and preservation, against the plain autoencoder.

    Fits latent NeRFs, as the paper does, to vases, hats, bags and given meshes, in the spaces of up to four
    autoencoders. Those that are not given are trained here from the plain one, if there is data to train on.
    Run the same command again to go on after an interruption.
    """

    out: Path
    """Folder of the benchmark: results.json, report.html, pictures, and every finished cell."""
    scale: Scale = "small"
    """Minutes, hours on two cores, or as in the paper (needs a GPU; unmeasured)."""
    seeds: int = 3
    """Objects per family; each is fitted with its own seed."""
    base: str = "base"
    """The plain autoencoder."""
    igae: str | None = None
    """Its 3D-aware version, such as igae; trained here if not given."""
    no_3d: str | None = None
    """Fine-tuned as long without the 3D regularisation; trained here if not given."""
    no_preservation: str | None = None
    """Fine-tuned without preservation; trained here if not given."""
    training_scenes: tuple[Path, ...] = ()
    """Scenes to train on. The scale tiny generates some if none are given."""
    training_photos: tuple[Path, ...] = ()
    """Photographs to train on. The scale tiny paints pictures if none are given."""
    test_photos: tuple[Path, ...] = ()
    """Folders of photographs that nothing was trained on, to measure reconstruction on."""
    test_pattern: str = "*"
    """Pattern of the names of those that count."""
    meshes: tuple[Path, ...] = ()
    """Mesh files that nothing was trained on, such as scans: one more family of objects."""
    processes: int = 1
    """Cells that run at the same time, with one thread each."""
    json: bool = False
    """Print results.json instead of tables."""

    def run(self) -> None:
        """Run what is missing and print the tables."""
        from latentfields.bench.igae import run_igae_bench
        from latentfields.bench.igae_report import tables, write_page

        results = run_igae_bench(self.configuration(), self.out, processes=self.processes)
        page = write_page(results, self.out, command=command_line())
        print_results(results, tables(results), json=self.json, page=page)

    def configuration(self) -> IgaeBench:
        """What determines the results."""
        return IgaeBench(
            scale=self.scale, seeds=self.seeds, start=self.base, igae=self.igae, no_3d=self.no_3d,
            no_preservation=self.no_preservation, training_scenes=self.training_scenes,
            training_photos=self.training_photos, test_photos=self.test_photos,
            test_pattern=self.test_pattern, meshes=self.meshes,
        )  # fmt: skip


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
            autoencoders=self.autoencoders, photos=self.photos, pattern=self.pattern, limit=self.limit,
            scenes=self.scenes, objects=self.objects, size=self.size,
        )  # fmt: skip
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
            scale=self.scale, seeds=self.seeds, fields=self.fields, spaces=spaces,
            families=self.families, meshes=self.meshes,
        )  # fmt: skip

    def show(
        self, name: str, results: Any, fits: Sequence[Mapping[str, Any]], tables: Sequence[Table],
        charts: Sequence[Chart] = (),
    ) -> None:  # fmt: skip
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


@dataclass(frozen=True, kw_only=True)
class Lrf:
    """Does the evidence of LRF show (its Tables 1 to 5)? Both stages, against the plain VAE and against image space.

    Fits fields to vases, hats, bags and given scenes: to the latents of two encoders, each decoded by two decoders,
    and to images of the latents' resolution and above; to all training views, and to three. Every eighth view of a
    scene without splits is for testing. Autoencoders that are not given are trained here from the plain one.
    Run the same command again to go on after an interruption.
    """

    out: Path
    """Folder of the benchmark: results.json, report.html, pictures, and every finished cell."""
    scale: Scale = "small"
    """Minutes, hours on two cores, or as in the paper (needs a GPU; unmeasured)."""
    seeds: int = 3
    """Objects per family, each fitted with its own seed; given scenes are fitted with every seed."""
    field: FieldName = "gaussians"
    """Representation of all scenes."""
    base: str = "base"
    """The plain autoencoder."""
    encoder: str | None = None
    """The result of `lrf finetune-encoder` on it; trained here if not given."""
    decoder: str | None = None
    """The result of `lrf align-decoder` on the plain autoencoder; trained here if not given."""
    both: str | None = None
    """The result of `lrf align-decoder` on that of `lrf finetune-encoder`; trained here if not given."""
    training_scenes: tuple[Path, ...] = ()
    """Scenes to train on, or folders of them, with depth maps or COLMAP models. None renders objects."""
    scenes: tuple[Path, ...] = ()
    """Captured scenes that nothing was trained on, or folders of them, to test on beside the rendered ones."""
    processes: int = 1
    """Cells that run at the same time, with one thread each. Use 1 where times and memory matter."""
    json: bool = False
    """Print results.json instead of tables."""

    def run(self) -> None:
        """Run what is missing and print the tables."""
        from latentfields.bench.lrf import run_lrf_bench
        from latentfields.bench.lrf_report import tables, write_page

        config = LrfBench(
            scale=self.scale, seeds=self.seeds, field=self.field, base=self.base, encoder=self.encoder,
            decoder=self.decoder, both=self.both, training_scenes=self.training_scenes, scenes=self.scenes,
        )  # fmt: skip
        results = run_lrf_bench(config, self.out, processes=self.processes)
        page = write_page(results, self.out, command=command_line())
        print_results(results, tables(results), json=self.json, page=page)
