"""The viewer in a real browser: headless Chromium with software WebGL, and the server as a user starts it."""

from __future__ import annotations

import io
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from latentfields.camera_path import load_path
from latentfields.latent_nerf.render import orbit
from latentfields.viewer.frames import Choice, Kind, draw
from latentfields.viewer.poses import BrowserCamera, browser_rotation, point, vertical_fov
from latentfields.viewer.resolution import frame_size
from latentfields.viewer.source import open_source

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium or Chrome on the search path"),
]

WIDTH, HEIGHT = 960, 600
PATIENCE = 60_000
"""Milliseconds that anything in the browser may take on a busy machine."""
PICTURE = slice(170, 600), slice(0, 600)
"""Rows and columns of the window that neither the panel nor a notification covers."""
QUIET = re.compile(
    r"THREE\.Clock: This module has been deprecated|software|swiftshader|GPU stall", re.IGNORECASE
)
"""What the browser's own libraries warn of."""


@dataclass(frozen=True)
class Server:
    process: subprocess.Popen[str]
    url: str


@pytest.fixture(scope="module")
def server(latent_run: Path) -> Iterator[Server]:
    with serving(latent_run) as server:
        yield server


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    command = [sys.executable, "-m", "latentfields", "view", str(folder), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    try:
        yield Server(process, line.split()[0])
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    arguments = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield chromium
        chromium.close()


@dataclass(frozen=True)
class Tab:
    """A page of the viewer, and what its console said."""

    page: Page
    problems: list[str]

    def status(self, pattern: str) -> None:
        """Wait until the line about the picture matches."""
        self.page.get_by_text(re.compile(pattern)).first.wait_for()

    def choose(self, kind: Kind) -> None:
        self.pick("Show", kind)

    def pick(self, name: str, option: str) -> None:
        self.page.get_by_role("combobox", name=name).click()
        self.page.get_by_role("option", name=option, exact=True).click()

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click()

    def enter(self, name: str, value: str) -> None:
        """Type into the number field of a slider or a number."""
        row = self.page.locator("label", has_text=re.compile(f"^{name}$")).locator("xpath=ancestor::div[2]")
        row.locator("input[type=text]").fill(value)
        row.locator("input[type=text]").press("Enter")

    def drag(self) -> None:
        self.page.mouse.move(300, 300)
        self.page.mouse.down()
        self.page.mouse.move(420, 340, steps=4)
        self.page.mouse.up()

    def seen(self) -> NDArray[np.float64]:
        """The free part of the window, in [0, 1]."""
        shot = np.asarray(Image.open(io.BytesIO(self.page.screenshot())).convert("RGB"))
        return shot[PICTURE] / 255

    def shows(self, expected: NDArray[np.float64], *, within: float) -> None:
        """Wait until the window shows a picture, up to a mean absolute difference."""
        self._wait(lambda: mean_difference(self.seen(), expected), lambda value: value < within)

    def leaves(self, picture: NDArray[np.float64], *, by: float) -> None:
        """Wait until the window shows something else than a picture."""
        self._wait(lambda: mean_difference(self.seen(), picture), lambda value: value > by)

    def draws_over(self, picture: NDArray[np.float64], *, something: bool) -> None:
        """Wait until there is something over a picture, such as lines, or nothing. The same frame again may differ by
        a level here and there.
        """
        self._wait(lambda: clear_differences(self.seen(), picture), lambda value: (value > 0) == something)

    def settles(self) -> None:
        """Wait until the window stays as it is.

        Finer frames follow the first one, and after a drag the camera runs on: the longer, the slower the machine.
        """
        last = self.seen()
        for _ in range(40):
            self.page.wait_for_timeout(1000)
            now = self.seen()
            if np.abs(now - last).max() < 0.02:
                return
            last = now
        raise AssertionError("the picture goes on changing")

    def _wait(self, measure: Callable[[], float], done: Callable[[float], bool]) -> None:
        for _ in range(160):
            value = measure()
            if done(value):
                return
            self.page.wait_for_timeout(250)
        raise AssertionError(f"the picture differs by {value:.5f}")


def mean_difference(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Mean absolute difference of two pictures."""
    return float(np.abs(first - second).mean())


def clear_differences(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Share of the pixels of two pictures that differ by more than a tenth of the range."""
    return float((np.abs(first - second).max(axis=-1) > 0.1).mean())


def open_tab(browser: Browser, server: Server) -> Tab:
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
    page.set_default_timeout(PATIENCE)
    tab = Tab(page, [])
    page.on("pageerror", lambda error: tab.problems.append(str(error)))
    page.on(
        "console",
        lambda message: (
            tab.problems.append(message.text)
            if message.type in ("error", "warning") and not QUIET.search(message.text)
            else None
        ),
    )
    page.goto(server.url)
    tab.status(r"\d+ x 32, \d+ ms")
    return tab


def expected(run: Path, choice: Choice, *, height: int = 32, number: int = 0) -> NDArray[np.float64]:
    """What the first picture should be, of scene `number`, computed without the viewer's server."""
    scenes = open_source(run, scene=None, cache=None, device=torch.device("cpu")).scenes
    scene = scenes[number]
    pose = orbit(scenes[0].cameras, frames=1).camera_to_world[0]
    aspect = WIDTH / HEIGHT
    seen = BrowserCamera(browser_rotation(pose), point(pose[:3, 3]), vertical_fov(scenes[0].cameras), aspect)
    size = frame_size(height, aspect=aspect, factor=scene.factor)
    pixels = draw(scene, seen.camera(size), choice, aspect=aspect).pixels
    return (
        np.asarray(Image.fromarray(pixels).resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR))[PICTURE] / 255
    )


def test_one_visit(browser: Browser, server: Server, latent_run: Path) -> None:
    tab = open_tab(browser, server)
    cameras = tab.page.get_by_role("checkbox", name="Training cameras")
    cameras.uncheck()
    image = expected(latent_run, Choice())
    assert image.std() > 0.1, "the test needs something to see"
    tab.shows(image, within=0.015)
    tab.settles()
    without_cameras = tab.seen()
    cameras.check()
    tab.draws_over(without_cameras, something=True)
    cameras.uncheck()
    tab.draws_over(without_cameras, something=False)
    tab.shows(without_cameras, within=0.001)

    assert not tab.page.get_by_text("Channel", exact=True).is_visible()
    kinds: tuple[Kind, ...] = ("Latent components", "Depth", "Error", "Latent channel")
    for kind in kinds:
        tab.choose(kind)
        tab.shows(expected(latent_run, Choice(kind)), within=0.04)
        if kind == "Error":
            tab.status(r"train/r_\d+.png: \d+\.\d\d dB")
    tab.enter("Channel", "1")
    tab.shows(expected(latent_run, Choice("Latent channel", 1)), within=0.04)
    tab.choose("RGB")
    tab.shows(image, within=0.015)

    tab.enter("Resolution", "2")
    tab.status(r"\d+ x 64, \d+ ms")
    tab.shows(expected(latent_run, Choice(), height=64), within=0.015)
    tab.enter("Resolution", "1")
    check_camera_path(tab, image, latent_run / "paths")
    assert tab.problems == []
    tab.page.close()


def check_camera_path(tab: Tab, image: NDArray[np.float64], folder: Path) -> None:
    tab.press("Save")
    tab.page.get_by_text("field 'keyframes' is empty").wait_for()
    tab.press("Add")
    tab.page.wait_for_timeout(1000)
    tab.drag()
    tab.leaves(image, by=0.03)
    tab.settles()
    tab.press("Add")
    tab.enter("Preview", "1")
    tab.page.wait_for_timeout(1000)
    tab.settles()
    tab.enter("Preview", "0")
    tab.shows(image, within=0.025)
    tab.enter("Seconds", "0.5")
    tab.page.wait_for_timeout(500)
    tab.press("Save")
    tab.page.get_by_text("camera-path.json").first.wait_for()
    path = load_path(folder / "camera-path.json")
    assert (len(path.keyframes), path.frames, path.fps) == (2, 12, 24)
    assert path.keyframes[0] != path.keyframes[1]
    tab.press("Render to MP4")
    tab.page.get_by_text("camera-path.mp4").first.wait_for()
    with av.open(str(folder / "camera-path.mp4")) as film:
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    assert len(frames) == 12
    assert np.abs(frames[0].astype(float) - frames[-1]).mean() > 2
    check_film(tab, folder / "camera-path.mp4")
    tab.press("Clear")
    tab.press("Load")
    tab.press("Undo")
    tab.press("Save")
    for _ in range(100):
        if len(load_path(folder / "camera-path.json").keyframes) == 1:
            return
        tab.page.wait_for_timeout(100)
    raise AssertionError("the path in the file still has two keyframes")


def check_film(tab: Tab, film: Path) -> None:
    """The browser plays the film: twelve frames of half a second, with even sides."""
    assert tab.page.context.browser is not None
    player = tab.page.context.browser.new_page()
    player.goto(film.resolve().as_uri())
    player.wait_for_function("document.querySelector('video')?.readyState >= 2")
    seconds, width, height = player.evaluate(
        "(({duration, videoWidth, videoHeight}) => [duration, videoWidth, videoHeight])"
        "(document.querySelector('video'))"
    )
    assert seconds == pytest.approx(0.5, abs=0.05)
    assert (width, height) == (32, 32)
    player.close()


def test_two_visitors_and_one_who_leaves(browser: Browser, server: Server, latent_run: Path) -> None:
    first, second = open_tab(browser, server), open_tab(browser, server)
    for tab in (first, second):
        tab.page.get_by_role("checkbox", name="Training cameras").uncheck()
    second.choose("Depth")
    second.shows(expected(latent_run, Choice("Depth")), within=0.04)
    first.shows(expected(latent_run, Choice()), within=0.015)
    # Leaves while its frames are being rendered.
    second.enter("Resolution", "4")
    second.drag()
    second.page.close()
    first.choose("Depth")
    first.shows(expected(latent_run, Choice("Depth")), within=0.04)
    assert first.problems == second.problems == []
    first.page.close()


def test_a_scene_is_chosen_among_those_of_a_training(browser: Browser, igae_run: Path) -> None:
    with serving(igae_run) as server:
        tab = open_tab(browser, server)
        tab.page.get_by_role("checkbox", name="Training cameras").uncheck()
        first, second = (expected(igae_run, Choice(), number=number) for number in range(2))
        assert np.abs(first - second).mean() > 0.03, "the scenes differ"
        tab.shows(first, within=0.015)
        tab.pick("Scene", "1: vase-1")
        tab.shows(second, within=0.015)
        assert tab.problems == []
        tab.page.close()


def test_ctrl_c_ends_quietly(server: Server) -> None:
    server.process.send_signal(signal.SIGINT)
    out, err = server.process.communicate(timeout=60)
    assert server.process.returncode == 0
    assert out == ""
    assert err == ""
