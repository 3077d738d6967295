"""Clients that send too slowly, too much or no HTTP at all are cut off, and nobody else notices."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from jobs.buckets import DATASETS, open_buckets
from server.http_protocol import MAX_HEADERS, PatientProtocol
from tests.server.web import Site, settings_of, site, token

HEADER_SECONDS, BODY_SECONDS = 0.4, 0.6
QUESTION = b'{"query":"{ viewer { id } }"}'


class Impatient(PatientProtocol):
    """As served, with less time."""

    header_seconds, body_seconds = HEADER_SECONDS, BODY_SECONDS


@pytest.fixture(scope="module")
async def api(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    settings = settings_of(tmp_path_factory.mktemp("api"))
    async with site(settings, template=sqlite_template, protocol=Impatient) as served:
        yield served


def post(length: int = len(QUESTION), **more: str) -> bytes:
    """The headers of a question."""
    headers = {
        "Host": "x",
        "Authorization": f"Bearer {token()}",
        "Content-Type": "application/json",
        "Content-Length": str(length),
        **more,
    }
    return b"POST /graphql HTTP/1.1\r\n" + _lines(headers) + b"\r\n"


def _lines(headers: dict[str, str]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()


async def drip(api: Site, start: bytes, piece: bytes, *, every: float) -> tuple[float, bytes]:
    """Send `start`, then `piece` again and again, until the server hangs up: after how long, and what it said."""
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    began = time.monotonic()
    writer.write(start)
    reading = asyncio.create_task(reader.read())
    try:
        async with asyncio.timeout(10):
            while not reading.done():
                writer.write(piece)
                await asyncio.wait({reading}, timeout=every)
        return time.monotonic() - began, reading.result()
    except ConnectionError:
        return time.monotonic() - began, b""
    finally:
        writer.close()


@pytest.mark.parametrize("start", [b"", b"G", b"POST /graphql HTTP/1.1\r\nHost: x\r\nX-Slow: "])
async def test_headers_that_do_not_end_are_cut_off(api: Site, start: bytes) -> None:
    began = time.monotonic()
    said = await api.raw(start)
    assert HEADER_SECONDS * 0.9 < time.monotonic() - began < HEADER_SECONDS + 3
    assert said == b"" if start == b"" else said.startswith(b"HTTP/1.1 408 ")


async def test_headers_that_drip_have_no_more_time(api: Site) -> None:
    took, said = await drip(api, b"GET /healthz HTTP/1.1\r\nX-Slow: ", b"x", every=0.05)
    assert HEADER_SECONDS * 0.9 < took < HEADER_SECONDS + 3
    assert said.startswith(b"HTTP/1.1 408 ") or said == b""


async def test_a_body_that_does_not_come_is_cut_off(api: Site) -> None:
    said = await api.raw(post() + QUESTION[:10])
    assert said.startswith(b"HTTP/1.1 408 ")
    assert said.endswith(b'{"error":"The request did not arrive in time."}')


async def test_a_body_that_drips_has_no_more_time(api: Site) -> None:
    took, said = await drip(api, post(100_000), b" ", every=0.05)
    assert BODY_SECONDS * 0.9 < took < BODY_SECONDS + 3
    assert said.startswith(b"HTTP/1.1 408 ") or said == b""


async def test_a_body_that_nobody_wants_does_not_hold_the_connection(api: Site) -> None:
    start = b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
    took, said = await drip(api, start, b" ", every=0.05)
    assert BODY_SECONDS * 0.9 < took < BODY_SECONDS + 3
    assert said.count(b"HTTP/1.1") <= 1  # one answer, and no second one into the midst of it


async def test_an_upload_may_take_its_time_as_long_as_something_comes(api: Site) -> None:
    size = 40
    path = "ada/00000000-0000-0000-0000-000000000000.upload"
    buckets = open_buckets(
        api.settings.storage_url, api.settings.public_url, api.settings.secret_key, environ={}
    )
    url = buckets.put_url(DATASETS, path, issued_at=datetime.now(UTC), size_bytes=size)
    address = url.removeprefix(api.settings.public_url).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(
        b"PUT " + address + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 40\r\n\r\n"
    )
    began = time.monotonic()
    for _ in range(size // 4):
        writer.write(b"abcd")
        await asyncio.sleep(BODY_SECONDS / 4)
    async with asyncio.timeout(5):
        said = await reader.read()
    writer.close()
    assert time.monotonic() - began > 2 * BODY_SECONDS
    assert said.startswith(b"HTTP/1.1 200 ")

    stuck = b"PUT " + address + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 40\r\n\r\nabc"
    assert (await api.raw(stuck)).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("in_one_piece", [True, False])
@pytest.mark.parametrize("where", ["address", "header", "many headers"])
async def test_headers_that_are_too_large_are_refused(api: Site, where: str, in_one_piece: bool) -> None:
    filler = "x" * (MAX_HEADERS + 1)
    request = {
        "address": f"GET /{filler} HTTP/1.1\r\nHost: x\r\n\r\n",
        "header": f"GET / HTTP/1.1\r\nHost: x\r\nX-Large: {filler}\r\n\r\n",
        "many headers": "GET / HTTP/1.1\r\nHost: x\r\n" + "a: b\r\n" * (MAX_HEADERS // 2) + "\r\n",
    }[where].encode()
    if in_one_piece:
        assert (await api.raw(request)).startswith(b"HTTP/1.1 431 ")
        return
    _, said = await drip(api, request[:1000], request[1000:5000], every=0.005)
    assert said.startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 400 ")) or said == b""


@pytest.mark.parametrize(
    "noise",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"nonsense\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\0" * 100,
        b"POST /graphql HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /graphql HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /graphql HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /graphql HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_what_is_no_http_is_refused_in_json(api: Site, noise: bytes) -> None:
    said = await api.raw(noise)
    assert said.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: application/json; charset=utf-8\r\n" in said
    assert said.endswith(b'{"error":"This is no HTTP request."}') or b'"UNAUTHENTICATED"' in said


async def test_a_connection_is_used_again_and_again(api: Site) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    for _ in range(3):
        writer.write(post() + QUESTION)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        assert head.startswith(b"HTTP/1.1 200 ")
        assert b'"ada"' in await reader.readexactly(length)
        await asyncio.sleep(HEADER_SECONDS * 1.5)  # idle between two requests is no slow request
    writer.write(post() + QUESTION + post(Connection="close") + QUESTION)  # two in one piece
    async with asyncio.timeout(5):
        assert (await reader.read()).count(b'"ada"') == 2
    writer.close()


async def test_two_hundred_idle_connections_keep_nobody_out(api: Site) -> None:
    idle = [await asyncio.open_connection("127.0.0.1", api.port) for _ in range(200)]
    assert (await api.ask("{ viewer { id } }"))["data"] == {"viewer": {"id": "ada"}}
    async with asyncio.timeout(HEADER_SECONDS + 5):
        await asyncio.gather(*(reader.read() for reader, _ in idle))  # all are hung up on
    for _, writer in idle:
        writer.close()


async def test_a_client_that_goes_away_in_mid_body_leaves_nothing(api: Site) -> None:
    for _ in range(20):
        _, writer = await asyncio.open_connection("127.0.0.1", api.port)
        writer.write(post(50_000) + b" " * 1000)
        await writer.drain()
        writer.transport.abort()
    assert (await api.ask("{ viewer { id } }"))["data"] == {"viewer": {"id": "ada"}}
