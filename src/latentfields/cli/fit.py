"""`latentfields fit`: fit one scene."""

from __future__ import annotations

import dataclasses
import json as json_format
import logging
import re
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from latentfields.autoencoders.config import stored_factor
from latentfields.cli.command_line import command_line
from latentfields.cli.options import (
    CheckpointSeconds,
    Device,
    Settings,
    TensorBoard,
    Threads,
    chosen,
    given,
    set_up,
    with_settings,
)
from latentfields.cli.reporting import next_steps
from latentfields.config.typed_json import to_json
from latentfields.fields.config import FieldName
from latentfields.fields.densification import DensificationName
from latentfields.files import read_json
from latentfields.latent_nerf.config import AlignmentKind, FitConfig, Space
from latentfields.latent_nerf.presets import PresetName, preset
from latentfields.latent_nerf.usual import UsualFit, named_for_latents
from latentfields.priors.config import FewViewsConfig
from latentfields.rendering.config import SamplerName
from latentfields.scenes.reading import ChosenBounds, Masks, Reading, Split

if TYPE_CHECKING:
    from latentfields.latent_nerf.run import Run

NAMING_FIELDS = frozenset({"field", "preset", "sampler", "sampling", "densification"})
"""Options, and beginnings of options, that say what field is fitted: it is not left to the scene then."""


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """What can be said of every fit, whether it is of one scene or of many."""

    out: Path | None = None
    """Folder of the run; by default runs/SCENE-FIELD-SPACE."""
    autoencoder: str = "base-f2"
    """Packaged name, folder, or Hub id of a diffusers autoencoder. Not used in RGB space. Where its factor is known
    here and the preset is small, --subpixels, --batch-images, --alignment-grid and how smooth planes are suit it."""
    field: FieldName = "kplanes"
    """Representation of the scene. Where neither it nor a preset, nor an option of fields or samplers is given, the
    scene decides. Captures, photographs without alpha and with sparse points, are fitted with Gaussians in 700 + 700
    steps, in the space both unless --space says otherwise; everything else with what stands here, but latents of four
    pixels by four rays each."""
    preset: PresetName = "small"
    """Settings to start from: `small` for one CPU core, `paper` for IG-AE's Table 16 on a GPU."""
    sampler: SamplerName | None = None
    """How rays are sampled; by default as in the preset. Gaussians are splatted."""
    densification: DensificationName | None = None
    """How Gaussians are added and removed: by gradients, as in 3DGS, or by MCMC; by default as in the preset."""
    settings: Settings = None
    alignment: AlignmentKind | None = None
    """Another name of --alignment-kind: no RGB Alignment, of the scene alone, or of scene and decoder (full)."""
    size: int | Literal["full"] | None = None
    """Longer side in pixels that larger images are shrunk to, or `full`: none are. By default 1600; 512 for captures on
    a processor."""
    masks: Masks = "object"
    """What masks leave out: background (object), of no account in losses and scores (ignore); or do not read them."""
    follow_links: bool = False
    """Read files of the scene that are links to places outside of its folder, as in caches of data sets."""
    bounds: ChosenBounds = "auto"
    """What the field covers: the box around an object, or all space, far things smaller (scene); auto: an object where
    pictures have alpha or masks."""
    split: Split = "own"
    """Views to test on: those of the data set (own), or every eighth by name, all others train (llff)."""
    train_views: int | None = None
    """Fit to so many training views alone, evenly spread: `--split llff --train-views 3` is LRF's few-shot protocol."""
    seconds: float | None = None
    """Stop after this much training time, schedules adapted; by default all steps are done."""
    clock: Literal["wall", "cpu"] = "wall"
    """What --seconds are: those that pass, or those that the process computes, which a busy machine hardly changes."""
    prior: str | None = None
    """Packaged name or folder of a prior, which regularises fits to 1 to 6 views, as the options --few-views.* say.
    Where the scene decides what is fitted, Latent Supervision then takes 150 steps, and there is no RGB Alignment."""
    few_views: FewViewsConfig = dataclasses.field(default_factory=FewViewsConfig)
    """How the prior regularises the fit; not used without --prior."""
    checkpoint_seconds: CheckpointSeconds = 30.0
    tensorboard: TensorBoard = False
    device: Device = "auto"
    threads: Threads = 1
    given: tyro.conf.Suppress[tyro.conf.Fixed[tuple[str, ...]]] = ()
    """Names of the options that were given."""
    config: Annotated[FitConfig, tyro.conf.arg(name=""), tyro.conf.AvoidSubcommands] = dataclasses.field(
        default_factory=FitConfig
    )

    @staticmethod
    def chosen(arguments: Sequence[str]) -> dict[str, Any]:
        """The options that others start from, and the fit that they describe."""
        options = {"field": FieldName, "preset": PresetName, "sampler": SamplerName}
        known = chosen(arguments, options | {"densification": DensificationName, "settings": Path})
        config = preset(
            known.get("field", "kplanes"),
            known.get("preset", "small"),
            space=chosen(arguments, {"space": Space}).get("space", "latent"),
            sampler=known.get("sampler"),
            densification=known.get("densification"),
        )
        autoencoder = str(chosen(arguments, {"autoencoder": Path}).get("autoencoder", FitOptions.autoencoder))
        factor = stored_factor(autoencoder)
        if config.space != "rgb" and factor is not None and known.get("preset", "small") == "small":
            kind = _alignment_kind(arguments, with_settings(config, known.get("settings")))
            usual = named_for_latents(dataclasses.replace(config, alignment_kind=kind), factor=factor)
            config = dataclasses.replace(usual, alignment_kind=config.alignment_kind)
        if config.space == "rgb":
            # Steps that are asked for are all steps then: there is no alignment that would add its own.
            config = config.in_one_stage()
        return {"config": with_settings(config, known.get("settings")), "given": given(arguments), **known}

    def reading(self, *, model: Path | None = None) -> Reading:
        """How scenes are read; `model` is the folder of a COLMAP model."""
        return Reading(
            masks=self.masks,
            model=None if model is None else str(model),
            follow_links=self.follow_links,
            bounds=self.bounds,
            split=self.split,
            train_views=self.train_views,
        )

    def left_open(self) -> UsualFit | None:
        """What was asked for where the scene decides the rest; None where the field is named, or something of it."""
        settings = {} if self.settings is None else read_json(self.settings)
        paths = [name.split(".") for name in self.given]
        if NAMING_FIELDS & ({head for head, *_ in paths} | {*settings}):
            return None
        values = to_json(self.configuration())
        changes = {name: value for name, value in settings.items() if name != "space"}
        for head, *rest in paths:
            if head == "alignment" and not rest:
                changes["alignment_kind"] = values["alignment_kind"]
            elif head in values and head != "space":
                below = {name: values[head][name] for name in rest}
                changes[head] = changes.get(head, {}) | below if rest else values[head]
        named = "space" in settings or ["space"] in paths
        return UsualFit(values["space"] if named else None, changes)

    def configuration(self) -> FitConfig:
        """The fit, with the kind of alignment that was asked for by its other name."""
        if self.alignment is None:
            return self.config
        return dataclasses.replace(self.config, alignment_kind=self.alignment)


