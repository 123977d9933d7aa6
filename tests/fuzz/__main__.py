"""`python -m fuzz`: a table of what came of damaged inputs of every kind; exit status 1 when one failed."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fuzz.driver import by_cause, fuzz
from fuzz.kinds import KINDS


def main() -> int:
    """Read, print, and return the exit status."""
    arguments = _arguments()
    arguments.out.mkdir(parents=True, exist_ok=True)
    total, failures = 0, list[str]()
    print(f"{'kind':<26}{'cases':>9}{'read':>9}{'refused':>9}{'failed':>8}{'seconds':>9}")
    for kind in arguments.kind or KINDS:
        tally = fuzz(
            kind, count=arguments.count, seed=arguments.seed, start=arguments.start, out=arguments.out
        )
        cases = tally.read + tally.refused + len(tally.failures)
        print(
            f"{kind:<26}{cases:>9}{tally.read:>9}{tally.refused:>9}{len(tally.failures):>8}{tally.seconds:>9.1f}",
            flush=True,
        )
        for cause, count in by_cause(tally.failures).most_common():
            print(f"  {count} x {cause}", flush=True)
        total += cases
        failures += tally.failures
    print(
        f"{total} damaged inputs, {len(failures)} failures"
        + (f", kept in {arguments.out}" if failures else "")
    )
    return 1 if failures else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=500, help="cases of each kind (default: 500)")
    parser.add_argument("--seed", type=int, default=0, help="of the pseudo-random damage (default: 0)")
    parser.add_argument("--start", type=int, default=0, help="number of the first case (default: 0)")
    parser.add_argument("--kind", nargs="+", choices=[*KINDS], help="kinds of input (default: all)")
    parser.add_argument("--out", type=Path, default=Path("fuzz-failures"), help="folder for inputs that fail")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
