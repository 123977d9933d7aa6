"""A run is a folder. Its `config.json` says what is computed there; other settings need another folder.

Every training describes itself by a frozen dataclass with a class attribute `kind`, which `config.json` holds whole.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Protocol, TypeVar

from latentfields.config.typed_json import from_json, to_json
from latentfields.errors import InputError
from latentfields.files import is_temporary, read_json, write_json
from latentfields.training.lock import LOCK_FILE, locked


class RunConfig(Protocol):
    """A dataclass that describes a run."""

    kind: ClassVar[str]
    """One of `KINDS`."""


T = TypeVar("T", bound=RunConfig)

CONFIG_FILE = "config.json"

KINDS: Mapping[str, str] = MappingProxyType(
    {
        "fit": "a run of `latentfields fit`",
        "autoencoder": "a run of `autoencoder train`",
        "igae": "a run of `autoencoder finetune-3d`, whose scenes `latentfields view` shows",
        "correspondence-aware autoencoder": "a run of `lrf finetune-encoder`",
        "aligned decoder": "a run of `lrf align-decoder`",
        "prior": "a run of `prior train`",
        "generation": "a run of `latentfields generate` or `edit`",
        "collection": "a collection of `collection fit`",
        "addition to a collection": "a run of `collection add`",
    }
)
"""What a folder is, by the `kind` in its configuration."""

_FIELDS_BEFORE_KINDS = {"fit": {"scene", "fit"}, "aligned decoder": {"scenes", "fit", "training"}}
"""Fields that tell what folders are that earlier versions wrote without a kind."""


def run_kind(folder: Path) -> str | None:
    """The kind of the run in `folder`; None where there is none, or one that tells no kind.

    Raises InputError when its configuration cannot be read.
    """
    return _kind(read_json(folder / CONFIG_FILE)) if is_claimed(folder) else None


def read_run(config: type[T], folder: Path) -> T:
    """The description, of the dataclass `config`, of the run in `folder`.

    Raises InputError when there is no run, when it is of another kind, or when its configuration does not fit.
    """
    return from_json(config, read_description(config, folder), source=folder / CONFIG_FILE)


def read_description(config: type[RunConfig], folder: Path) -> Any:
    """The JSON of the run in `folder`. Raises InputError when there is none, or one of another kind than `config`."""
    expected = KINDS[config.kind]
    if not is_claimed(folder):
        raise InputError(folder, f"is not a run; expected a folder with {CONFIG_FILE}, {expected}")
    about = read_json(folder / CONFIG_FILE)
    kind = _kind(about)
    if kind is not None and kind != config.kind:
        raise InputError(folder, f"is {KINDS.get(kind, f'a run of the kind {kind!r}')}; expected {expected}")
    return about


def is_claimed(folder: Path) -> bool:
    """True when a run was started in `folder`. Its input was read and found good then."""
    return (folder / CONFIG_FILE).is_file()


@contextmanager
def running(folder: Path, config: Any) -> Iterator[None]:
    """Claim `folder` as `claim_run`, and keep other processes out of it for the time of a `with` block.

    Raises InputError, too, when another process works there.
    """
    require_claimable(folder, config)
    with locked(folder):
        claim_run(folder, config)
        yield


def require_run(folder: Path) -> None:
    """Raise InputError when the run that was started in `folder` is there no more: nothing is written then."""
    if not is_claimed(folder):
        raise InputError(
            folder / CONFIG_FILE,
            "is gone: the folder was deleted or moved meanwhile; run the same command again",
        )


def claim_run(folder: Path, config: Any) -> None:
    """Start a run in `folder`, or find that the same one was started there before.

    `config` describes it: a dataclass, or its JSON form. What an earlier version wrote is the same run where it means
    the same: it may lack the kind, and fields with their defaults. Raises InputError, naming the first field that
    differs, when the folder holds a run with other settings.
    """
    wanted = require_claimable(folder, config)
    if not is_claimed(folder):
        write_json(folder / CONFIG_FILE, wanted)


def require_claimable(folder: Path, config: Any) -> Any:
    """Return the JSON of `config`. Raises InputError when the folder holds something else than such a run."""
    path = folder / CONFIG_FILE
    wanted = json.loads(json.dumps(to_json(config)))
    if is_claimed(folder):
        difference = next(_differences(_completed(config, read_json(path), path), wanted, ""), None)
        if difference is not None:
            raise InputError(
                folder, f"holds a run with other settings ({difference}); choose another folder or delete it"
            )
    elif folder.exists() and (
        not folder.is_dir()
        or any(entry.name != LOCK_FILE and not is_temporary(entry) for entry in folder.iterdir())
    ):
        raise InputError(folder, "exists and is not a run; choose an empty or new folder")
    return wanted


def _kind(about: Any) -> str | None:
    """The kind of the run that a configuration is of."""
    if not isinstance(about, dict):
        return None
    if "kind" in about:
        return str(about["kind"])
    return next((kind for kind, fields in _FIELDS_BEFORE_KINDS.items() if fields <= about.keys()), None)


def _completed(config: Any, stored: Any, path: Path) -> Any:
    """The `stored` configuration with everything that `config` says, where it is one of the same kind."""
    if not dataclasses.is_dataclass(config):
        return stored
    try:
        return json.loads(json.dumps(to_json(from_json(type(config), stored, source=path))))
    except InputError:
        return stored


def _differences(old: Any, new: Any, where: str) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(k for k in new if k not in old)]:
            yield from _differences(old.get(key), new.get(key), f"{where}.{key}" if where else key)
    elif old != new:
        yield f"{where}: {old!r} there, {new!r} now"
