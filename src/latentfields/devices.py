"""Moving values between host and device so that neither waits for the other more often than it must.

A blocking copy waits until the device has done all that was asked of it before. On the CPU nothing here copies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Generic, Literal, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


def upload(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the host on `device`, without waiting for the device; one that is there already as it is.

    CUDA copies from pinned memory on its own time: the values are put there first, so that those of `tensor` may change
    as soon as this returns.
    """
    if tensor.device == device or tensor.device.type != "cpu":
        return tensor.to(device)
    if device.type == "cuda" and not tensor.is_pinned():
        tensor = _pinned(tensor)
    return tensor.to(device, non_blocking=True)


def _pinned(tensor: Tensor) -> Tensor:
    """The values in memory that a GPU reads on its own; `Tensor.pin_memory` refuses tensors that were expanded."""
    return torch.empty_like(tensor, pin_memory=True).copy_(tensor)


def like(values: Sequence[float], tensor: Tensor) -> Tensor:
    """`values` (N,) with the type of `tensor` and on its device, without waiting for it."""
    return upload(torch.tensor(values, dtype=tensor.dtype), tensor.device)


def normal(shape: Sequence[int], *, generator: torch.Generator, device: torch.device) -> Tensor:
    """Normal numbers on `device` that follow from the CPU's `generator`, for many of them in every step.

    CUDA draws them itself, from a seed of the generator's: other numbers than the CPU's, of the same distribution.
    """
    if device.type != "cuda":
        return upload(torch.randn(*shape, generator=generator), device)
    seed = int(torch.randint(2**62, (), generator=generator))
    own = torch.Generator(device).manual_seed(seed)
    return torch.randn(*shape, generator=own, device=device)


def read(scalars: Mapping[str, Tensor]) -> dict[str, float]:
    """The values of scalar tensors on one device by name: one wait for the device instead of one for each."""
    values = torch.stack([value.detach() for value in scalars.values()]).tolist() if scalars else []
    return dict(zip(scalars, values, strict=True))


def has_bfloat16(device: torch.device) -> bool:
    """True when the device has instructions for products in bfloat16; emulated ones would be slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    # PyTorch tells only in newer versions; older ones keep to float32.
    capabilities: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def has_eight_bits(device: torch.device) -> bool:
    """True when the device is a processor with instructions for products of 8-bit integers, and PyTorch uses them."""
    capabilities: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    known = capabilities.get("avx512_vnni") or capabilities.get("amx_int8")
    return device.type == "cpu" and bool(known) and hasattr(torch.ops.onednn, "qconv2d_pointwise")


def uses_bfloat16(precision: Literal["auto", "float32", "bfloat16"], device: torch.device) -> bool:
    """True when the decoder computes in bfloat16 on `device`; "auto" does where that is faster."""
    return precision == "bfloat16" or (precision == "auto" and has_bfloat16(device))


def wait_for(device: torch.device) -> None:
    """Wait until `device` has done all that it was asked for; the CPU has."""
    if device.type != "cpu":
        torch.get_device_module(device).synchronize(device)


class Kept(Generic[T]):
    """A value that follows from tensors, kept until one of them is another or was changed in place."""

    def __init__(self) -> None:
        self._tensors: tuple[Tensor, ...] = ()
        self._versions: tuple[int, ...] = ()
        self._value: T | None = None

    def get(self, compute: Callable[[], T], *tensors: Tensor) -> T:
        """What `compute` returns for the `tensors`, never None; it is called only where it must be."""
        versions = tuple(tensor._version for tensor in tensors)
        same = len(tensors) == len(self._tensors) and all(map(_is, tensors, self._tensors))
        if self._value is None or not same or versions != self._versions:
            return self.keep(compute(), *tensors)
        return self._value

    def keep(self, value: T, *tensors: Tensor) -> T:
        """Keep what follows from the `tensors` and is known already."""
        self._value, self._tensors = value, tensors
        self._versions = tuple(tensor._version for tensor in tensors)
        return value

    def __reduce__(self) -> tuple[type[Kept[T]], tuple[()]]:
        """Copies begin empty: versions of copied tensors are counted from their copying."""
        return type(self), ()


def _is(first: Tensor, second: Tensor) -> bool:
    return first is second
