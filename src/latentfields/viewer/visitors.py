"""Requests that the viewer answers: those of its own page, opened at an address that it is served on.

Any page in the same browser can send requests to this machine. Its scripts are told apart by the header Origin; and a
name of somebody else's that was made to point here (DNS rebinding), which has the right origin, by the header Host.
"""

from __future__ import annotations

import http
import inspect
import ipaddress
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import websockets.asyncio.server as web
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

_REPLACING = threading.Lock()

Answer = Callable[[ServerConnection, Request], Awaitable[Response | None] | Response | None]


def refusal(headers: Headers, *, host: str) -> str | None:
    """Say why a request to a server that listens on `host` is refused, in one line, or return None.

    The header Host has to name this machine: `host` itself or localhost, on whichever port, as tunnels change it; for
    a server on all interfaces also the machine's own name, or any address in numbers, since nobody else can make a
    browser take those for a page of theirs. Where there is a header Origin, it has to be the same host and port.
    """
    named = headers.get_all("Host")
    name = _name_of(named[0]) if len(named) == 1 else None
    if name is None:
        return "expected one header Host that names this server"
    if not _is_served(name, host):
        return f"the host {name[:100]!r} is not served here; open the address that the server printed"
    origins = headers.get_all("Origin")
    if any(_place_of(origin) != named[0].strip().lower() for origin in origins):
        return f"the origin {origins[0][:100]!r} is not this server"
    return None


@contextmanager
def only_own_pages(host: str) -> Iterator[None]:
    """Servers that are started within the block, on `host`, answer no requests but those of `refusal`'s rules.

    Raises RuntimeError when none was started: a server that asks nobody would be served to everybody.
    """
    started = False

    class Guarded(web.serve):
        def __init__(self, *args: Any, process_request: Answer | None = None, **options: Any) -> None:
            nonlocal started
            started = True

            async def answer(connection: ServerConnection, request: Request) -> Response | None:
                problem = refusal(request.headers, host=host)
                if problem is not None:
                    return connection.respond(http.HTTPStatus.FORBIDDEN, f"refused: {problem}\n")
                given = None if process_request is None else process_request(connection, request)
                return await given if inspect.isawaitable(given) else given

            super().__init__(*args, process_request=answer, **options)

    # The server's library has no hook for requests; it looks this name up when it starts.
    with _REPLACING:
        original = web.serve
        web.serve = Guarded  # type: ignore[misc]
        try:
            yield
        finally:
            web.serve = original  # type: ignore[misc]
    if not started:
        raise RuntimeError("the web server was not started by websockets.asyncio.server.serve")


def _is_served(name: str, host: str) -> bool:
    own = host.lower().strip("[]").rstrip(".")
    address = _address(name)
    if name in ("localhost", own) or (address is not None and address.is_loopback):
        return True
    if address is not None and address == _address(own):
        return True
    everywhere = _address(own)
    if own and (everywhere is None or not everywhere.is_unspecified):
        return False
    return address is not None or name in {socket.gethostname().lower(), socket.getfqdn().lower()}


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _name_of(place: str) -> str | None:
    """The name in HOST or HOST:PORT, in lower case and without the brackets of an address; None where it is neither."""
    try:
        parts = urlsplit(f"//{place.strip()}")
        name, _ = parts.hostname, parts.port
    except ValueError:
        return None
    if not name or parts.netloc != place.strip() or parts.username is not None:
        return None
    return name.rstrip(".") or None


def _place_of(origin: str) -> str | None:
    """HOST or HOST:PORT of an origin, in lower case; None where it is no web page's."""
    try:
        parts = urlsplit(origin.strip())
    except ValueError:
        return None
    return parts.netloc.lower() if parts.scheme in ("http", "https") and parts.netloc else None
