"""`latentfields bench`: tables whose fits are preceded by a training, or made on several paths."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from latentfields.bench.ablations_config import Ablations as AblationsConfig
from latentfields.bench.autoencoders_config import AutoencoderBench
from latentfields.cli.bench import GridCommand


@dataclass(frozen=True, kw_only=True)
class _TrainingGrid(GridCommand):
    """Autoencoders that are not given are trained."""

    training_scenes: tuple[Path, ...] = ()
    """Scenes to train on. The scale tiny generates some if none are given."""
    training_photos: tuple[Path, ...] = ()
    """Photographs to train on. The scale tiny paints pictures if none are given."""


@dataclass(frozen=True, kw_only=True)
class Ablations(_TrainingGrid):
    """What each part of IG-AE's training is worth: novel views and reconstruction without it (Tables 2 and 10).

    Autoencoders that are not given are trained here from the plain one, as by `bench igae`. With their folders as
    --spaces, the other tables can be made of the same folder.
    """

    base: str = "base"
    """The plain autoencoder."""
    igae: str | None = None
    """Its 3D-aware version, such as igae; trained here if not given."""
    no_3d: str | None = None
    """Fine-tuned as long without the 3D regularisation; trained here if not given."""
    no_preservation: str | None = None
    """Fine-tuned without preservation; trained here if not given."""
    test_photos: tuple[Path, ...] = ()
    """Folders of photographs that nothing was trained on, to measure reconstruction on."""
    test_pattern: str = "*"
    """Pattern of the names of those that count."""

    def run(self) -> None:
        """Run what is missing and print the tables."""
        from latentfields.bench.ablations import run_ablations, tables

        config = AblationsConfig(
            base=self.base,
            igae=self.igae,
            no_3d=self.no_3d,
            no_preservation=self.no_preservation,
            training_scenes=self.training_scenes,
            training_photos=self.training_photos,
            test_photos=self.test_photos,
            test_pattern=self.test_pattern,
        )
        results = run_ablations(config, self.grid(()), self.out, processes=self.processes)
        self.show("ablations", results, results["fits"], tables(results))


@dataclass(frozen=True, kw_only=True)
class Autoencoders(_TrainingGrid):
    """NeRFs in latent spaces of several resolutions: quality and times (IG-AE Table 14).

    Without --spaces, small autoencoders of factor 4, 8 and 16 are trained here, which keep as many values each.
    """

    spaces: tuple[str, ...] = ()
    """Names or folders of autoencoders; trained here if none are given."""

    def run(self) -> None:
        """Run what is missing and print the table."""
        from latentfields.bench.autoencoders import run_autoencoder_bench
        from latentfields.bench.grid_tables import by_autoencoder

        config = AutoencoderBench(
            spaces=self.spaces, training_scenes=self.training_scenes, training_photos=self.training_photos
        )
        fits = run_autoencoder_bench(config, self.grid(()), self.out, processes=self.processes)
        self.show("autoencoders", fits, fits, by_autoencoder(fits))


@dataclass(frozen=True, kw_only=True)
class Convergence(GridCommand):
    """Quality against training time, and the time that every NeRF takes to a given quality.

    Curves are PSNRs of four test views, after every hundred steps. CPU seconds are those of the process, which a busy
    machine hardly changes, and include the compilation of kernels where they were never used before.
    """

    spaces: tuple[str, ...] = ("rgb", "base")
    """Names or folders of autoencoders; rgb fits colours."""
    quality: float = 25.0
    """PSNR to be reached, in dB."""
    plain: bool = False
    """Fit everything once more with plain PyTorch and 64 even samples per ray, none skipped, and compare."""

    def run(self) -> None:
        """Run what is missing and print the tables."""
        from latentfields.bench.convergence import run_convergence
        from latentfields.bench.convergence_report import charts, tables

        fits = run_convergence(self.grid(self.spaces), self.out, plain=self.plain, processes=self.processes)
        self.show(
            "convergence",
            fits,
            fits,
            tables(fits, quality=self.quality),
            charts(fits, quality=self.quality),
        )
