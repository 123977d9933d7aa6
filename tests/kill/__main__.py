"""`python -m kill`: trainings that were killed and resumed, a table and JSON; exit status 1 when one differs."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from helpers.machine import memory_folder, processor
from kill.driver import Outcome, kill, warm_up
from kill.trainings import TRAININGS


def main() -> int:
    """Kill, compare, print, write the report, and return the exit status."""
    arguments = _arguments()
    warm_up()
    outcomes: dict[str, Outcome] = {}
    print(
        f"{'training':<20}{'kills':>7}{'saving':>8}{'runs':>6}{'files':>7}{'differ':>8}{'seconds':>9}",
        flush=True,
    )
    began = time.monotonic()
    for name in arguments.kind or TRAININGS:
        started = time.monotonic()
        with tempfile.TemporaryDirectory(dir=memory_folder()) as folder:
            outcome = kill(TRAININGS[name], Path(folder), count=arguments.count, seed=arguments.seed)
        outcomes[name] = outcome
        print(
            f"{name:<20}{outcome.total:>7}{outcome.while_saving:>8}{outcome.runs:>6}{outcome.files:>7}"
            f"{len(outcome.differences):>8}{time.monotonic() - started:>9.0f}",
            flush=True,
        )
        for difference in outcome.differences:
            print(f"  {difference}", flush=True)
        _write(arguments, outcomes, time.monotonic() - began)
    return int(any(outcome.differences for outcome in outcomes.values()))


def _write(arguments: argparse.Namespace, outcomes: dict[str, Outcome], seconds: float) -> None:
    """Write the report."""
    report: dict[str, Any] = {
        "command": f"make kill KILLS={arguments.count}",
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": f"{os.cpu_count()} cores, {processor()}",
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "seed": arguments.seed,
        "seconds": round(seconds),
        "trainings": {
            name: {
                "kills": outcome.total,
                "by": outcome.kills,
                "while_saving": outcome.while_saving,
                "runs": outcome.runs,
                "files": outcome.files,
                "differences": list(outcome.differences),
            }
            for name, outcome in outcomes.items()
        },
    }
    arguments.report.write_text(json.dumps(report, indent=2) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m kill", description=__doc__)
    parser.add_argument("--count", type=int, default=100, help="kills of each training (default: 100)")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments (default: 0)")
    parser.add_argument("--kind", nargs="+", choices=[*TRAININGS], help="kinds of training (default: all)")
    parser.add_argument("--report", type=Path, default=Path("kill.json"), help="file of the report")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
