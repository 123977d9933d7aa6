"""Whom the viewer answers: its own page, no other site's scripts and no name that was made to point here."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import torch
import viser
from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from latentfields.viewer.server import Address, Viewer
from latentfields.viewer.source import open_source
from latentfields.viewer.visitors import only_own_pages, refusal


def headers(*pairs: tuple[str, str]) -> Headers:
    return Headers(list(pairs))


@pytest.mark.parametrize(
    ("host", "named"),
    [
        ("127.0.0.1", "127.0.0.1:8080"),
        ("127.0.0.1", "localhost:9000"),
        ("127.0.0.1", "LOCALHOST"),
        ("127.0.0.1", "[::1]:8080"),
        ("::1", "[::1]:8080"),
        ("192.168.1.5", "192.168.1.5:8080"),
        ("box.example", "Box.example:8080"),
        ("0.0.0.0", "192.168.1.5:8080"),
        ("::", "[fe80::1]:8080"),
    ],
)
def test_own_addresses_are_served(host: str, named: str) -> None:
    assert refusal(headers(("Host", named)), host=host) is None
    assert refusal(headers(("Host", named), ("Origin", f"http://{named}")), host=host) is None
    foreign = refusal(headers(("Host", named), ("Origin", "http://evil.example")), host=host)
    assert foreign == "the origin 'http://evil.example' is not this server"


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::", "192.168.1.5"])
@pytest.mark.parametrize(
    "named",
    [
        "evil.example:8080",
        "localhost.evil.example",
        "127.0.0.1.evil.example:8080",
        "evil.example:8080@127.0.0.1",
        "user@127.0.0.1:8080",
        "127.0.0.1:8080/evil",
        "127.0.0.1:eighty",
        "[::1",
        "",
    ],
)
def test_foreign_hosts_are_refused(host: str, named: str) -> None:
    origin = ("Origin", f"http://{named}")
    assert refusal(headers(("Host", named)), host=host) is not None
    # A rebound name has the same origin as its page.
    assert refusal(headers(("Host", named), origin), host=host) is not None


def test_an_address_that_is_not_listened_on_is_refused() -> None:
    assert refusal(headers(("Host", "192.168.1.5:8080")), host="127.0.0.1") is not None


@pytest.mark.parametrize(
    "origin", ["null", "http://localhost:3000", "file://", "http://127.0.0.1", "//localhost:8080"]
)
def test_foreign_origins_are_refused(origin: str) -> None:
    assert refusal(headers(("Host", "localhost:8080"), ("Origin", origin)), host="127.0.0.1") is not None


def test_a_host_has_to_be_named_once() -> None:
    own = ("Host", "127.0.0.1:8080")
    assert refusal(headers(), host="127.0.0.1") is not None
    assert refusal(headers(own, ("Host", "evil.example")), host="127.0.0.1") is not None
    origins = (("Origin", "http://127.0.0.1:8080"), ("Origin", "http://evil.example"))
    assert refusal(headers(own, *origins), host="127.0.0.1") is not None


def test_a_server_that_would_ask_nobody_is_not_started() -> None:
    with pytest.raises(RuntimeError, match="was not started by"), only_own_pages("127.0.0.1"):
        pass


@pytest.fixture(scope="module")
def place(latent_run: Path) -> Iterator[str]:
    """HOST:PORT of a viewer."""
    source = open_source(latent_run, scene=None, cache=None, device=torch.device("cpu"))
    viewer = Viewer(source, Address("127.0.0.1", 0))
    try:
        yield urlsplit(viewer.url).netloc
    finally:
        viewer.stop()


def status(place: str, **sent: str) -> int:
    connection = http.client.HTTPConnection(place, timeout=10)
    try:
        connection.request("GET", "/", headers=sent)
        return connection.getresponse().status
    finally:
        connection.close()


def test_pages(place: str) -> None:
    port = place.rsplit(":", 1)[1]
    assert status(place) == 200
    assert status(place, Host=f"localhost:{port}") == 200
    assert status(place, Host=f"evil.example:{port}") == 403
    assert status(place, Origin="http://evil.example") == 403


def test_websockets(place: str) -> None:
    protocols = [Subprotocol(f"viser-v{viser.__version__}")]
    for origin in (None, Origin(f"http://{place}")):
        with connect(f"ws://{place}", subprotocols=protocols, origin=origin) as socket:
            assert socket.recv(timeout=10)
    for refused in (
        {"origin": Origin("http://evil.example")},
        {"additional_headers": {"Host": "evil.example"}},
    ):
        with pytest.raises(InvalidStatus) as caught:
            connect(f"ws://{place}", subprotocols=protocols, **refused)
        assert caught.value.response.status_code == 403
