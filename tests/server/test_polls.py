"""A request whose bytes are known is answered as if it had been read: whatever comes before, behind or between."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from server.__main__ import server_config
from server.answers import Reply
from server.http_protocol import POLLS, PatientProtocol
from server.polls import Poll, Polls

QUICK = b"GET /quick HTTP/1.1\r\nHost: x\r\nIf-None-Match: 1\r\n\r\n"
OTHER = QUICK.replace(b"Match: 1", b"Match: 2")
LENGTH = b"Content-Length: %d\r\n\r\n" % len(QUICK)
REQUESTS: dict[str, bytes] = {
    "quick": QUICK,
    "another": OTHER,
    "by the long way": b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n",
    "one whose body is to come": b"POST /slow HTTP/1.1\r\nHost: x\r\n" + LENGTH,
    "a question whose body is to come": QUICK.removesuffix(b"\r\n") + LENGTH,
    "a body in parts": b"POST /slow HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "the last": QUICK.removesuffix(b"\r\n") + b"Connection: close\r\n\r\n",
    "an old one": QUICK.replace(b"/1.1", b"/1.0"),
    "an upgrade": QUICK.removesuffix(b"\r\n") + b"Connection: upgrade\r\nUpgrade: h2c\r\n\r\n",
    "one of two tags": QUICK.removesuffix(b"\r\n") + b"If-None-Match: 2\r\n\r\n",
    "half of one": QUICK[:30],
    "nonsense": b"\0",
    "blank lines": b"\r\n\r\n",
    "nothing": b"",
}
CHANGED, PAUSED, RESUMED, TURNS = "changed", "paused", "resumed", "turns"


class Wire(asyncio.Transport):
    """The server's end of a connection, which keeps what is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.said = b""
        self.closed = False

    def write(self, data: Any) -> None:
        if not self.closed:
            self.said += data

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        """What was sent before comes all the same."""

    def resume_reading(self) -> None:
        """It was never paused."""


@dataclass
class Server:
    """One that answers /quick at once, as long as it is not told that this takes waiting."""

    most_bytes: int = 1_000_000
    changes: int = 0
    reads: int = 0
    polls: Polls = field(init=False)
    protocol: PatientProtocol = field(init=False)
    wire: Wire = field(init=False)

    def __post_init__(self) -> None:
        self.polls = Polls(self._read, most_bytes=self.most_bytes)
        self.config = server_config(_by_the_long_way)
        self.connect()

    def connect(self) -> None:
        """A new connection."""
        loop = asyncio.get_running_loop()
        self.wire = Wire()
        self.protocol = PatientProtocol(self.config, ServerState(), {POLLS: self.polls}, _loop=loop)
        self.protocol.connection_made(self.wire)

    def tell(self, event: bytes | str) -> None:
        """Bytes that arrive, or something else that happens."""
        if isinstance(event, str):
            self.changes += event == CHANGED
            if event == PAUSED:
                self.protocol.pause_writing()
            elif event == RESUMED:
                self.protocol.resume_writing()
        elif not self.wire.closed:
            self.protocol.data_received(event)

    def _read(self, target: bytes, headers: Mapping[bytes, bytes]) -> Poll | None:
        self.reads += 1
        return partial(self._answer, dict(headers)) if target == b"/quick" else None

    def _answer(self, headers: dict[bytes, bytes]) -> Reply | None:
        if self.changes % 3 == 2:
            return None
        return Reply.of(304, {"ETag": headers[b"if-none-match"].decode(), "Changes": str(self.changes)})


async def _by_the_long_way(scope: Scope, receive: Receive, send: Send) -> None:
    size = 0
    while (message := await receive())["type"] == "http.request":
        size += len(message["body"])
        if not message["more_body"]:
            break
    reply = Reply.of(200, {}, f"{scope['method']} {scope['path']} {scope['headers']} {size}".encode())
    await reply(scope, receive, send)


async def turns() -> None:
    for _ in range(8):
        await asyncio.sleep(0)


async def answered(events: Sequence[bytes | str], *, after: Sequence[bytes] = ()) -> Server:
    """What a server that remembers has done, which is what one does that remembers nothing."""
    servers = Server(), Server(most_bytes=0)
    for event in (*after, *events):
        for server in servers:
            server.tell(event)
        if event == TURNS:
            await turns()
    await turns()
    remembers, reads = servers
    assert _comparable(remembers.wire.said) == _comparable(reads.wire.said)
    assert remembers.wire.closed == reads.wire.closed
    for server in servers:
        server.protocol.connection_lost(None)
    return remembers


def _comparable(said: bytes) -> bytes:
    return re.sub(rb"(?<=x-request-id: )\w+", b"", said)


