"""uvicorn's HTTP protocol with patience that ends: for headers, for bodies, and for how much of them."""

import asyncio
import secrets
from itertools import chain
from typing import Any

import msgspec
import structlog
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

HEADER_SECONDS = 10.0
BODY_SECONDS = 30.0
MAX_HEADERS = 32 * 1024  #: bytes of the request line and all headers
_UPLOADS = b"/storage/"  # a file may take its time, as long as something comes

logger = structlog.get_logger(__name__)


class PatientProtocol(HttpToolsProtocol):
    """Headers have to be complete in ten seconds and a body in thirty; what goes on longer is cut off."""

    header_seconds = HEADER_SECONDS
    body_seconds = BODY_SECONDS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._timer: asyncio.TimerHandle | None = None
        self._patience: float | None = (
            None  # seconds that what comes next has, from when `_start_timer` is called
        )
        self._is_new = False
        self._in_headers = True
        self._header_bytes = 0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait(self.header_seconds)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait(None)
        self._start_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._patience is None:  # the first bytes after a request, be they only blank lines
            self._begin_headers()
        if self._in_headers:
            self._header_bytes += len(data)
        super().data_received(data)
        self._start_timer()  # not before, for most requests come in one piece
        if self._in_headers and self._header_bytes > MAX_HEADERS:
            self._cut(431, "The request's headers are too large.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if not self._in_headers:  # it came in one piece with the request before
            self._begin_headers()

    def on_headers_complete(self) -> None:
        if len(self.url) + sum(map(len, chain.from_iterable(self.headers))) > MAX_HEADERS:
            self._cut(431, "The request's headers are too large.")
            return
        self._in_headers = False
        self._wait(self.body_seconds)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self.url.startswith(_UPLOADS) and not self.cycle.response_complete:
            self._wait(self.body_seconds)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._wait(None)
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        self._cut(400, "This is no HTTP request.")

    def _unsupported_upgrade_warning(self) -> None:
        """Whoever asks for another protocol is answered in this one; that is nothing to log twice."""

    def _begin_headers(self) -> None:
        self._in_headers, self._header_bytes = True, 0
        self._wait(self.header_seconds)

    def _wait(self, seconds: float | None) -> None:
        """Give what comes next so much time; None: it may take as long as it likes."""
        self._patience, self._is_new = seconds, True

    def _start_timer(self) -> None:
        if not self._is_new:
            return
        self._is_new = False
        if self._timer is not None:
            self._timer.cancel()
        patience = self._patience
        self._timer = None if patience is None else self.loop.call_later(patience, self._late)

    def _late(self) -> None:
        if not self._in_headers and self.flow.read_paused:  # it is us who do not read on
            self._wait(self.body_seconds)
            self._start_timer()
        else:
            self._cut(408, "The request did not arrive in time.")

    def _cut(self, status: int, sentence: str) -> None:
        """Say why, unless an answer is on its way, and hang up."""
        if self.transport.is_closing():
            return
        cycle = self.cycle
        began = self._in_headers and self._header_bytes > 0
        free = cycle is None or cycle.response_complete
        if (began and free) or not (self._in_headers or free or cycle.response_started):
            body = msgspec.json.encode({"error": sentence})
            request_id = secrets.token_hex(8)
            logger.info("cut off", status=status, request_id=request_id)
            self.transport.write(
                STATUS_LINE[status]
                + b"content-type: application/json; charset=utf-8\r\nx-content-type-options: nosniff\r\n"
                + b"x-request-id: %s\r\n" % request_id.encode()
                + b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body)
                + body
            )
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.close()
