"""More steps for a fit that is finished."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from latentfields.config.checks import Checked, NonNegative, require_at_least
from latentfields.errors import ArgumentError
from latentfields.files import read_json, write_json
from latentfields.training.checkpoint import load_metadata
from latentfields.training.loop import checkpoint_path, read_log
from latentfields.training.recipe import METRICS_FILE
from latentfields.training.runs import CONFIG_FILE


@dataclass(frozen=True)
class StageSteps(Checked):
    """Steps of both stages in all, those that were added to a finished run included."""

    supervision: NonNegative
    alignment: NonNegative

    @property
    def total(self) -> int:
        """Of both stages."""
        return self.supervision + self.alignment


def require_lengthenable(out: Path, *, finished: bool, begun: StageSteps | None) -> None:
    """Raise ArgumentError where the run in `out` can have no more steps.

    `begun` are the steps of one that was trained longer before, perhaps not to the end.
    """
    if not finished and begun is None:
        raise ArgumentError(
            "more_steps", f"is for a finished run; {out} holds none, fit it without `more_steps` first"
        )
    if not checkpoint_path(out).is_file():
        raise ArgumentError(
            "more_steps", f"needs the state of the run, but there is no {checkpoint_path(out)}"
        )


def lengthen(out: Path, more: int, *, finished: bool, begun: StageSteps | None) -> StageSteps:
    """Give the run in `out` `more` steps beyond those that are done, and return the steps of its stages.

    They belong to the last stage that it was in. A run whose added steps were interrupted keeps what it was given. Its
    metrics are removed: it is finished again when the steps are done.
    """
    require_at_least("more_steps", more, 1)
    require_lengthenable(out, finished=finished, begun=begun)
    if not finished and begun is not None:
        return begun
    done = int(load_metadata(checkpoint_path(out))["loop"]["step"])
    supervised = [record["step"] for record in read_log(out) if record.get("stage") == "supervision"]
    aligned = any(record.get("stage") == "alignment" for record in read_log(out))
    first = min(max(supervised, default=0), done) if aligned else done
    steps = StageSteps(first, done - first + more) if aligned else StageSteps(done + more, 0)
    stored = read_json(out / CONFIG_FILE)
    write_json(out / CONFIG_FILE, {**stored, "longer": vars(steps)})
    (out / METRICS_FILE).unlink()
    logging.getLogger(__name__).info(
        "%d steps more, %d in all. Learning rates go on as in a training of that length after %d steps: they are "
        "higher at first than at the end of the finished one.",
        more,
        steps.total,
        done,
    )
    return steps
