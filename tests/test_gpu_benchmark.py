"""`make gpu` works where there is no GPU, as far as it can."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from benchmarks.gpu import main

from helpers.commands import latentfields

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU")
def test_without_cuda_it_ends_with_one_line(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", "--out", str(tmp_path / "gpu.json")],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert result.returncode == 2
    assert result.stderr == "no CUDA device: run this on a machine with an NVIDIA GPU\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_everything_is_measured_on_the_cpu(tmp_path: Path) -> None:
    parts = (
        "--only",
        "kernel",
        "as on",
        "speed",
        "igae",
        "command: fit",
        "command: export",
        "command: evaluate",
    )
    result = latentfields("--device", "cpu", "--quick", *parts, "--out", tmp_path / "gpu.json", program=main)
    assert result.returncode == 0, result.stderr
    record = json.loads((tmp_path / "gpu.json").read_text())
    assert record["failed"] == []
    results = record["results"]
    assert record["checks"] == len(results) == 3 + 18 + 6 + 18 + 2 + 9
    # The same device twice: everything is the same.
    for name, values in results.items():
        if name.startswith("as on the CPU"):
            assert values["loss"] == values.get("picture", 0) == 0, name
        if name.startswith("speed"):
            assert values["step_ms"] > 0
            assert values["frames_per_second"]["32"] > 0


def test_a_part_of_it_is_measured_by_name(tmp_path: Path) -> None:
    options = ("--device", "cpu", "--quick", "--only", "kernel against twin: hash", "speed: kplanes, rgb")
    result = latentfields(*options, "--out", tmp_path / "gpu.json", program=main)
    assert result.returncode == 0, result.stderr
    record = json.loads((tmp_path / "gpu.json").read_text())
    assert [*record["results"]] == ["kernel against twin: hash encoding", "speed: kplanes, rgb"]


def test_a_command_that_fails_says_why(tmp_path: Path) -> None:
    # The run that it evaluates is another command's.
    options = ("--device", "cpu", "--quick", "--only", "command: evaluate", "--out", tmp_path / "gpu.json")
    result = latentfields(*options, program=main)
    assert result.returncode == 1
    record = json.loads((tmp_path / "gpu.json").read_text())
    assert record["failed"] == ["command: evaluate"]
    assert "fit" in record["results"]["command: evaluate"]["error"]


def test_a_name_that_nothing_has_is_an_error(tmp_path: Path) -> None:
    options = ("--device", "cpu", "--quick", "--only", "sped", "--out", tmp_path / "gpu.json")
    result = latentfields(*options, program=main)
    assert result.returncode == 2
    assert "--only: no check begins with sped" in result.stderr
    assert not list(tmp_path.iterdir())
