"""A run is a folder. Its `config.json` says what is computed there; other settings need another folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from latentfields.errors import InputError
from latentfields.files import read_json, write_json

CONFIG_FILE = "config.json"


def is_claimed(folder: Path) -> bool:
    """Whether a run was started in `folder`. Its input was read and found good then."""
    return (folder / CONFIG_FILE).exists()


def claim_run(folder: Path, config: dict[str, Any]) -> None:
    """Start a run in `folder`, or find that the same one was started there before.

    Raises InputError, naming the first field that differs, when the folder holds a run with other settings.
    """
    path = folder / CONFIG_FILE
    wanted = json.loads(json.dumps(config))
    if is_claimed(folder):
        difference = next(_differences(read_json(path), wanted, ""), None)
        if difference is not None:
            raise InputError(
                folder, f"holds a run with other settings ({difference}); choose another folder or delete it"
            )
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(folder, "exists and is not a run; choose an empty or new folder")
    write_json(path, wanted)


def _differences(old: Any, new: Any, where: str) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(k for k in new if k not in old)]:
            yield from _differences(old.get(key), new.get(key), f"{where}.{key}" if where else key)
    elif old != new:
        yield f"{where}: {old!r} there, {new!r} now"
