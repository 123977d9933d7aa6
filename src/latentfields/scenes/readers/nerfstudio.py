"""Nerfstudio folders: transforms.json, also as written by instant-ngp."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from pathlib import Path

from latentfields.scenes.readers.capture import (
    Capture,
    PosedImage,
    every_eighth,
    existing_file,
    listed_views,
    path_inside,
)
from latentfields.scenes.readers.json_fields import JsonObject, read_json
from latentfields.scenes.readers.point_cloud import read_ply
from latentfields.scenes.readers.transforms_json import listed_name, read_frame

FILE = "transforms.json"


def read_nerfstudio(folder: Path, *, follow_links: bool = False) -> Capture:
    """The capture in a Nerfstudio folder; poses in the file are camera-to-world in OpenGL axes.

    Views are ordered by name. The splits are the lists train_filenames, val_filenames and test_filenames
    where the file has them (the validation views are the test views when it names no others); otherwise
    every eighth view is a test view. Sparse points are read from ply_file_path. Raises InputError naming
    the file and field at fault.
    """
    meta = read_json(folder / FILE)
    frames = meta.objects("frames")
    as_listed = listed_views(
        meta.source,
        frames,
        lambda frame: read_frame(folder, frame, axes="opengl", follow_links=follow_links),
        name=listed_name,
    )
    named = {listed_name(frame): view for frame, (_, view) in zip(frames, as_listed.entries, strict=True)}
    listing = as_listed.by_name()
    views = listing.views
    points = colors = None
    if "ply_file_path" in meta:
        field = "ply_file_path"
        name = meta.text(field)
        points, colors = read_ply(existing_file(folder, meta.source, field, name, follow_links=follow_links))
    listed = _listed_splits(folder, meta, named, views, follow_links=follow_links)
    splits = listed or every_eighth(meta.source, len(views), positions=listing.positions)
    return Capture(
        folder=folder,
        views=views,
        splits=splits,
        points=points,
        point_colors=colors,
        missing=listing.missing,
    )


def _listed_splits(
    folder: Path,
    meta: JsonObject,
    named: Mapping[str, PosedImage | None],
    views: Sequence[PosedImage],
    *,
    follow_links: bool,
) -> Mapping[str, Sequence[int]] | None:
    if not any(f"{split}_filenames" in meta for split in ("train", "val", "test")):
        return None
    index_of = {view.image: index for index, view in enumerate(views)}
    missing = {_normal(name) for name, view in named.items() if view is None}

    def view_of(field: str, name: str) -> int | None:
        """The index of a listed picture; None for one that is missing: it was left out, and counted."""
        same = named.get(name)
        if same is not None:
            return index_of[same.image]
        if _normal(name) in missing:
            return None
        file = path_inside(folder, meta.source, field, name, follow_links=follow_links)
        if file not in index_of:
            raise meta.fail(field, f"{name!r} is not among the frames")
        return index_of[file]

    splits: dict[str, list[int]] = {"train": [], "val": [], "test": []}
    for split, indices in splits.items():
        field = f"{split}_filenames"
        for name in meta.texts(field) if field in meta else ():
            index = view_of(field, name)
            if index is not None:
                indices.append(index)
    splits["test"] = splits["test"] or splits["val"]
    for split in ("train", "test"):
        if not splits[split]:
            field = f"{split}_filenames"
            if split == "test" and field not in meta and "val_filenames" in meta:
                field = "val_filenames"
            some = field in meta and meta.texts(field)
            raise meta.fail(
                field,
                "all of its pictures are missing" if some else "expected a list of texts, got nothing",
            )
    return splits


def _normal(name: str) -> str:
    return posixpath.normpath(name.replace("\\", "/"))
