"""Round every request: its id, the headers every answer has, what is counted, and what happens when our code fails."""

import re
import time
from collections.abc import Iterable, Mapping
from functools import partial
from random import getrandbits
from typing import Any

import structlog
from starlette.requests import ClientDisconnect
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jobs.buckets import StorageUnavailable
from jobs.database import DatabaseUnavailable
from server.answers import Fields, Reply
from server.health import Meters
from server.polls import Poll, Read
from server.replies import AWAY, GRAPHQL, RETRY_SOON, refusal

#: On every answer that does not say otherwise. An answer that is no page may do nothing in a browser.
_FIELDS = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
)
_OF_PAGES = (
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)
SLOW = 1.0  #: seconds; a request that takes longer is logged
_GIVEN_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}")
_KEY = "lora_pipeline.request_id"
_GRAPHQL = GRAPHQL.encode()

logger = structlog.get_logger(__name__)


def request_id_of(scope: Scope) -> str:
    """The id under which this request is logged; the answer's X-Request-Id."""
    request_id: str = scope[_KEY]
    return request_id


class Edge:
    """The outermost ASGI middleware. A client's own X-Request-Id is kept when it is harmless."""

    def __init__(
        self, app: ASGIApp, *, meters: Meters, read: Read | None = None, shortcuts: Iterable[Route] = ()
    ) -> None:
        """`read` is of questions to `/graphql`, by their query string.

        `shortcuts`: routes of `app` that need not be looked for, with one parameter at their end at most: to find a route
        is much of the work where an answer is known.
        """
        self._app, self._meters, self._read = app, meters, read
        self._shortcuts = {route.path.partition("{")[0]: route for route in shortcuts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        path, request_id = scope["path"], _request_id(_given_ids(scope["headers"]))
        scope[_KEY] = request_id
        began = time.perf_counter()
        status = 0

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = _completed(status, message.get("headers", ()), request_id)
            await send(message)

        # In this task, which ends with the request.
        structlog.contextvars.bind_contextvars(request_id=request_id)
        shortcut = self._shortcut(path, scope["method"])
        try:
            await (shortcut.app if shortcut else self._app)(scope, receive, sent)
        except ClientDisconnect:
            pass  # nobody is there to be answered
        except Exception as exc:
            if status:
                raise  # half an answer is out: the server cuts the connection
            await self._failure(scope, exc, request_id)(scope, receive, sent)
        finally:
            took = time.perf_counter() - began
            route = getattr(shortcut or scope.get("route"), "path", "none")
            self._meters.answered(route, scope["method"], status, took)
            if status >= 500 or took > SLOW:
                logger.warning(
                    "request", method=scope["method"], route=route, status=status, seconds=round(took, 3)
                )
        return None

    def at_once(self, target: bytes, headers: Mapping[bytes, bytes]) -> Poll | None:
        """What answers `GET target` where that takes no waiting; None: the application has to be called."""
        path, _, query_string = target.partition(b"?")
        if self._read is None or path != _GRAPHQL:
            return None
        poll = self._read(query_string, headers)
        return poll and partial(self._answered, poll, _given_ids(headers.items()))

    def _answered(self, poll: Poll, given_ids: list[bytes]) -> Reply | None:
        began = time.perf_counter()
        reply = poll()
        if reply is None:
            return None
        status = reply.status
        self._meters.answered(GRAPHQL, "GET", status, time.perf_counter() - began)
        if status == 304:
            return reply
        return Reply(status, _completed(status, reply.headers, _request_id(given_ids)), reply.body)

    def _shortcut(self, path: str, method: str) -> Route | None:
        route = self._shortcuts.get(path) or self._shortcuts.get(path[: path.rfind("/") + 1])
        return route if route and (not route.methods or method in route.methods) else None

    def _failure(self, scope: Scope, exc: Exception, request_id: str) -> Any:
        path = scope["path"]
        if isinstance(exc, DatabaseUnavailable | StorageUnavailable):
            logger.warning("unavailable", error=str(exc))
            return refusal(path, 503, "UNAVAILABLE", AWAY, RETRY_SOON)
        logger.error("internal error", exc_info=exc)
        sentence = f"Something went wrong here. If it stays, quote the request id {request_id}."
        return refusal(path, 500, "INTERNAL", sentence, requestId=request_id)


def _given_ids(headers: Iterable[tuple[bytes, bytes]]) -> list[bytes]:
    return [value for name, value in headers if name == b"x-request-id"]


def _request_id(given: list[bytes]) -> str:
    if len(given) == 1 and _GIVEN_ID.fullmatch(given[0]):
        return str(given[0], "ascii")
    return f"{getrandbits(48):012x}"


def _completed(status: int, headers: Fields, request_id: str) -> list[tuple[bytes, bytes]]:
    if status == 304:  # who gets it goes on with the headers that it has
        return list(headers)
    said = dict(headers)  # Starlette writes names in small letters
    fields = _FIELDS + _OF_PAGES if said.get(b"content-type", b"").startswith(b"text/html") else _FIELDS
    own = (b"x-request-id", request_id.encode())
    return [*headers, *(field for field in fields if field[0] not in said), own]
