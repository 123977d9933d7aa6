"""One browser's session, with a stand-in for the browser."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from latentfields.viewer.frames import Choice
from latentfields.viewer.gate import OpenGate
from latentfields.viewer.poses import browser_rotation
from latentfields.viewer.session import LIVE_SECONDS, Session
from latentfields.viewer.source import Source, open_source


class StandIn:
    """Server, client and event loop in one: does at once what it is told, and writes down pictures."""

    client_id = 7

    def __init__(self) -> None:
        self.connected = True
        self.pictures: list[Any] = []
        self.scene = SimpleNamespace(set_background_image=self.take)

    def get_clients(self) -> dict[int, object]:
        return {7: self} if self.connected else {}

    def get_event_loop(self) -> StandIn:
        return self

    def call_soon_threadsafe(self, action: Callable[[], None]) -> None:
        action()

    def take(self, picture: Any, **options: Any) -> None:
        self.pictures.append((picture, options))


@pytest.fixture
def source(latent_run: Path) -> Source:
    return open_source(latent_run, scene=None, cache=None, device=torch.device("cpu"))


def visit(source: Source) -> tuple[StandIn, Session, list[str]]:
    """A session whose camera has not moved for long."""
    browser = StandIn()
    said: list[str] = []
    session = Session(browser, browser, source, wake=lambda: None)  # type: ignore[arg-type]
    session.on_frame = said.append
    assert session.next(time.monotonic()) is None, "nothing is drawn before the camera is known"
    pose = source.scenes[0].cameras.camera_to_world[0]
    session.set_camera(
        SimpleNamespace(  # type: ignore[arg-type]
            wxyz=np.array(browser_rotation(pose)), position=pose[:3, 3].double().numpy(), fov=0.6, aspect=1.5
        )
    )
    return browser, session, said


def draw_all(session: Session) -> int:
    """Draw until the picture is final; returns the number of frames."""
    for count in range(20):
        frame = session.next(time.monotonic() + 60)
        if frame is None:
            return count
        session.draw(frame)
    raise AssertionError("the picture never became final")


def test_pictures_sharpen_and_then_rest(source: Source) -> None:
    browser, session, said = visit(source)
    assert draw_all(session) == len(browser.pictures) == len(said) >= 2
    heights = [picture.shape[0] for picture, _ in browser.pictures]
    assert heights == sorted(heights)
    assert browser.pictures[-1][0].shape == (32, 48, 3)
    assert browser.pictures[-1][1]["format"] == "jpeg"
    assert said[-1].startswith("48 x 32, ")
    session.set_choice(Choice("Latent channel", 2))
    assert draw_all(session) >= 1
    assert browser.pictures[-1][1]["format"] == "png"
    session.set_scale(2.0)
    draw_all(session)
    assert said[-1].startswith("96 x 64, ")


def test_nothing_is_sent_to_a_client_that_left_during_a_frame(source: Source) -> None:
    browser, session, said = visit(source)
    browser.connected = False
    draw_all(session)
    assert not browser.pictures
    assert not said


def test_a_picture_that_cannot_be_rendered_is_told(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    browser, session, said = visit(source)
    draw_all(session)
    count = len(browser.pictures)

    def fail(*arguments: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(source.scenes[0], "render", fail)
    session.set_scale(1.5)
    for _ in range(3):
        frame = session.next(time.monotonic())
        if frame is not None:
            session.draw(frame)
    assert len(browser.pictures) == count
    assert said[-1].startswith("cannot render ")
    assert said[-1].endswith(": out of memory")
    assert session.next(time.monotonic() + 60) is None, "it is not tried again and again"
    monkeypatch.undo()
    session.set_scale(1.0)
    draw_all(session)
    assert said[-1].startswith("48 x 32, ")


def test_a_scene_that_changes_is_drawn_again_after_a_while(
    latent_run: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = OpenGate()
    live = Source("live", latent_run, source.scenes, gate)
    _, session, _ = visit(live)
    draw_all(session)
    now = time.monotonic()
    assert session.next(now) is None
    monkeypatch.setattr(gate, "version", 1)
    assert session.next(now) is None
    assert session.next(now + 100 * LIVE_SECONDS) is not None
    draw_all(session)
    assert session.next(time.monotonic() + 100) is None
