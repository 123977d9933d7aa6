"""A device that computes on the CPU, refuses what CUDA refuses, and counts what makes the host wait.

Tensors on it are wrappers around CPU tensors that say they are on `DEVICE`, PyTorch's place for backends of others. It
sees every operation that PyTorch dispatches, those of autograd and of optimisers included. Refused are operations on
tensors of two devices (but for scalars, and CPU indices, which CUDA takes), device indices into CPU tensors, CPU
generators for numbers on the device, and reading memory as if it were the host's. A copy to the host that does not
wait (`non_blocking`) arrives when the host waits the next time, as late as it may: what reads it earlier reads zeros.

It does not see: warp, gsplat and NCCL, which never run on it (the PyTorch twins do), bfloat16's rounding, memory
limits, and whether something is fast.
"""

from __future__ import annotations

import contextlib
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

_NAME = "simulated"

_aten = torch.ops.aten
_READS = {_aten._local_scalar_dense.default, _aten.equal.default}
"""Operations whose result is a value on the host."""
_SIZED = {
    _aten.nonzero.default,
    _aten.masked_select.default,
    _aten.unique_consecutive.default,
    _aten._unique2.default,
    _aten.unique_dim.default,
}
"""Operations whose result has a size that depends on values: the host waits for it."""
_INDEXED = {
    _aten.index.Tensor,
    _aten.index_put.default,
    _aten.index_put_.default,
    _aten._index_put_impl_.default,
}
"""Operations that CUDA lets take indices on the CPU."""


@dataclass
class Waits:
    """What made the host wait for the device."""

    places: Counter[str] = field(default_factory=Counter)
    """Times by kind and place in the package."""
    uploads: Counter[str] = field(default_factory=Counter)
    """Copies to the device that wait for its work, by place."""

    @property
    def count(self) -> int:
        """Times that the host waited for values of the device."""
        return sum(self.places.values())

    @property
    def blocking_uploads(self) -> int:
        """Copies to the device that the host waited for."""
        return sum(self.uploads.values())


class _Module:
    """What `torch.get_device_module` gives for the device."""

    @staticmethod
    def synchronize(device: Any = None) -> None:
        _note(_waits.places, "synchronize")
        _arrive()

    @staticmethod
    def get_amp_supported_dtype() -> list[torch.dtype]:
        return [torch.bfloat16]

    @staticmethod
    def is_available() -> bool:
        return True

    @staticmethod
    def is_initialized() -> bool:
        return True

    @staticmethod
    def device_count() -> int:
        return 1

    @staticmethod
    def current_device() -> int:
        return 0

    @staticmethod
    def _is_in_bad_fork() -> bool:
        return False

    @staticmethod
    def manual_seed_all(seed: int) -> None:
        pass


_setup_privateuseone_for_python_backend(rename=_NAME, backend_module=_Module())
DEVICE = torch.device(_NAME, 0)


class SimulatedTensor(Tensor):
    """A tensor on the simulated device; `on_host` holds its values on the CPU."""

    on_host: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> SimulatedTensor:
        wrapper: SimulatedTensor = Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            layout=inner.layout,
            device=DEVICE,
            requires_grad=False,
        )
        wrapper.on_host = inner
        return wrapper

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, function: Any, types: Any, arguments: tuple[Any, ...] = (), options: dict[str, Any] | None = None
    ) -> Any:
        return _dispatch(function, arguments, options or {})

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        copy = self.detach().clone()
        out: Tensor = (
            torch.nn.Parameter(copy, requires_grad=self.requires_grad)
            if isinstance(self, torch.nn.Parameter)
            else copy.requires_grad_(self.requires_grad)
        )
        memo[id(self)] = out
        return out

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def __repr__(self) -> str:  # type: ignore[override]
        return f"SimulatedTensor({self.on_host!r})"


_waits = Waits()
_pending: list[tuple[Tensor, Tensor]] = []
"""Copies to the host that have not arrived: where they go, and what."""


class _Everything(TorchDispatchMode):
    """Sees operations without a tensor of the device, too: those that make one."""

    def __torch_dispatch__(
        self,
        function: Any,
        types: Any,
        arguments: tuple[Any, ...] = (),
        options: dict[str, Any] | None = None,
    ) -> Any:
        return _dispatch(function, arguments, options or {})


@contextlib.contextmanager
def simulated_device() -> Iterator[Waits]:
    """`DEVICE` works for the time of the context; what is counted in it."""
    global _waits
    before, _waits = _waits, Waits()
    # `torch.tensor` makes a tensor of the CPU first, and copies it where operations are seen.
    torch._C._set_only_lift_cpu_tensors(True)
    try:
        with _Everything():  # type: ignore[no-untyped-call]
            yield _waits
    finally:
        torch._C._set_only_lift_cpu_tensors(False)
        _arrive()
        _waits = before


def _arrive() -> None:
    while _pending:
        target, values = _pending.pop(0)
        target.copy_(values)


def _arrive_before(upload: Tensor) -> None:
    """Let copies to where an upload comes from arrive: the device does one thing after the other."""
    storage = upload.untyped_storage().data_ptr()
    if any(target.untyped_storage().data_ptr() == storage for target, _ in _pending):
        _arrive()


def _note(counter: Counter[str], kind: str) -> None:
    counter[f"{kind} {_place()}"] += 1