def _alignment_kind(arguments: Sequence[str], config: FitConfig) -> AlignmentKind:
    """The kind of alignment that the arguments ask for by either name, or else that of `config`."""
    words = [re.sub("^--alignment[-_]kind", "--alignment", word) for word in arguments]
    kind: AlignmentKind = chosen(words, {"alignment": AlignmentKind}).get("alignment", config.alignment_kind)
    return kind


@dataclass(frozen=True, kw_only=True)
class Fit(FitOptions):
    """Fit a radiance field to a folder of posed images, in the latent space of an autoencoder, in RGB, or in both.

    Run the same command again to resume a fit that was interrupted. The options after --field, --preset, --space,
    --sampler, --densification and --settings, and their defaults, are those of what is chosen there.
    """

    scene: tyro.conf.Positional[Path]
    """Folder of the scene: NeRF-synthetic, Nerfstudio, IG-AE or COLMAP layout; or a scene in a shard,
    SHARD.tar/NAME."""
    model: Path | None = None
    """Folder of the sparse model of a COLMAP scene; by default sparse/0, sparse or the like."""
    more_steps: int = 0
    """Train a finished run longer, by so many steps: give its command again with this option. Learning rates go on as
    in a training of that length; --seconds no longer counts."""
    json: bool = False
    """Print the run's folder, its report, the training time in seconds and the scores on the test views as JSON."""
    viewer: bool = False
    """Show the scene in the browser while it is fitted; `latentfields view` shows it afterwards."""
    viewer_port: int = 8080
    """Port of that viewer; the next free one if it is taken."""

    @classmethod
    def starting_point(cls, arguments: Sequence[str]) -> Fit:
        """The fit that --field, --preset and so on describe."""
        return cls(scene=tyro.MISSING, **cls.chosen(arguments))

    def run(self) -> None:
        """Fit, evaluate, and write the report."""
        from latentfields.cli.view import viewer_watch
        from latentfields.latent_nerf.fit import as_usual, at_usual_size, default_folder, fit_folder
        from latentfields.latent_nerf.report import write_run_report
        from latentfields.latent_nerf.run import FitRunConfig

        set_up(threads=self.threads, checkpoint_seconds=self.checkpoint_seconds)
        fit = self.configuration()
        name = self.scene.resolve().name
        config = FitRunConfig(
            scene=self.scene,
            autoencoder=None if fit.space == "rgb" else self.autoencoder,
            size=self.size if isinstance(self.size, int) else None,
            seconds=self.seconds,
            clock=self.clock,
            fit=fit,
            reading=self.reading(model=self.model),
            prior=self.prior,
            few_views=None if self.prior is None else self.few_views,
        )
        if (asked := self.left_open()) is not None:
            config = as_usual(config, asked, out=self.out, device=self.device)
        out = self.out or default_folder(name, config.fit)
        watch = viewer_watch(out, port=self.viewer_port) if self.viewer else nullcontext
        if self.size is None:
            config = at_usual_size(config, out=out, device=self.device)
        run = fit_folder(
            config,
            out=out,
            device=self.device,
            watch=watch,
            checkpoint_seconds=self.checkpoint_seconds,
            tensorboard=self.tensorboard,
            more_steps=self.more_steps,
        )
        report = write_run_report((run,), title=name, command=command_line())
        print(json_format.dumps(_results(out, report)) if self.json else report)
        for line in closing_lines(run, report):
            logging.getLogger(__name__).info("%s", line)


