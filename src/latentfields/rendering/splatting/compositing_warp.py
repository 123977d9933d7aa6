"""The warp kernels behind `composite`. Imports warp: only for use where it is installed.

Their bodies are C++, not warp's Python: one for the vectors of a CPU and one for CUDA, of the same arguments.
"""

from __future__ import annotations

import functools
from typing import Any

import warp as wp


@functools.cache
def forward_kernel(body: str) -> Any:
    """The kernel around a forward body."""

    @wp.func_native(body)
    def composite(
        means: wp.array[wp.float32],
        conics: wp.array[wp.float32],
        opacities: wp.array[wp.float32],
        values: wp.array[wp.float32],
        starts: wp.array[wp.int32],
        members: wp.array[wp.int32],
        summed: wp.array[wp.float32],
        transmittance: wp.array[wp.float32],
        width: int,
        height: int,
        index: int,
    ) -> None: ...

    @wp.kernel(enable_backward=False, module="unique")
    def kernel(
        means: wp.array[wp.float32],
        conics: wp.array[wp.float32],
        opacities: wp.array[wp.float32],
        values: wp.array[wp.float32],
        starts: wp.array[wp.int32],
        members: wp.array[wp.int32],
        summed: wp.array[wp.float32],
        transmittance: wp.array[wp.float32],
        width: int,
        height: int,
    ) -> None:
        composite(
            means,
            conics,
            opacities,
            values,
            starts,
            members,
            summed,
            transmittance,
            width,
            height,
            wp.tid(),
        )

    return kernel


@functools.cache
def backward_kernel(body: str) -> Any:
    """The kernel around a backward body."""

    @wp.func_native(body)
    def composite_backward(
        means: wp.array[wp.float32],
        conics: wp.array[wp.float32],
        opacities: wp.array[wp.float32],
        values: wp.array[wp.float32],
        starts: wp.array[wp.int32],
        members: wp.array[wp.int32],
        summed: wp.array[wp.float32],
        transmittance: wp.array[wp.float32],
        d_summed: wp.array[wp.float32],
        d_transmittance: wp.array[wp.float32],
        d_means: wp.array[wp.float32],
        d_conics: wp.array[wp.float32],
        d_opacities: wp.array[wp.float32],
        d_values: wp.array[wp.float32],
        width: int,
        height: int,
        index: int,
    ) -> None: ...

    @wp.kernel(enable_backward=False, module="unique")
    def kernel(
        means: wp.array[wp.float32],
        conics: wp.array[wp.float32],
        opacities: wp.array[wp.float32],
        values: wp.array[wp.float32],
        starts: wp.array[wp.int32],
        members: wp.array[wp.int32],
        summed: wp.array[wp.float32],
        transmittance: wp.array[wp.float32],
        d_summed: wp.array[wp.float32],
        d_transmittance: wp.array[wp.float32],
        d_means: wp.array[wp.float32],
        d_conics: wp.array[wp.float32],
        d_opacities: wp.array[wp.float32],
        d_values: wp.array[wp.float32],
        width: int,
        height: int,
    ) -> None:
        composite_backward(
            means,
            conics,
            opacities,
            values,
            starts,
            members,
            summed,
            transmittance,
            d_summed,
            d_transmittance,
            d_means,
            d_conics,
            d_opacities,
            d_values,
            width,
            height,
            wp.tid(),
        )

    return kernel
