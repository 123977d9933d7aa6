"""Photographs and films that nobody has found poses for yet."""

from __future__ import annotations

from pathlib import Path

PHOTO_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
UNREAD_SUFFIXES = {
    ".heic",
    ".heif",
    ".avif",
    ".dng",
    ".cr2",
    ".cr3",
    ".nef",
    ".arw",
    ".raf",
    ".orf",
    ".rw2",
    ".gif",
}
"""Of pictures of kinds that are not read."""
FILM_SUFFIXES = {
    ".mp4",
    ".mov",
    ".m4v",
    ".avi",
    ".mkv",
    ".webm",
    ".mts",
    ".m2ts",
    ".mpg",
    ".mpeg",
    ".3gp",
    ".wmv",
}
PICTURE_FOLDER = "images"


def pictures_in(folder: Path) -> list[str]:
    """Return the names of the photographs that lie in a folder itself, sorted."""
    return sorted(path.name for path in folder.iterdir() if path.suffix.lower() in PHOTO_SUFFIXES)


def picture_folder(folder: Path) -> Path | None:
    """Return the folder of photographs: images/ or the folder itself; None where there are none."""
    for candidate in (folder / PICTURE_FOLDER, folder):
        if candidate.is_dir() and pictures_in(candidate):
            return candidate
    return None


def unread_in(folder: Path) -> str:
    """Say how many pictures of kinds that are not read lie in a folder itself; nothing where there are none."""
    names = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in UNREAD_SUFFIXES)
    return f"{len(names)} files such as {names[0]} are of kinds that are not read" if names else ""


def is_film(path: Path) -> bool:
    """True for files that are called like a film."""
    return path.suffix.lower() in FILM_SUFFIXES and path.is_file()
