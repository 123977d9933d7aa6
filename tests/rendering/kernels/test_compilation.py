"""All kernels are compiled for GPUs: NVIDIA's compiler comes with warp, and needs neither a GPU nor a driver."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from latentfields.rendering.kernels.backend import kernel_backend, quiet_warp
from latentfields.rendering.kernels.hash_encoding import PRIMES
from latentfields.rendering.splatting import compositing_cuda

ARCHITECTURES = (80, 90)

pytestmark = pytest.mark.skipif(
    kernel_backend() != "warp" or importlib.util.find_spec("warp") is None, reason="warp is not installed"
)


def hash_kernel(name: str) -> Any:
    from latentfields.rendering.kernels import hash_encoding_warp

    return getattr(hash_encoding_warp, name)(2, primes=PRIMES)


def scatter_kernel() -> Any:
    from latentfields.rendering.kernels import row_gather_warp

    return row_gather_warp.scatter_kernel(12, 32)


def projection_kernel(name: str) -> Any:
    from latentfields.rendering.splatting import projection_warp

    return getattr(projection_warp, name)()


def compositing_kernel(name: str) -> Any:
    from latentfields.rendering.splatting import compositing_warp

    body = getattr(compositing_cuda, name.replace("kernel", "body"))(17)
    return getattr(compositing_warp, name)(body)


KERNELS: dict[str, Callable[[], Any]] = {
    "hash encoding": lambda: hash_kernel("encode_kernel"),
    "hash encoding, backward": lambda: hash_kernel("encode_backward_kernel"),
    "row scatter": scatter_kernel,
    "projection": lambda: projection_kernel("project_kernel"),
    "projection, backward": lambda: projection_kernel("project_backward_kernel"),
    "compositing": lambda: compositing_kernel("forward_kernel"),
    "compositing, backward": lambda: compositing_kernel("backward_kernel"),
}
"""Those that run on CUDA; lists of tiles are warp's on the CPU alone."""


def compiled(kernel: Any, folder: Path) -> list[str]:
    """The kernel's code for every architecture."""
    import warp

    with quiet_warp():
        paths = warp.compile_aot_module(
            kernel.module, arch=list(ARCHITECTURES), module_dir=folder, use_ptx=True
        )
    return [path.read_text() for path in paths]


@pytest.fixture(scope="module")
def compiler(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skips where warp came without NVIDIA's compiler, as for some systems it does."""
    import warp

    @warp.kernel(module="unique")  # type: ignore[untyped-decorator]
    def nothing(values: warp.array[warp.float32]) -> None:
        values[warp.tid()] = 0.0

    try:
        compiled(nothing, tmp_path_factory.mktemp("nothing"))
    except RuntimeError as error:
        pytest.skip(f"warp cannot compile for GPUs here: {error}")


@pytest.mark.slow
@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_compiles_for_gpus(tmp_path: Path, name: str) -> None:
    for architecture, code in zip(ARCHITECTURES, compiled(KERNELS[name](), tmp_path), strict=True):
        assert f".target sm_{architecture}" in code
        assert "cuda_kernel_forward" in code
