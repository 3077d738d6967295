"""uvicorn's HTTP protocol with patience that ends: for headers, for bodies, and for how much of them.

And with a short way for what can be answered while the request is read: no task, no scope, nothing to wait for.
"""

import asyncio
import secrets
from collections.abc import Callable
from functools import lru_cache, partial
from itertools import chain
from typing import Any, TypeVar

import msgspec
import structlog
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from server.answers import header_lines
from server.polls import Poll, Polls

HEADER_SECONDS = 10.0
BODY_SECONDS = 30.0
MAX_HEADERS = 32 * 1024  #: bytes of the request line and all headers
POLLS = "lora_pipeline.polls"  #: in the lifespan's state: `Polls`
_WITH_BODY = frozenset({b"content-length", b"transfer-encoding", b"expect"})
_UPLOADS = b"/storage/"  # a file may take its time, as long as something comes
_T = TypeVar("_T")

_lines = lru_cache(1)(header_lines)  # of the server's own headers, which are new each second

logger = structlog.get_logger(__name__)


class PatientProtocol(HttpToolsProtocol):
    """Headers have to be complete in ten seconds and a body in thirty; what goes on longer is cut off."""

    header_seconds = HEADER_SECONDS
    body_seconds = BODY_SECONDS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._polls: Polls | None = self.app_state.get(POLLS)
        self._poll: Poll | None = None  # by which the request that is being read was answered at once
        self._timer: asyncio.TimerHandle | None = None
        self._patience: float | None = (
            None  # seconds that what comes next has, from when `_start_timer` is called
        )
        self._is_new = False
        self._in_headers = True
        self._header_bytes = 0
        self._answered_at = 0.0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait(self.header_seconds)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait(None)
        self._start_timer()
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._patience is None:  # the first bytes after a request, be they only blank lines
            if self._polls and (poll := self._polls.known(data)) and self._is_answered_by(poll):
                return
            self._begin_headers()
        if self._in_headers:
            self._header_bytes += len(data)
        super().data_received(data)
        if self._poll and self._polls and self._patience is None and self._header_bytes == len(data):
            self._polls.keep(data, self._poll)  # it was one request, from its beginning to its end
        self._start_timer()  # not before, for most requests come in one piece
        if self._in_headers and self._header_bytes > MAX_HEADERS:
            self._cut(431, "The request's headers are too large.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._poll = None
        if not self._in_headers:  # it came in one piece with the request before
            self._begin_headers()
            self._header_bytes = 1  # at least

    def on_headers_complete(self) -> None:
        if len(self.url) + sum(map(len, chain.from_iterable(self.headers))) > MAX_HEADERS:
            self._cut(431, "The request's headers are too large.")
            return
        self._in_headers = False
        poll = self._read_poll()
        if poll and self._is_answered_by(poll):
            self._poll = poll
        else:
            self._wait(self.body_seconds)
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self.url.startswith(_UPLOADS) and not self.cycle.response_complete:
            self._wait(self.body_seconds)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._wait(None)
        if self._poll is None:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """As uvicorn's, but that the timer of an idle connection is not set anew after each answer."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._answered_at = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._look_later(self.timeout_keep_alive)

    def timeout_keep_alive_handler(self) -> None:
        """Close what has been idle for long enough; else look again when it may have been."""
        is_idle = self._patience is None and (self.cycle is None or self.cycle.response_complete)
        has_been = self.loop.time() - self._answered_at if is_idle else 0.0
        left = self.timeout_keep_alive - has_been
        if left > 0:
            self._look_later(left)
        else:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        self._cut(400, "This is no HTTP request.")

    def _unset_keepalive_if_required(self) -> None:
        """It goes on, and looks what has become of the connection when its time has come."""

    def _unsupported_upgrade_warning(self) -> None:
        """Whoever asks for another protocol is answered in this one; that is nothing to log twice."""

    def _read_poll(self) -> Poll | None:
        """What answers this request at once, where nothing of it is still to come.

        And where no header comes twice: what that means is the application's matter.
        """
        parser = self.parser
        if (
            self._polls is None
            or parser.get_method() != b"GET"
            or parser.get_http_version() != "1.1"
            or not parser.should_keep_alive()
            or parser.should_upgrade()
        ):
            return None
        fields = dict(self.headers)
        if len(fields) < len(self.headers) or not _WITH_BODY.isdisjoint(fields):
            return None
        return _tried(partial(self._polls.read, self.url, fields))

    def _is_answered_by(self, poll: Poll) -> bool:
        """Only where it is this request's turn, and the client reads its answers."""
        cycle = self.cycle
        if (
            (cycle is not None and not cycle.response_complete)
            or self.flow.write_paused
            or self.transport.is_closing()
        ):
            return False
        reply = _tried(poll)
        if reply is None:
            return False
        ours = _lines(tuple(self.server_state.default_headers))
        self.transport.write(b"".join((STATUS_LINE[reply.status], ours, reply.lines, b"\r\n", reply.body)))
        self.on_response_complete()
        return True

    def _look_later(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

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


def _tried(what: Callable[[], _T]) -> _T | None:
    """What our code gives; raised on, its faults would be taken for the request's by the parser."""
    try:
        return what()
    except Exception:
        logger.exception("not answered at once")
        return None
