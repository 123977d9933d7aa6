"""The web server: starts, gives every browser a session, and stops."""

from __future__ import annotations

import contextlib
import io
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import viser

from latentfields.errors import ArgumentError
from latentfields.latent_nerf.render import film_cameras
from latentfields.training.loop import Trainable
from latentfields.viewer.gate import TrainingGate
from latentfields.viewer.panel import Panel
from latentfields.viewer.path_panel import PathPanel
from latentfields.viewer.poses import orbit_target, point, vertical_fov
from latentfields.viewer.render_loop import RenderLoop
from latentfields.viewer.session import Session
from latentfields.viewer.source import Source, WatchedTrainer, training_source
from latentfields.viewer.visitors import only_own_pages


@dataclass(frozen=True)
class Address:
    """The address that the viewer can be reached at."""

    host: str
    """Name or address of the interface; 127.0.0.1 is this machine only, 0.0.0.0 are all interfaces."""
    port: int
    """Port; 0 is any free one."""


class Viewer:
    """Serves a source from its construction until `stop`, to its own pages alone (`visitors.py`)."""

    def __init__(self, source: Source, address: Address) -> None:
        """Raises InputError when the address cannot be used."""
        _check(address)
        self.source = source
        self._paths: dict[int, PathPanel] = {}
        self._loop = RenderLoop(polls=isinstance(source.gate, TrainingGate))
        with _silenced(), only_own_pages(address.host):
            self._server = viser.ViserServer(address.host, address.port, label=source.title, verbose=False)
        self._configure()
        self._loop.start()
        self._server.on_client_connect(self._connect)
        self._server.on_client_disconnect(self._disconnect)

    @property
    def url(self) -> str:
        """The URL to open in a browser."""
        host = self._server.get_host()
        shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host
        return f"http://{f'[{shown}]' if ':' in shown else shown}:{self._server.get_port()}"

    def stop(self) -> None:
        """End the frame that is being rendered, then close all connections and threads."""
        self._loop.stop()
        for path in [*self._paths.values()]:
            path.close()
            path.join()
        with _silenced():
            self._server.stop()

    def _configure(self) -> None:
        self._server.gui.configure_theme(show_logo=False, show_share_button=False, dark_mode=True)
        self._server.scene.world_axes.visible = False
        shown = self.source.scenes[0]
        cameras = shown.cameras
        first = film_cameras(cameras, frames=1, bounds=shown.bounds)
        up = cameras.mean_up.double().numpy()
        self._server.scene.set_up_direction(up)
        camera = self._server.initial_camera
        camera.position, camera.look_at, camera.up = point(first.centers[0]), (0.0, 0.0, 0.0), up
        if shown.bounds == "scene":
            camera.look_at = point(orbit_target(first.camera_to_world[0]))
        camera.fov = vertical_fov(cameras)

    async def _connect(self, client: viser.ClientHandle) -> None:
        session = Session(self._server, client, self.source, wake=self._loop.wake)
        Panel(session)
        self._paths[client.client_id] = PathPanel(session)

        async def moved(camera: viser.CameraHandle) -> None:
            session.set_camera(camera)

        client.camera.on_update(moved)
        session.set_camera(client.camera)
        self._loop.add(client.client_id, session)

    async def _disconnect(self, client: viser.ClientHandle) -> None:
        self._loop.remove(client.client_id)
        path = self._paths.pop(client.client_id, None)
        if path is not None:
            path.close()


def serve(source: Source, address: Address) -> None:
    """Print the address and serve until SIGINT (Ctrl-C) or SIGTERM arrives. Call from the main thread."""
    ended = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        ended.set()

    previous = {kind: signal.signal(kind, end) for kind in (signal.SIGINT, signal.SIGTERM)}
    try:
        viewer = Viewer(source, address)
        print(f"{viewer.url}  (Ctrl-C ends)", flush=True)
        ended.wait()
        viewer.stop()
    finally:
        for kind, handler in previous.items():
            signal.signal(kind, handler)


@contextmanager
def watched(trainer: WatchedTrainer, *, folder: Path, address: Address) -> Iterator[Trainable]:
    """The trainer as a `Trainable` that pauses for the viewer, which serves for the time of the `with` block."""
    gate = TrainingGate(trainer)
    viewer = Viewer(training_source(trainer, gate, folder), address)
    print(f"{viewer.url}  (until the training ends)", flush=True)
    try:
        yield gate
    finally:
        gate.finish()
        viewer.stop()


def _check(address: Address) -> None:
    """Raise InputError for what the server would wait for without end: addresses that nobody can listen at."""
    if not 0 <= address.port < 2**16:
        raise ArgumentError("port", f"is {address.port}; expected 0 to {2**16 - 1}")
    try:
        family = socket.getaddrinfo(address.host, None, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((address.host, 0))
    except OSError as error:
        raise ArgumentError("host", f"is '{address.host}'; cannot listen there ({error.strerror})") from None


@contextmanager
def _silenced() -> Iterator[None]:
    """The server announces itself and its end in a box; one line with the address is enough."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