def cut(stream: bytes, at: Sequence[int]) -> list[bytes]:
    places = [0, *sorted(place % (len(stream) + 1) for place in at), len(stream)]
    return [stream[begin:end] for begin, end in pairwise(places)]


@st.composite
def events(draw: st.DrawFn) -> list[bytes | str]:
    """Requests as they come: whole, in pieces, several in one piece, with something happening in between."""
    found: list[bytes | str] = [QUICK]
    often: st.SearchStrategy[bytes | str] = st.sampled_from([QUICK, QUICK, OTHER])
    seldom: st.SearchStrategy[bytes | str] = st.sampled_from([*REQUESTS.values(), CHANGED, PAUSED, RESUMED])
    for _ in range(draw(st.integers(1, 12))):
        what = draw(st.one_of(often, often, seldom))
        last = found[-1]
        if isinstance(what, str):
            found.append(what)
            continue
        if isinstance(last, bytes) and draw(st.integers(0, 3)) == 0:
            found[-1] = last + what
        elif draw(st.integers(0, 3)) == 0:
            found += cut(what, draw(st.lists(st.integers(0, 200), max_size=3)))
        else:
            found.append(what)
        if draw(st.booleans()):
            found.append(TURNS)
    return found


@settings(max_examples=400)
@given(events())
@example([QUICK, REQUESTS["one whose body is to come"], QUICK, TURNS, QUICK])
@example([QUICK, REQUESTS["a question whose body is to come"], QUICK, TURNS, QUICK])
@example([QUICK, QUICK + QUICK, QUICK + QUICK, QUICK])
@example([QUICK, REQUESTS["by the long way"], QUICK, TURNS, QUICK])
@example([QUICK, REQUESTS["the last"], QUICK, TURNS, QUICK])
@example([QUICK, PAUSED, QUICK, RESUMED, QUICK, CHANGED, QUICK, CHANGED, QUICK, TURNS, QUICK])
async def test_whatever_comes_is_answered_as_if_it_had_been_read(events: list[bytes | str]) -> None:
    await answered(events)


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
async def test_it_may_be_cut_anywhere(request_: bytes) -> None:
    for place in range(len(request_) + 1):
        await answered([*cut(request_, [place]), QUICK, *cut(request_ + QUICK, [place])], after=[QUICK])
        await answered([*cut(QUICK + request_, [place]), TURNS, QUICK], after=[QUICK])


async def test_what_is_known_is_not_read_again_on_whichever_connection() -> None:
    server = Server()
    for _ in range(3):
        for _ in range(2):
            server.tell(QUICK)
        assert re.findall(rb"HTTP/1.1 (\d+)", server.wire.said) == [b"304"] * 2
        server.connect()
    assert server.reads == 3  # the first bytes of a connection are always read


async def test_who_does_not_read_is_answered_no_further() -> None:
    server = Server()
    for event in (QUICK, PAUSED, QUICK):
        server.tell(event)
    await turns()
    assert server.wire.said.count(b"HTTP/1.1 ") == 1
    server.tell(RESUMED)
    await turns()
    assert server.wire.said.count(b"HTTP/1.1 ") == 2


async def test_what_is_not_one_request_is_not_remembered() -> None:
    for pieces in (
        [QUICK + QUICK],
        cut(QUICK, [9]),
        [b"\r\n", QUICK],
        [QUICK + QUICK[:9], QUICK[9:]],
        [QUICK + REQUESTS["by the long way"]],
        [REQUESTS["by the long way"]],
        [REQUESTS["one whose body is to come"], QUICK],
        [QUICK + b"\0"],
    ):
        server = await answered(pieces)
        assert server.polls.bytes == 0, pieces


async def test_what_may_have_changed_is_looked_at_each_time() -> None:
    server = await answered([QUICK, QUICK, CHANGED, QUICK, CHANGED, QUICK, TURNS, CHANGED, QUICK])
    said = re.findall(rb"HTTP/1\.1 (\d+)[^/]*?(?:changes: (\d))?\r\n\r\n", server.wire.said)
    assert said == [(b"304", b"0"), (b"304", b"0"), (b"304", b"1"), (b"200", b""), (b"304", b"3")]


def test_the_earliest_is_forgotten_when_there_are_too_many() -> None:
    polls = Polls(lambda *_: None, most_bytes=10_000)
    requests = [b"%d" % number * 1_000 for number in range(5)]
    for request in (*requests, requests[-1]):
        polls.keep(request, lambda: None)
    assert [polls.known(request) is not None for request in requests] == [False, False, True, True, True]
    assert 0 < polls.bytes <= 10_000


def test_what_is_long_is_not_remembered() -> None:
    polls = Polls(lambda *_: None)
    polls.keep(QUICK * 1_000, lambda: None)
    assert polls.known(QUICK * 1_000) is None
    assert polls.bytes == 0
