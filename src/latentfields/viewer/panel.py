"""The controls of one browser."""

from __future__ import annotations

from typing import Any

import viser

from latentfields.viewer.frames import Choice, kinds
from latentfields.viewer.markers import FRUSTUM, TrainingCameras
from latentfields.viewer.session import Session

RESOLUTIONS = (0.25, 4.0, 0.25)
"""Smallest, largest and step of the resolution at rest, in heights of the training views."""
CAMERA_SIZES = (0.01, 0.3, 0.01)
"""Smallest, largest and step of the length of frustums."""


class Panel:
    """The controls: kind of picture, resolution, and whether training cameras are drawn."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._training = TrainingCameras(session.client, session.look_from)
        gui, source = session.client.gui, session.source
        self._status = gui.add_markdown("")
        names = [f"{number}: {scene.name}" for number, scene in enumerate(source.scenes)]
        self._scene = gui.add_dropdown("Scene", names, visible=len(names) > 1)
        self._kind = gui.add_dropdown(
            "Show", kinds(session.scene), hint="Depth is red where it is near, and blue where it is far"
        )
        channels = session.scene.channels or 1
        self._channel = gui.add_slider("Channel", 0, max(1, channels - 1), 1, 0, visible=False)
        smallest, largest, step = RESOLUTIONS
        self._scale = gui.add_slider(
            "Resolution",
            smallest,
            largest,
            step,
            session.scale,
            hint="Height of the picture at rest, in heights of the training views",
        )
        self._cameras = gui.add_checkbox(
            "Training cameras", True, hint="Click on one to look from there; hidden while errors are shown"
        )
        self._length = gui.add_slider("Camera size", *CAMERA_SIZES, FRUSTUM, hint="Length of the frustums")
        self._training.show_scene(session.scene)
        self._scene.on_update(self._choose_scene)
        for control in (self._kind, self._channel, self._cameras):
            control.on_update(self._choose)
        self._scale.on_update(self._choose_scale)
        self._length.on_update(self._choose_length)
        session.client.camera.on_update(self._move)
        session.on_frame = self._write_status

    async def _move(self, camera: viser.CameraHandle) -> None:
        self._training.hide_near(camera)

    async def _choose_scene(self, _: viser.GuiEvent[Any]) -> None:
        number = int(self._scene.value.split(":")[0])
        self._session.set_scene(self._session.source.scenes[number])
        self._training.show_scene(self._session.scene)

    async def _choose(self, _: viser.GuiEvent[Any]) -> None:
        choice = Choice(self._kind.value, int(self._channel.value))
        self._channel.visible = choice.kind == "Latent channel"
        self._training.set_visible(self._cameras.value and choice.kind != "Error")
        self._session.set_choice(choice)

    async def _choose_scale(self, _: viser.GuiEvent[Any]) -> None:
        self._session.set_scale(self._scale.value)

    async def _choose_length(self, _: viser.GuiEvent[Any]) -> None:
        self._training.set_length(self._length.value)

    def _write_status(self, status: str) -> None:
        self._status.content = status
