"""Damage to what is where in a folder: files that are gone, empty, exchanged, links, folders, or called otherwise."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random

NAMES = (
    *(
        "ü.png",
        "e\u0301.json",
        "名前.png",
        " ",
        "a b",
        "a\nb",
        "\x1b[31m",
        "\u202e",
        "-rf",
        "~",
        "..x",
        "%s",
        "{}",
    ),
    *("#", "'", '"', "CON", "x" * 200, "\U0001f600", "a\\b", ".hidden", "a.tmp", "IMAGE.PNG"),
)
"""Names of files that few programs are tried with."""
LARGE = (*(2**16,) * 5, 2**24)
"""Bytes to which a file is lengthened; it holds nothing there, and takes no place."""
VERY_LARGE = (*(2**16,) * 5, 2**31)
"""The same for files of which not all is read."""
_BOUNDED = (".json", ".safetensors", ".u8", ".png", ".jpg", ".webp", ".tif", ".bmp")
"""Files that are read in part, or refused unread above some size; of others, all is read."""

KEPT = 2**24
"""Bytes of the largest files that are kept of a case that failed."""


class Tree:
    """A folder with files that is damaged and put back."""

    def __init__(self, folder: Path) -> None:
        """Remember all that is in `folder`."""
        self.folder = folder
        self._folders = sorted(path for path in folder.rglob("*") if path.is_dir())
        self.files: Mapping[Path, bytes] = {
            path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
        }

    @classmethod
    def copied(cls, original: Path, folder: Path) -> Tree:
        """A copy, in `folder`, which must not exist, of what is in the folder `original`."""
        shutil.copytree(original, folder)
        return cls(folder)

    def is_whole(self) -> bool:
        """True when nothing was added, taken away or made longer or shorter."""
        there = _sizes(str(self.folder))
        return there == {str(path): len(data) for path, data in self.files.items()}

    def restore(self) -> None:
        """Put back everything."""
        for path in self.folder.iterdir():
            remove(path)
        for path in self._folders:
            path.mkdir(parents=True)
        for path, data in self.files.items():
            path.write_bytes(data)

    def keep(self, at: Path) -> None:
        """Copy what is there now, links as links; files that were made large are left out."""
        remove(at)
        for path in [self.folder, *sorted(self.folder.rglob("*"))]:
            copy = at / path.relative_to(self.folder)
            if path.is_symlink():
                copy.symlink_to(os.readlink(path))
            elif path.is_dir():
                copy.mkdir(parents=True)
            elif path.lstat().st_size <= KEPT:
                shutil.copyfile(path, copy)

    def damage(self, damaged: Sequence[Path], random: Random) -> None:
        """Damage one or two of the files `damaged`."""
        for path in random.sample(damaged, k=min(len(damaged), random.choice((1, 1, 1, 2)))):
            _damage(self.folder, path, [*self.files], random)


def _sizes(folder: str) -> dict[str, int]:
    """Bytes of all files below a folder."""
    found: dict[str, int] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                found |= _sizes(entry.path)
            else:
                found[entry.path] = entry.stat(follow_symlinks=False).st_size
    return found


def remove(path: Path) -> None:
    """Remove a file, a link or a folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif path.parent.is_dir():
        path.unlink(missing_ok=True)


def _damage(folder: Path, path: Path, files: Sequence[Path], random: Random) -> None:
    """One kind of damage to the file at `path`, which may have been damaged before."""
    other = random.choice(files)
    if path.is_symlink():
        return  # Nothing is written to where it leads.
    match random.randrange(13):
        case 0:
            remove(path)
        case 1:
            _replace_by_folder(path)
        case 2:
            _link(
                path,
                random.choice((path.name, "nowhere", "/etc/hostname", ".", "..", str(folder), "/dev/null")),
            )
        case 3:
            _link(path, str(other))
        case 4 if path.is_file():
            _link(path, str(path.with_name(random.choice(("chain", "a\nb")))))
            _link(Path(os.readlink(path)), path.name)
        case 5 if path.is_file():
            path.write_bytes(b"")
        case 6 if path.is_file() and other.is_file():
            path.write_bytes(other.read_bytes()[: 2**20])
        case 7 if path.is_file():
            os.truncate(path, random.choice(VERY_LARGE if path.suffix in _BOUNDED else LARGE))
        case 8 if path.is_file():
            path.rename(path.with_name(random.choice(NAMES)))
        case 9 if path.parent != folder and path.parent.is_dir() and not path.parent.is_symlink():
            moved = path.parent.with_name(random.choice(("moved", "a\nb", "ü")))
            remove(moved)
            path.parent.rename(moved)
        case 10 if path.parent != folder:
            remove(path.parent)
            if path.parent.parent.is_dir():
                path.parent.write_bytes(b"no folder")
        case 11 if path.is_file():
            path.chmod(0)
        case _:
            if path.parent.is_dir():
                stray = path.with_name(random.choice(NAMES))
                _link(stray, random.choice((stray.name, str(folder), str(other))))


def _replace_by_folder(path: Path) -> None:
    remove(path)
    if path.parent.is_dir():
        path.mkdir()


def _link(path: Path, to: str) -> None:
    remove(path)
    if path.parent.is_dir():
        path.symlink_to(to)