def closing_lines(run: Run, report: Path) -> list[str]:
    """How good a finished fit is, how long it took, and what can be done with it."""
    from latentfields.latent_nerf.report import capture_advice

    metrics = run.metrics
    test = {group: scores["mean"] for group, scores in metrics["test"].items()}
    scores = f"PSNR {test['images']['psnr']:.2f} dB on test views"
    if "colors" in test:
        scores = f"PSNR {test['colors']['psnr']:.2f} dB of colours, {test['images']['psnr']:.2f} of decoded latents"
    if before := metrics["after_supervision"]:
        scores += f" ({before['test_psnr']:.2f} before alignment"
        scores += (
            f", the autoencoder alone {test['autoencoder']['psnr']:.2f})" if "autoencoder" in test else ")"
        )
    # Of a place without bounds, an orbit goes through walls.
    views = "path" if run.frame.bounds == "scene" else "orbit"
    return [
        f"{scores}, after {metrics['training_seconds']:.0f} s of training.",
        *capture_advice(run, metrics),
        *next_steps(run.folder, report, views=views),
        "Not good enough? The same command with --more-steps 1000 trains on.",
    ]


def _results(out: Path, report: Path) -> dict[str, Any]:
    from latentfields.latent_nerf.evaluate import mean_scores
    from latentfields.latent_nerf.metrics_file import read_metrics

    metrics = read_metrics(out)
    return {
        "run": str(out),
        "report": str(report),
        "training_seconds": metrics["training_seconds"],
        "test": mean_scores(metrics),
    }
