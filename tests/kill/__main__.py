"""`python -m kill`: a table of trainings that were killed and resumed; exit status 1 when one ended otherwise."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from kill.driver import kill
from kill.trainings import TRAININGS


def main() -> int:
    """Kill, compare, print, and return the exit status."""
    arguments = _arguments()
    failed = False
    print(f"{'training':<20}{'kills':>7}{'runs':>6}{'differ':>8}{'seconds':>9}")
    for name in arguments.kind or TRAININGS:
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            outcome = kill(TRAININGS[name], Path(folder), count=arguments.count, seed=arguments.seed)
        seconds = time.monotonic() - began
        differences = len(outcome.differences)
        print(f"{name:<20}{outcome.kills:>7}{outcome.runs:>6}{differences:>8}{seconds:>9.0f}", flush=True)
        for difference in outcome.differences:
            print(f"  {difference}", flush=True)
        failed |= bool(differences)
    return int(failed)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m kill", description=__doc__)
    parser.add_argument("--count", type=int, default=100, help="kills of each training (default: 100)")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments (default: 0)")
    parser.add_argument("--kind", nargs="+", choices=[*TRAININGS], help="kinds of training (default: all)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
