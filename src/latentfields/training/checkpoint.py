"""Checkpoints: one safetensors file, tensors plus JSON metadata, replaced atomically. No pickle.

A process killed at any moment leaves either the previous checkpoint or the new one, never a mixture.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.overrides import TorchFunctionMode

from latentfields.errors import InputError
from latentfields.files import replacing


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Write `tensors` and JSON-serialisable `metadata` to `path` in one atomic step.

    Bytes reach the disk before the new name does, so a power cut cannot leave an empty file either.
    """
    # Tied or sliced tensors must not share storage in the file: each is written whole.
    owned = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with replacing(path, durable=True) as temporary:
        save_file(owned, temporary, metadata={"json": json.dumps(metadata)})


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_tensors` wrote. Raises InputError when the file is absent or damaged."""
    try:
        with safe_open(path, framework="pt") as handle:
            metadata = json.loads((handle.metadata() or {}).get("json", "{}"))
            return {name: handle.get_tensor(name) for name in handle.keys()}, metadata  # noqa: SIM118
    except FileNotFoundError:
        raise InputError(path, "no such file; expected safetensors weights") from None
    except TypeError:
        # PyTorch, of numbers beyond 64 bits, with all of its own stack.
        raise InputError(path, "not a readable safetensors file (a tensor's shape overflows)") from None
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise InputError(path, f"not a readable safetensors file ({error})") from None


def load_metadata(path: Path) -> dict[str, Any]:
    """The metadata alone of what `save_tensors` wrote. Raises InputError as `load_tensors`."""
    try:
        with safe_open(path, framework="pt") as handle:
            metadata: dict[str, Any] = json.loads((handle.metadata() or {}).get("json", "{}"))
            return metadata
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise InputError(path, f"not a readable safetensors file ({error})") from None


_SPARE = 2**26
"""Bytes that a network may have beside its weights, for what it computes anew."""
_COPIES = 4
"""Times that a network's tensors may have the bytes of its weights while it is built."""


_FILLING = frozenset((torch.full, torch.ones))
"""What writes into all memory that it asks for; other memory is taken only when it is written into."""


class _Bounded(TorchFunctionMode):
    """Adds up the memory of tensors as they are made, before anything is written into it."""

    def __init__(self, source: str | Path, weights: int) -> None:
        super().__init__()
        self.source, self.weights, self.made = source, weights, 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """As PyTorch calls it for every function that makes or changes tensors."""
        named = kwargs or {}
        try:
            if func in _FILLING:
                self._require_room(func(*args, **named | {"device": "meta"}))
            result = func(*args, **named)
        except TypeError as error:
            if "Overflow" in str(error):  # A size beyond 64 bits.
                raise self._far_larger() from None
            raise
        given = (*args, *named.values())
        if isinstance(result, Tensor) and not any(_shares_memory(value, result) for value in given):
            self._require_room(result)
            self.made += result.nbytes
        return result

    def _require_room(self, tensor: Tensor) -> None:
        if self.made + tensor.nbytes > _SPARE + _COPIES * self.weights:
            raise self._far_larger()

    def _far_larger(self) -> InputError:
        return InputError(
            self.source, f"describes a network far larger than its weights, which have {self.weights} bytes"
        )


def _shares_memory(value: Any, tensor: Tensor) -> bool:
    return (
        isinstance(value, Tensor)
        and value.untyped_storage().data_ptr() == tensor.untyped_storage().data_ptr()
    )


@contextmanager
def bounded_by(weights: int, source: str | Path) -> Iterator[None]:
    """Refuse to build a network, for the time of a `with` block, that is far larger than the bytes of its weights.

    A number in a configuration can ask for any memory. Raises InputError, naming `source`.
    """
    with _Bounded(source, weights):
        yield


def byte_count(tensors: Mapping[str, Tensor]) -> int:
    """The bytes of all tensors together."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def pack_optimizer(
    optimizer: torch.optim.Optimizer, prefix: str
) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """Split an optimiser's state into flat named tensors and JSON-serialisable parameter groups."""
    state = optimizer.state_dict()
    tensors = {
        f"{prefix}.{index}.{key}": torch.as_tensor(value)
        for index, entry in state["state"].items()
        for key, value in entry.items()
    }
    return tensors, state["param_groups"]


def unpack_optimizer(
    optimizer: torch.optim.Optimizer, prefix: str, tensors: Mapping[str, Tensor], groups: list[dict[str, Any]]
) -> None:
    """Restore what `pack_optimizer` split; moments get the memory layout of their parameters.

    Raises KeyError, IndexError, TypeError or ValueError where they are of another optimiser.
    Files keep no layout, and fused optimisers walk through parameter and moments in the order of memory. Options of a
    group that the file does not know, as those of an earlier version, stay as they are.
    """
    state: dict[int, dict[str, Tensor]] = {}
    shapes = [parameter.shape for group in optimizer.param_groups for parameter in group["params"]]
    for name, tensor in tensors.items():
        if name.startswith(prefix + "."):
            index, key = name[len(prefix) + 1 :].split(".", 1)
            if tensor.ndim and tensor.shape != shapes[int(index)]:
                raise ValueError(f"'{name}' has shape {(*tensor.shape,)}; expected {(*shapes[int(index)],)}")
            state.setdefault(int(index), {})[key] = tensor
    known = [{**now, **then} for now, then in zip(optimizer.param_groups, groups, strict=True)]
    optimizer.load_state_dict({"state": state, "param_groups": known})
    for parameter, entry in optimizer.state.items():
        for key, value in entry.items():
            if value.shape == parameter.shape:
                entry[key] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def with_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors under `prefix.name`."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def without_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names start with `prefix.`, without it."""
    return {name[len(prefix) + 1 :]: t for name, t in tensors.items() if name.startswith(prefix + ".")}
