"""HTTP/1.1 to one origin that is not trusted: thousands of short calls a second, over connections that stay open.

Less than a general client: one deadline covers a whole call, redirects are not followed, nothing is unpacked, no cookie
is kept, no proxy asked, and of an answer no more is read than its cap. By aiohttp, which can do all that and much else, a
call took 201 us of processor time, by this 41 (medians of alternating rounds in one process).
"""

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from aiohappyeyeballs import start_connection
from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpResponseParser
from yarl import URL

IDLE_SECONDS = 4.0  #: below the shortest keep-alive of common servers (5 s): we hang up first, and no POST meets a dead line
MAX_HEAD = 32 * 1024  #: bytes of a status line and its headers
_ADDRESS_SECONDS = 10.0  # how long what a name led to is taken for true
_NEXT_ADDRESS_SECONDS = 0.25  # until the next address is tried beside the one before
_DIGITS = 20  # of a length that the parser takes, unless zeros stand before it
_NOT_HTTP = "it answered with something that is not HTTP"

#: As `getaddrinfo` of an event loop.
Lookup = Callable[[str, int], Awaitable[Sequence[tuple[Any, ...]]]]


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; its headers' names are in small letters. `spoilt` says why there is no body though one came."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    spoilt: str | None = None


class Silence(Exception):
    """Nothing usable came; `sent` is false when the request has certainly not left us. The reason is fit to be shown."""

    def __init__(self, reason: str, *, sent: bool = True) -> None:
        self.reason, self.sent = reason, sent
        super().__init__(reason)


class HttpClient:
    """Calls to the origin of one URL. There is no limit on connections: whoever calls has one on calls."""

    def __init__(
        self, url: URL, headers: Mapping[str, str], seconds: float, *, lookup: Lookup | None = None
    ) -> None:
        """`headers` go with every call; `seconds` bound one, half of them may go into connecting."""
        if url.raw_host is None or url.port is None:
            raise ValueError(f"{url} names no host")
        self._host, self._port, self._seconds = url.raw_host, url.port, seconds
        self._headers = _lines({"Host": url.host_port_subcomponent or "", **headers})
        self._tls = _tls() if url.scheme == "https" else None
        self._loop = asyncio.get_running_loop()
        self._lookup = lookup or self._getaddrinfo
        self._looking: asyncio.Task[None] | None = None
        self._addresses: Sequence[Any] = ()
        self._looked_up = -_ADDRESS_SECONDS
        self._idle = deque[_Connection]()  # the last used is taken first: on the left those idle longest
        self._sweep: asyncio.TimerHandle | None = None

    async def call(
        self,
        method: str,
        path: str,
        *,
        most: int,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Response:
        """One call, and as much of its answer as has at most `most` bytes. Raises `Silence`.

        A GET that met a connection which the other side had closed meanwhile is sent again; nothing else is.
        """
        request = f"{method} {path} HTTP/1.1\r\n".encode() + self._headers
        if headers:
            request += _lines(headers)
        if body is not None or method == "POST":
            request += b"Content-Length: %d\r\n" % len(body or b"")
        request += b"\r\n" + (body or b"")
        deadline = self._loop.time() + self._seconds
        while True:
            connection = self._take()
            is_new = connection is None
            if connection is None:
                connection = await self._connect(deadline)
            try:
                response = await connection.ask(request, most, deadline)
            except _ClosedBefore:
                if is_new or method != "GET":
                    raise
                continue
            except TimeoutError as exc:
                raise Silence(f"no answer within {self._seconds:g} s") from exc
            if connection.may_go_on:
                self._keep(connection)
            return response

    async def close(self) -> None:
        """Hang up. Calls that go on are for their callers to cancel."""
        if self._sweep is not None:
            self._sweep.cancel()
        if self._looking is not None:
            self._looking.cancel()
        while self._idle:
            self._idle.pop().hang_up()
        await asyncio.sleep(0)  # in which the loop lets go of them

    def _take(self) -> "_Connection | None":
        while self._idle:
            connection = self._idle.pop()
            if connection.may_go_on and self._loop.time() - connection.idle_since < IDLE_SECONDS:
                return connection
            connection.hang_up()
        return None

    def _keep(self, connection: "_Connection") -> None:
        connection.idle_since = self._loop.time()
        self._idle.append(connection)
        if self._sweep is None:
            self._sweep = self._loop.call_later(IDLE_SECONDS, self._sweep_idle)

    def _sweep_idle(self) -> None:
        now = self._loop.time()
        while self._idle and now - self._idle[0].idle_since >= IDLE_SECONDS:
            self._idle.popleft().hang_up()
        self._sweep = self._loop.call_later(IDLE_SECONDS, self._sweep_idle) if self._idle else None

    async def _connect(self, deadline: float) -> "_Connection":
        name = self._host.rstrip(".") if self._tls else None  # certificates name no root
        try:
            async with asyncio.timeout_at(min(deadline, self._loop.time() + self._seconds / 2)):
                sock = await start_connection(
                    await self._where(), happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS, loop=self._loop
                )
                _, connection = await self._loop.create_connection(
                    lambda: _Connection(self._loop), sock=sock, ssl=self._tls, server_hostname=name
                )
        except TimeoutError as exc:
            raise Silence("no connection in time", sent=False) from exc
        except (socket.gaierror, UnicodeError) as exc:
            raise Silence("its host name is unknown", sent=False) from exc
        except OSError as exc:
            refused = isinstance(exc, ConnectionRefusedError)
            raise Silence("connection refused" if refused else "no connection", sent=False) from exc
        return connection

    async def _where(self) -> Sequence[Any]:
        if self._loop.time() - self._looked_up >= _ADDRESS_SECONDS:
            if self._looking is None or self._looking.done():
                self._looking = self._loop.create_task(self._look_up())
                self._looking.add_done_callback(lambda task: task.cancelled() or task.exception())  # heard
            looking = self._looking
            await asyncio.wait([looking])  # who gives up leaves it to the next: it holds a thread to its end
            looking.result()
        return self._addresses

    async def _look_up(self) -> None:
        self._addresses = await self._lookup(self._host, self._port)
        self._looked_up = self._loop.time()

    async def _getaddrinfo(self, host: str, port: int) -> Sequence[tuple[Any, ...]]:
        return await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)


