"""`latentfields bench`: the papers' tables as commands."""

from __future__ import annotations

import json as json_format
from dataclasses import dataclass
from pathlib import Path

import tyro

from latentfields.bench.igae_config import IgaeBench, Scale
from latentfields.cli.command_line import command_line


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
        from latentfields.bench.igae_report import markdown, tables, write_page

        results = run_igae_bench(self.configuration(), self.out, processes=self.processes)
        page = write_page(results, self.out, command=command_line())
        if self.json:
            print(json_format.dumps(results))
            return
        print("\n\n".join(markdown(table) for table in tables(results)))
        print(f"\nReport: {page.resolve()}")

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
        from latentfields.bench.igae_report import markdown
        from latentfields.bench.reconstruction import ReconstructionBench, run_reconstruction_bench, tables

        config = ReconstructionBench(
            autoencoders=self.autoencoders, photos=self.photos, pattern=self.pattern, limit=self.limit,
            scenes=self.scenes, objects=self.objects, size=self.size,
        )  # fmt: skip
        results = run_reconstruction_bench(config, self.out, processes=self.processes)
        print(json_format.dumps(results) if self.json else "\n\n".join(map(markdown, tables(results))))