def _place() -> str:
    """The innermost lines of the package that the operation comes from."""
    frames = [
        f for f in traceback.extract_stack() if "latentfields/" in f.filename and "/tests/" not in f.filename
    ]
    return " < ".join(f"{f.filename.split('latentfields/')[-1]}:{f.lineno}" for f in reversed(frames[-2:]))


def _refuse(function: Any, why: str) -> None:
    raise RuntimeError(f"{function} on the simulated device: {why}")


def _is_scalar(tensor: Tensor) -> bool:
    return tensor.dim() == 0


def _dispatch(function: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    leaves = [*_leaves(arguments), *_leaves(options.values())]
    tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
    here = [tensor for tensor in tensors if isinstance(tensor, SimulatedTensor)]
    wanted = options.get("device")
    to_device = wanted is not None and torch.device(wanted).type == DEVICE.type
    if not here and not to_device:
        return function(*arguments, **options)
    if function in (_aten._to_copy.default, _aten.copy_.default):
        return _copied(function, arguments, options)
    if function is _aten._pin_memory.default or function is _aten.is_pinned.default:
        _refuse(function, "only memory of the host is pinned")
    generator = next((leaf for leaf in leaves if isinstance(leaf, torch.Generator)), None)
    if generator is not None:
        _refuse(function, "its numbers are drawn by a generator of the CPU")
    if here:  # Otherwise tensors of the CPU say what a new one is like.
        _check_places(function, arguments, tensors)
    _count(function, arguments)
    return _computed(function, arguments, options)


def _check_places(function: Any, arguments: tuple[Any, ...], tensors: list[Tensor]) -> None:
    strangers = [t for t in tensors if not isinstance(t, SimulatedTensor) and not _is_scalar(t)]
    if function in _INDEXED:
        if not isinstance(arguments[0], SimulatedTensor):
            _refuse(function, "indices of the device into a tensor of the CPU")
        indices = [index for index in arguments[1] if index is not None]
        if any(not isinstance(index, SimulatedTensor) for index in indices):
            _note(_waits.uploads, "index")
        strangers = [t for t in strangers if not any(t is index for index in indices)]
    if strangers:
        _refuse(function, f"tensors of two devices: {[tuple(t.shape) for t in strangers]} are on the CPU")


def _count(function: Any, arguments: tuple[Any, ...]) -> None:
    repeats = function is _aten.repeat_interleave.Tensor and len(arguments) < 2
    if function in _READS or function in _SIZED or repeats or _counts_mask(function, arguments):
        _wait(str(function))


def _counts_mask(function: Any, arguments: tuple[Any, ...]) -> bool:
    """Masks become indices, whose number the host must know; a single value is filled in by the mask itself."""
    if function not in _INDEXED:
        return False
    masked = any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in arguments[1])
    return masked and (function is _aten.index.Tensor or arguments[2].numel() != 1)


def _wait(kind: str) -> None:
    _note(_waits.places, kind)
    _arrive()


def _copied(function: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Copies between the devices, or within one."""
    if function is _aten.copy_.default:
        target, source = arguments[:2]
        blocking = not (len(arguments) > 2 and arguments[2]) and not options.get("non_blocking")
        if isinstance(target, SimulatedTensor) and isinstance(source, SimulatedTensor):
            target.on_host.copy_(source.on_host)
        elif isinstance(target, SimulatedTensor):
            _arrive_before(source)
            if blocking and not _is_scalar(source):
                _note(_waits.uploads, "copy_")
            target.on_host.copy_(source)
        elif blocking:
            _wait("copy_")
            target.copy_(source.on_host)
        else:
            _pending.append((target, source.on_host.clone()))
        return target
    source = arguments[0]
    wanted = options.get("device")
    blocking = not options.get("non_blocking")
    rest = {name: value for name, value in options.items() if name not in ("device", "non_blocking")}
    if isinstance(source, SimulatedTensor):
        copy = _aten._to_copy.default(source.on_host, **rest)
        if wanted is None or torch.device(wanted).type == DEVICE.type:
            return SimulatedTensor(copy)
        if blocking:
            _wait("_to_copy")
            return copy
        late = torch.zeros_like(copy)
        _pending.append((late, copy))
        return late
    _arrive_before(source)
    if blocking:
        _note(_waits.uploads, "_to_copy")
    return SimulatedTensor(_aten._to_copy.default(source, **rest))


def _leaves(values: Iterable[Any]) -> Iterator[Any]:
    """What sequences in sequences hold, as operations are called with. PyTorch's trees take as long as all the rest."""
    for value in values:
        if isinstance(value, list | tuple):
            yield from _leaves(value)
        else:
            yield value


def _changed(value: Any, change: Callable[[Any], Any]) -> Any:
    """The same with every leaf changed."""
    if isinstance(value, list | tuple):
        return type(value)([_changed(item, change) for item in value])
    return change(value)


def _to_host(value: Any) -> Any:
    if isinstance(value, SimulatedTensor):
        return value.on_host
    if isinstance(value, torch.device) and value.type == DEVICE.type:
        return torch.device("cpu")
    return value


def _to_device(value: Any) -> Any:
    return SimulatedTensor(value) if isinstance(value, Tensor) else value


def _computed(function: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    plain = {name: _changed(value, _to_host) for name, value in options.items()}
    out = _changed(function(*_changed(arguments, _to_host), **plain), _to_device)
    return return_and_correct_aliasing(function, arguments, options, out)
