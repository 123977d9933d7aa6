"""The choice between warp and PyTorch, in processes of their own: it is made once per process."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest
import torch

from latentfields.rendering.kernels.backend import kernel_backend, runs_on_warp

SCRIPT = """
import sys
import latentfields.fields.instant_ngp
assert "warp" not in sys.modules, "imported too early"
from latentfields.rendering.kernels.backend import kernel_backend
from latentfields.rendering.kernels.hash_encoding import hash_encoding, pyramid, total_rows
import torch
levels = pyramid(levels=1, coarsest=2, finest=2, table_size=2**8)
table = torch.ones(total_rows(levels), 2, requires_grad=True)
value = hash_encoding(table, torch.zeros(3, 3), levels)
value.sum().backward()
assert torch.equal(value, torch.ones(3, 2)), value
assert float(table.grad.sum()) == 6
print(kernel_backend())
"""


def run(**environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", SCRIPT]
    path = os.pathsep.join(filter(None, sys.path))
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": path} | environment,
    )


@pytest.mark.slow
def test_the_environment_can_ask_for_pytorch() -> None:
    result = run(LATENTFIELDS_KERNELS="torch")
    assert (result.stdout, result.stderr) == ("torch\n", "")


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("warp") is None, reason="warp is not installed")
def test_warp_is_used_where_it_is_installed_late_and_without_a_word() -> None:
    result = run()
    assert (result.stdout, result.stderr) == ("warp\n", "")


@pytest.mark.parametrize("installed", ["1.18.2", "2.0.0"])
def test_another_version_of_warp_is_left_alone(installed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda _: installed)
    assert kernel_backend.__wrapped__() == "torch"


def test_only_single_precision_runs_on_warp() -> None:
    assert not runs_on_warp(torch.zeros(2), torch.zeros(2, dtype=torch.float64))


def test_warp_that_cannot_use_a_device_leaves_it_to_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a driver that is older than warp's CUDA; and on devices that warp does not know."""
    warp = pytest.importorskip("warp")
    choose = kernel_backend.__wrapped__
    for available, chosen in ((False, "torch"), (True, "warp")):
        monkeypatch.setattr(warp, "is_cuda_available", lambda available=available: available)
        assert choose("cuda") == chosen
        assert choose() == "warp"
    assert choose("mps") == "torch"
