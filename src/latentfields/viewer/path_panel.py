"""The camera path editor of one browser: keyframes, preview, files and films."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Any

import torch
import viser

from latentfields.camera_path import CameraPath, keyframe_of, load_path, save_path
from latentfields.errors import InputError
from latentfields.pages.pictures import Pixels
from latentfields.pages.video import write_mp4
from latentfields.viewer.frames import draw
from latentfields.viewer.markers import PathMarkers
from latentfields.viewer.resolution import frame_size
from latentfields.viewer.session import Session

PATHS_FOLDER = "paths"
"""Folder inside the run's, for paths and their films."""
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class _Cancelled(Exception):
    """Nobody waits for the film any more."""


class PathPanel:
    """Edits one path. Callbacks run on the event loop, films in a thread of their own."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._path = CameraPath(())
        self._cancelled = Event()
        self._film: Thread | None = None
        self._markers = PathMarkers(session.client)
        gui = session.client.gui
        with gui.add_folder("Camera path"):
            self._edit = gui.add_button_group("Keyframes", ("Add", "Undo", "Clear"))
            self._preview = gui.add_slider("Preview", 0.0, 1.0, 0.005, 0.0, hint="Look along the path")
            self._seconds = gui.add_number("Seconds", 5.0, min=0.1, max=600.0, step=0.1)
            self._fps = gui.add_number("Frames per second", 24, min=1, max=120, step=1)
            self._closed = gui.add_checkbox("Closed", False, hint="Return to the first keyframe")
            self._name = gui.add_text("Name", "camera-path")
            self._file = gui.add_button_group("File", ("Save", "Load"))
            self._render = gui.add_button("Render to MP4")
            self._progress = gui.add_progress_bar(0.0, visible=False)
        self._edit.on_click(self._edit_keyframes)
        self._preview.on_update(self._look_along)
        for control in (self._seconds, self._fps, self._closed):
            control.on_update(self._change_timing)
        self._file.on_click(self._save_or_load)
        self._render.on_click(self._start_film)

    def close(self) -> None:
        """Give up the film that is being rendered."""
        self._cancelled.set()

    def join(self) -> None:
        """Wait until that has happened."""
        if self._film is not None:
            self._film.join()

    @property
    def _aspect(self) -> float:
        cameras = self._session.scene.cameras
        return cameras.width / cameras.height

    def _set_path(self, path: CameraPath) -> None:
        self._path = path
        self._markers.show_path(path, aspect=self._aspect)

    async def _edit_keyframes(self, _: viser.GuiEvent[Any]) -> None:
        keyframes, camera = self._path.keyframes, self._session.camera
        if self._edit.value == "Clear":
            keyframes = ()
        elif self._edit.value == "Undo":
            keyframes = keyframes[:-1]
        elif camera is not None:
            keyframes = (*keyframes, keyframe_of(camera.camera_to_world, fov=camera.fov))
        self._set_path(replace(self._path, keyframes=keyframes))

    async def _look_along(self, _: viser.GuiEvent[Any]) -> None:
        if not self._path.keyframes:
            return
        size = frame_size(100, aspect=self._aspect, factor=1)
        cameras = self._path.cameras(width=size.width, height=size.height)
        self._session.look_from(cameras[[round(self._preview.value * (len(cameras) - 1))]])

    async def _change_timing(self, _: viser.GuiEvent[Any]) -> None:
        fps = int(self._fps.value)
        frames = max(1, round(self._seconds.value * fps))
        self._set_path(replace(self._path, frames=frames, fps=fps, closed=self._closed.value))

    async def _save_or_load(self, _: viser.GuiEvent[Any]) -> None:
        try:
            file = self._output(".json")
            if self._file.value == "Save":
                self._path.check("camera path")
                save_path(file, self._path)
                self._say("Saved", str(file))
            else:
                self._take(load_path(file))
        except (InputError, OSError) as error:
            self._say("Not possible", str(error))

    def _take(self, path: CameraPath) -> None:
        """Put a loaded path into the controls."""
        self._set_path(path)
        _assign(self._fps, path.fps)
        _assign(self._seconds, path.frames / path.fps)
        _assign(self._closed, path.closed)

    async def _start_film(self, _: viser.GuiEvent[Any]) -> None:
        try:
            file = self._output(".mp4")
            self._path.check("camera path")
        except InputError as error:
            self._say("Not possible", str(error))
            return
        self._render.disabled, self._progress.visible = True, True
        _assign(self._progress, 0.0)
        self._film = Thread(target=self._write_film, args=(file, self._path), name="film", daemon=True)
        self._film.start()

    def _write_film(self, file: Path, path: CameraPath) -> None:
        """Render and write; then tell the client. Leaves no file behind when the client leaves first."""
        try:
            write_mp4(file, self._frames(path), fps=path.fps)
        except _Cancelled:
            return
        except (OSError, RuntimeError) as error:
            problem = f"{file}: {error}"
            self._session.tell(lambda: self._end_film("Not possible", problem))
        else:
            self._session.tell(lambda: self._end_film("Rendered", str(file), file))

    def _frames(self, path: CameraPath) -> Iterator[Pixels]:
        scene, choice = self._session.scene, self._session.choice
        height = self._session.scale * scene.cameras.height
        size = frame_size(height, aspect=self._aspect, factor=scene.factor)
        cameras = path.cameras(width=size.width, height=size.height)
        for index in range(len(cameras)):
            if self._cancelled.is_set():
                raise _Cancelled
            with self._session.source.gate.rendering(), torch.no_grad():
                frame = draw(scene, cameras[[index]], choice, aspect=self._aspect)
            done = 100 * (index + 1) / len(cameras)
            self._session.tell(partial(_assign, self._progress, done))
            yield frame.pixels

    def _end_film(self, title: str, text: str, file: Path | None = None) -> None:
        self._render.disabled, self._progress.visible = False, False
        self._say(title, text)
        if file is not None:
            self._session.client.send_file_download(file.name, file.read_bytes())

    def _output(self, suffix: str) -> Path:
        """The file that the name in the panel stands for. Raises InputError for names that could leave the folder."""
        if not _NAME.fullmatch(self._name.value):
            raise InputError("Name", f"is {self._name.value!r}; expected letters, digits, - and _")
        return self._session.source.folder / PATHS_FOLDER / f"{self._name.value}{suffix}"

    def _say(self, title: str, text: str) -> None:
        self._session.client.add_notification(title, text, auto_close_seconds=10.0)


def _assign(control: Any, value: object) -> None:
    """Set a control. Type checkers take the handles' `value` for read-only: its setter does not follow its getter."""
    control.value = value
