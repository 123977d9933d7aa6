"""`python -m benchmarks.claims [DOCUMENT ...] [--lines WORD ...] [--folder FOLDER]`: fits whose score documents state.

A claim is a line of a shell block, `latentfields fit ...  # 4 min, 28.3 dB`: how long it takes on one quiet core, and
the PSNR of the test views. Scores have to be within 1 dB; times are printed beside, not judged, as machines differ. The
lines before a claim in its block that make its scene are run, too. With `--lines`, only claims whose command has one of
the words, such as `base` or `runs/splat`. Runs are kept in `--folder`, and go on there when the same command is given
again; by default nothing is kept. Ends with status 1 where a score is elsewhere.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENTS = ("README.md",)
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)
CLAIM = re.compile(r"^(latentfields fit [^#]*?)\s*#.*?\b(\d+) (s|min), (\d+\.\d) dB", re.MULTILINE)
SCENE = re.compile(r"^latentfields scenes generate [^#\n]*", re.MULTILINE)
TOLERANCE = 1.0
"""In dB."""


@dataclass(frozen=True)
class Claim:
    """A fit, and what a document says of it."""

    command: str
    seconds: int
    psnr: float
    scenes: tuple[str, ...]
    """Commands that make its scene."""


def claims(document: str) -> list[Claim]:
    """All claims of a document."""
    found = []
    for block in BLOCK.findall(document):
        scenes = tuple(line.strip() for line in SCENE.findall(block))
        for command, count, unit, psnr in CLAIM.findall(block):
            seconds = int(count) * (60 if unit == "min" else 1)
            found.append(Claim(command.strip(), seconds, float(psnr), scenes))
    return found


def chosen(found: Sequence[Claim], words: Sequence[str]) -> list[Claim]:
    """The claims whose command has one of the words, or all where there are none.

    Raises:
        ValueError: a word that no command has.
    """
    commands = [set(shlex.split(claim.command)) for claim in found]
    for word in words:
        if not any(word in command for command in commands):
            raise ValueError(f"no line with the word {word!r}; the lines are {[c.command for c in found]}")
    return [c for c, own in zip(found, commands, strict=True) if not words or own.intersection(words)]


def measured(claim: Claim, folder: Path) -> tuple[float, float]:
    """The PSNR of a fit that is run in `folder`, and the seconds that its training took."""
    for scene in claim.scenes:
        if not (folder / shlex.split(scene)[-1]).exists():
            _run(scene, folder)
    results = json.loads(_run(f"{claim.command} --json", folder))
    return float(results["test"]["images"]["psnr"]), float(results["training_seconds"])


def _run(command: str, folder: Path) -> str:
    program = [sys.executable, "-m", *shlex.split(command)]
    return subprocess.run(program, cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> None:
    """Run all claims and print a line for each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.claims", description=__doc__)
    parser.add_argument("documents", nargs="*", default=DOCUMENTS)
    parser.add_argument("--lines", nargs="+", default=(), metavar="WORD")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    found = [
        claim
        for document in options.documents
        for claim in claims((ROOT / document).read_text(encoding="utf-8"))
    ]
    try:
        lines = chosen(found, options.lines)
    except ValueError as error:
        parser.error(str(error))
    wrong = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for claim in lines:
            started = time.perf_counter()
            psnr, seconds = measured(claim, folder)
            near = abs(psnr - claim.psnr) <= TOLERANCE
            wrong += not near
            verdict = "as stated" if near else "NOT as stated"
            whole = time.perf_counter() - started
            scores = f"{psnr:.1f} dB for {claim.psnr:.1f}, {verdict}"
            print(f"{claim.command}: {scores}; {seconds:.0f} s, {whole:.0f} in all", flush=True)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
