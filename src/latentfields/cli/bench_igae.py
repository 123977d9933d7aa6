"""`latentfields bench igae`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from latentfields.bench.igae_config import IgaeBench, Scale
from latentfields.cli.bench import print_results
from latentfields.cli.command_line import command_line
from latentfields.fields.config import RayFieldName


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
    field: RayFieldName = "kplanes"
    """The NeRF that is fitted to every object."""
    subpixels: int = 1
    """Rays per latent along one side: 1, the paper's, or an even number, mixed by a learned projection."""
    alignment_factor: float | None = None
    """Multiplies the field's learning rates during RGB Alignment, instead of the preset's factor."""
    decoder_learning_rate: float | None = None
    """Adam learning rate of the decoder during RGB Alignment, instead of the preset's."""
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
            scale=self.scale,
            seeds=self.seeds,
            start=self.base,
            igae=self.igae,
            no_3d=self.no_3d,
            no_preservation=self.no_preservation,
            training_scenes=self.training_scenes,
            training_photos=self.training_photos,
            test_photos=self.test_photos,
            test_pattern=self.test_pattern,
            meshes=self.meshes,
            field=self.field,
            subpixels=self.subpixels,
            alignment_factor=self.alignment_factor,
            decoder_learning_rate=self.decoder_learning_rate,
        )
