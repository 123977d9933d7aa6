"""`python -m benchmarks`: a table of ratios; `--check` fails when one has become worse than the committed baseline."""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import sys
from pathlib import Path

from benchmarks.measure import Measurement, measure
from latentfields.process import set_threads, tune_allocator

BASELINE = Path(__file__).with_name("baseline.json")

TOLERANCE = 0.35
"""Part of a baseline's ratio that may be lost before `--check` fails: ratios differ between machines, and regressions
that matter (a kernel that falls back to its twin, an accidental copy of a table) cost more."""


def main() -> int:
    """Measure, print, write or compare; returns the exit status."""
    arguments = _arguments()
    tune_allocator()
    set_threads(1)

    import torch

    from benchmarks.cases import cases
    from latentfields.rendering.kernels.backend import kernel_backend

    torch.manual_seed(0)
    print(f"kernels on {kernel_backend()}, torch {torch.__version__}, {platform.machine()}, one thread")
    print(f"{'case':<44}{'fast':>9}{'twin':>10}{'ratio':>8}  {'spread':<14}{'target':>7}")
    results: list[Measurement] = []
    for case in cases():
        result = measure(case, rounds=arguments.rounds)
        results.append(result)
        spread = f"{result.lowest:.1f} to {result.highest:.1f}"
        target = "" if result.target is None else f"{result.target:.1f}"
        print(
            f"{result.name:<44}{result.fast_ms:>6.1f} ms{result.twin_ms:>7.1f} ms{result.ratio:>7.1f}x"
            f"  {spread:<14}{target:>7}",
            flush=True,
        )
    record = {"backend": kernel_backend(), "results": [dataclasses.asdict(result) for result in results]}
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(record, indent=2) + "\n")
    return _check(results) if arguments.check else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="repeats of every case (default: 5)")
    parser.add_argument("--json", type=Path, help="write the measurements to this file")
    parser.add_argument(
        "--check", action="store_true", help=f"compare with {BASELINE.name}; fail on a regression"
    )
    return parser.parse_args()


def _check(results: list[Measurement]) -> int:
    """1 when a ratio fell below its baseline by more than the tolerance, or when cases and baseline differ."""
    baseline = {entry["name"]: entry["ratio"] for entry in json.loads(BASELINE.read_text())["results"]}
    if set(baseline) != {result.name for result in results}:
        print(f"{BASELINE.name} has other cases; write it anew with --json {BASELINE}", file=sys.stderr)
        return 1
    failed = [result for result in results if result.ratio < (1 - TOLERANCE) * baseline[result.name]]
    for result in failed:
        print(
            f"regression: {result.name}: {result.ratio:.1f}x, was {baseline[result.name]:.1f}x",
            file=sys.stderr,
        )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
