"""`python -m fuzz`: what came of damaged inputs of every kind, a table and JSON; exit status 1 when one failed."""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from fuzz.driver import Originals, Tally, by_cause, fuzz
from fuzz.kinds import KINDS
from fuzz.mutate import odd_pictures
from helpers.machine import memory_folder, processor

ROUND = 50_000
"""Cases of all kinds before the first kind has its turn again, so that a run that is stopped had some of each."""


def main() -> int:
    """Read, print, write the report, and return the exit status."""
    arguments = _arguments()
    torch.set_num_threads(1)
    odd_pictures()
    gc.freeze()  # What is forked looks through what it made itself alone.
    counts = _counts(arguments.count, arguments.kind)
    tallies = {kind: Tally() for kind in counts}
    began = time.monotonic()
    rounds = -(-arguments.count // ROUND)
    with tempfile.TemporaryDirectory(dir=memory_folder()) as folder:
        originals = Originals(Path(folder))
        for turn in range(rounds):
            for kind, count in counts.items():
                cases = range(
                    arguments.start + count * turn // rounds, arguments.start + count * (turn + 1) // rounds
                )
                for case in fuzz(kind, cases, seed=arguments.seed, out=arguments.out, originals=originals):
                    tallies[kind].add(case)
                _write(arguments, tallies, time.monotonic() - began)
            total = sum(tally.cases for tally in tallies.values())
            failed = sum(len(tally.failures) for tally in tallies.values())
            print(f"{total} cases, {failed} failures, {time.monotonic() - began:.0f} s", flush=True)
    _print(tallies)
    return 1 if any(tally.failures for tally in tallies.values()) else 0


def _counts(count: int, kinds: list[str] | None) -> dict[str, int]:
    """The cases of each kind, `count` in all; kinds that are asked for by name have as many each."""
    chosen = kinds or [*KINDS]
    whole = sum(KINDS[kind].share for kind in chosen)
    return {kind: -(-count * KINDS[kind].share // whole) for kind in chosen}


def _print(tallies: Mapping[str, Tally]) -> None:
    print(f"{'kind':<24}{'cases':>9}{'read':>9}{'refused':>9}{'failed':>7}{'slowest':>10}{'memory':>10}")
    for kind, tally in tallies.items():
        print(
            f"{kind:<24}{tally.cases:>9}{tally.read:>9}{tally.refused:>9}{len(tally.failures):>7}"
            f"{tally.slowest:>8.2f} s{tally.memory / 2**20:>6.0f} MiB"
        )
        for cause, count in by_cause(tally.failures).most_common():
            print(f"  {count} x {cause}")


def _write(arguments: argparse.Namespace, tallies: Mapping[str, Tally], seconds: float) -> None:
    """Write the report, in one step."""
    done = [tally for tally in tallies.values() if tally.cases]
    slowest, largest = max(done, key=lambda tally: tally.slowest), max(done, key=lambda tally: tally.memory)
    report: dict[str, Any] = {
        "command": f"make fuzz COUNT={arguments.count} SEED={arguments.seed}",
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": f"{os.cpu_count()} cores, {processor()}",
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "seed": arguments.seed,
        "cases": sum(tally.cases for tally in done),
        "read": sum(tally.read for tally in done),
        "refused": sum(tally.refused for tally in done),
        "failed": sum(len(tally.failures) for tally in done),
        "seconds": round(seconds),
        "processor_seconds": round(_of_children()),
        "slowest": {"case": slowest.slowest_case, "processor_seconds": round(slowest.slowest, 3)},
        "memory": {"case": largest.memory_case, "MiB": round(largest.memory / 2**20)},
        "kinds": {
            kind: {
                "cases": tally.cases,
                "read": tally.read,
                "refused": tally.refused,
                "failed": len(tally.failures),
                "different_refusals": len(tally.refusals),
                "processor_seconds": round(tally.seconds, 1),
                "slowest_processor_seconds": round(tally.slowest, 3),
                "most_memory_MiB": round(tally.memory / 2**20),
                "failures": tally.failures[:20],
            }
            for kind, tally in tallies.items()
        },
    }
    temporary = arguments.report.with_name(f"{arguments.report.name}.tmp")
    temporary.write_text(json.dumps(report, indent=2) + "\n")
    temporary.replace(arguments.report)


def _of_children() -> float:
    """Seconds of the processor's time that all processes took: to damage, to read and to put back."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=20_000, help="cases of all kinds (default: 20000)")
    parser.add_argument("--seed", type=int, default=0, help="of the pseudo-random damage (default: 0)")
    parser.add_argument("--start", type=int, default=0, help="number of each kind's first case (default: 0)")
    parser.add_argument("--kind", nargs="+", choices=[*KINDS], help="kinds of input (default: all)")
    parser.add_argument("--out", type=Path, default=Path("fuzz-failures"), help="folder for inputs that fail")
    parser.add_argument("--report", type=Path, default=Path("fuzz.json"), help="file of the report")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
