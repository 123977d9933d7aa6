"""`latentfields bench lrf`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from latentfields.bench.igae_config import Scale
from latentfields.bench.lrf_config import LrfBench
from latentfields.cli.bench import print_results
from latentfields.cli.command_line import command_line
from latentfields.fields.config import FieldName


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
    subpixels: int = 1
    """Rendered features per latent along one side: 1, the paper's, or an even number, mixed by a learned projection.
    Decoders that are given should have been aligned to renderings of the same kind."""
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
    training_photos: tuple[Path, ...] = ()
    """Folders of photographs that autoencoders trained here go on reconstructing; none keeps to the scenes."""
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
            scale=self.scale,
            seeds=self.seeds,
            field=self.field,
            subpixels=self.subpixels,
            base=self.base,
            encoder=self.encoder,
            decoder=self.decoder,
            both=self.both,
            training_scenes=self.training_scenes,
            training_photos=self.training_photos,
            scenes=self.scenes,
        )
        results = run_lrf_bench(config, self.out, processes=self.processes)
        page = write_page(results, self.out, command=command_line())
        print_results(results, tables(results), json=self.json, page=page)