class _ClosedBefore(Silence):
    """The connection ended without a byte of an answer."""


class _Connection(asyncio.Protocol):
    """One connection, for one call at a time; what comes unasked for ends it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.may_go_on = False  #: whether another call may be made on it
        self.idle_since = 0.0  #: on the loop's clock
        self._loop = loop
        self._parser = HttpResponseParser(self)
        self._answer: asyncio.Future[Response] | None = None  # to the call that goes on
        self._most = self._received = 0
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._in_head, self._ends_by_closing = True, False

    async def ask(self, request: bytes, most: int, deadline: float) -> Response:
        """Send `request` and return what is answered until `deadline`.

        Raises `Silence` and `TimeoutError`. After these, or when cancelled, it has hung up.
        """
        self.may_go_on = False
        self._most, self._received = most, 0
        self._in_head, self._ends_by_closing = True, False
        answer: asyncio.Future[Response] = self._loop.create_future()
        self._answer = answer
        timer = self._loop.call_at(deadline, self._late)
        self._transport.write(request)
        try:
            return await answer
        except BaseException:
            self.may_go_on = False  # cancelled, it may have been answered
            raise
        finally:
            timer.cancel()
            self._answer = None
            if not self.may_go_on:
                self.hang_up()

    def hang_up(self) -> None:
        """Close it, whatever goes on."""
        self.may_go_on = False
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own is not of that class

    def data_received(self, data: bytes) -> None:
        if not self._is_awaited():
            self.hang_up()  # nothing was asked that this could be the answer to
            return
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserCallbackError:
            raise  # a fault of ours
        except (HttpParserError, HttpParserUpgrade):
            self._fail(Silence(_NOT_HTTP))
        if self._in_head and self._received > MAX_HEAD:
            self._fail(Silence(_NOT_HTTP))
        elif self._received > MAX_HEAD + 2 * self._most:  # tiny chunks, or headers behind the body
            self._spoil(self._too_long())

    def eof_received(self) -> None:
        self.may_go_on = False

    def connection_lost(self, exc: Exception | None) -> None:
        self.may_go_on = False
        if self._ends_by_closing and exc is None:
            self._settle()
        else:
            self._fail((Silence if self._received else _ClosedBefore)("the connection broke"))

    def on_message_begin(self) -> None:
        self._headers, self._body = {}, bytearray()
        self.may_go_on = False  # for if this is a second answer, the next call would take it for its own

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # what stands behind a body says nothing
        key, text = name.decode("latin-1").lower(), value.decode("latin-1").strip()
        self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:
            return  # a word in between
        self._in_head = False
        length, framing = self._headers.get("content-length"), self._headers.get("transfer-encoding")
        self._ends_by_closing = length is None and framing is None
        packed = self._headers.get("content-encoding", "identity").lower() != "identity"
        if packed or (framing or "chunked").lower() != "chunked":
            self._spoil(f"it answered {status} with a compressed body")
        elif length is not None and (len(length) > _DIGITS or int(length) > self._most):
            self._spoil(self._too_long())

    def on_body(self, body: bytes) -> None:
        self._body += body
        if len(self._body) > self._most:
            self._spoil(self._too_long())

    def on_message_complete(self) -> None:
        if self._in_head or not self._is_awaited():
            return  # a word in between, an answer nobody asked for, or one of which enough was seen
        self._settle()
        # What the other side did not read of the request would stand before the next one.
        self.may_go_on = self._parser.should_keep_alive() and not self._transport.get_write_buffer_size()

    def _is_awaited(self) -> bool:
        return self._answer is not None and not self._answer.done()

    def _settle(self, spoilt: str | None = None) -> None:
        if self._answer is not None and not self._answer.done():
            body = b"" if spoilt else bytes(self._body)
            self._answer.set_result(Response(self._parser.get_status_code(), self._headers, body, spoilt))

    def _spoil(self, why: str) -> None:
        self._settle(why)
        self._body.clear()  # the rest is never read, so the connection is of no further use

    def _fail(self, exc: Exception) -> None:
        self.may_go_on = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc)

    def _late(self) -> None:
        self._fail(TimeoutError())

    def _too_long(self) -> str:
        return f"it answered {self._parser.get_status_code()} with more than {self._most} bytes"


def _lines(headers: Mapping[str, str]) -> bytes:
    lines = [f"{name}: {value}" for name, value in headers.items()]
    if any(set(line) & set("\r\n\0") for line in lines):
        raise ValueError("a header must be one line")
    return "".join(f"{line}\r\n" for line in lines).encode()


def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
