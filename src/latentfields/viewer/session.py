"""One browser: where its camera is, what it wants to see, and the pictures that it gets."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

import torch
import viser

from latentfields.cameras import Cameras
from latentfields.viewer.frames import Choice, Frame, ViewedScene, draw
from latentfields.viewer.poses import (
    BrowserCamera,
    browser_rotation,
    orbit_target,
    point,
    vertical_fov,
)
from latentfields.viewer.resolution import FrameSize, NextFrame, Sharpening, frame_size
from latentfields.viewer.source import Source

LIVE_SECONDS = 1.0
"""A scene in training is drawn anew at most this often while the camera rests."""
LIVE_SHARE = 0.2
"""And at most so rarely that drawing it takes this share of the time."""
_QUALITY_MOVING, _QUALITY_REST = 75, 92


class Session:
    """A `Canvas`. Everything but `draw` runs on the server's event loop, where clients also come and go: what is sent
    from there cannot be sent to a client that has just left."""

    def __init__(
        self,
        server: viser.ViserServer,
        client: viser.ClientHandle,
        source: Source,
        *,
        wake: Callable[[], None],
    ) -> None:
        """`wake` is called when the next frame is due earlier than it was."""
        self._server, self.client, self.source, self._wake = server, client, source, wake
        self.scene: ViewedScene = source.scenes[0]
        self.choice = Choice()
        self.scale = 1.0
        """Height of a picture at rest over that of the training views."""
        self.on_frame: Callable[[str], None] = lambda status: None
        """Called with a line about every picture that was sent."""
        self._camera: BrowserCamera | None = None
        self._sharpening = Sharpening()
        self._version, self._drawn_at, self._seconds = -1, 0.0, 0.0

    def set_camera(self, camera: viser.CameraHandle) -> None:
        """The browser's camera has moved, or its window has another shape."""
        w, x, y, z = camera.wxyz.tolist()
        self._camera = BrowserCamera(
            (w, x, y, z), point(torch.from_numpy(camera.position)), camera.fov, camera.aspect
        )
        self._sharpening.moved(time.monotonic())
        self._wake()

    def set_scene(self, scene: ViewedScene) -> None:
        """Show another scene."""
        self.scene = scene
        self._redraw()

    def set_choice(self, choice: Choice) -> None:
        """Show something else of the scene."""
        self.choice = choice
        self._redraw()

    def set_scale(self, scale: float) -> None:
        """Change the resolution at rest."""
        self.scale = scale
        self._redraw()

    def _redraw(self) -> None:
        self._sharpening.changed()
        self._wake()

    @property
    def camera(self) -> BrowserCamera | None:
        """The browser's camera; None before it has told."""
        return self._camera

    def look_from(self, view: Cameras) -> None:
        """Give the browser's camera the pose and field of view of one camera; it then turns about what lies nearest
        to the scene's centre on its axis."""
        camera, pose = self.client.camera, view.camera_to_world[0]
        with self.client.atomic():
            camera.up_direction = self.scene.cameras.mean_up.double().numpy()
            camera.wxyz = browser_rotation(pose)
            camera.position = point(pose[:3, 3])
            camera.look_at = point(orbit_target(pose))
            camera.fov = vertical_fov(view)

    def next(self, now: float) -> NextFrame | None:
        """As `Canvas.next`."""
        camera = self._camera
        if camera is None:
            return None
        pause = max(LIVE_SECONDS, self._seconds / LIVE_SHARE)
        if self.source.gate.version != self._version and now - self._drawn_at >= pause:
            self._sharpening.changed()
        return self._sharpening.next(now, full=self.scale * self.scene.cameras.height, aspect=camera.aspect)

    def draw(self, frame: NextFrame) -> None:
        """As `Canvas.draw`."""
        self._sharpening.started()
        camera, scene, choice = self._camera, self.scene, self.choice
        assert camera is not None
        size = frame_size(frame.height, aspect=camera.aspect, factor=scene.factor)
        with self.source.gate.rendering():
            start = time.monotonic()
            self._version = self.source.gate.version
            try:
                picture = draw(scene, camera.camera(size), choice, aspect=camera.aspect)
            except RuntimeError as error:  # Such as too little memory for this size: keep the last picture.
                problem = f"cannot render {size.width} x {size.height}: {error}"
                self._sharpening.gave_up()
                self.tell(lambda: self.on_frame(problem))
                return
        self._drawn_at = time.monotonic()
        self._seconds = seconds = self._drawn_at - start
        self._sharpening.drew(frame, size=size, seconds=seconds)
        final = self._sharpening.next(
            self._drawn_at, full=self.scale * scene.cameras.height, aspect=camera.aspect
        )
        self.tell(lambda: self._show(picture, size, seconds, final=final is None))

    def tell(self, action: Callable[[], None]) -> None:
        """Do something on the event loop, unless the client has left or the server has stopped. From any thread."""
        connected = self._server.get_clients

        def act() -> None:
            if self.client.client_id in connected():
                action()

        with suppress(RuntimeError):  # The loop is closed.
            self._server.get_event_loop().call_soon_threadsafe(act)

    def _show(self, picture: Frame, size: FrameSize, seconds: float, *, final: bool) -> None:
        self.client.scene.set_background_image(
            picture.pixels,
            format="png" if picture.cells else "jpeg",
            jpeg_quality=_QUALITY_REST if final else _QUALITY_MOVING,
            depth=picture.depth,
        )
        parts = [
            f"{size.width} x {size.height}",
            f"{1000 * seconds:.0f} ms",
            picture.note,
            self.source.gate.status,
        ]
        self.on_frame(", ".join(part for part in parts if part))
