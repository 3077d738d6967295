"""What is remembered is answered while the request is read: as the long way would, in its turn, counted like the rest."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from jobs.domain.job import Job
from jobs.domain.metrics import Point
from server.graphql_http import GraphQLEndpoint
from server.http_protocol import PatientProtocol
from server.middleware import Edge
from server.polls import Poll, Polls
from server.quotas import Quota
from server.replies import GRAPHQL
from tests.server.house import NINE, House
from tests.server.polls import WHOLE, counted, get, question
from tests.server.web import MODERN, Site, settings_of, site, token

IDLE_SECONDS = 1.0


class Hasty(PatientProtocol):
    """As served, but that idle connections are closed sooner."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.timeout_keep_alive = IDLE_SECONDS  # type: ignore[assignment]  # any number will do


HEADERS: list[tuple[dict[str, str], bool]] = [  #: and whether it can be answered at once
    ({}, True),
    ({"Accept": MODERN}, False),  # nobody has asked for this type before
    ({"Accept": MODERN}, True),
    ({"Accept": "text/html"}, False),
    ({"Accept": "text/html, application/json;q=0.5"}, False),
    ({"Accept": "image/png"}, False),
    ({"Accept-Encoding": "gzip"}, True),
    ({"If-None-Match": "*"}, True),
    ({"If-None-Match": '"of something else"'}, True),
    ({"If-None-Match": "the tag"}, True),
    ({"If-None-Match": "W/the tag"}, True),
    ({"X-Request-Id": "a-good-request-id"}, True),
    ({"X-Request-Id": "bad!"}, True),
    ({"Authorization": "Bearer nonsense"}, False),
    ({"Authorization": "Basic YWRhOmFkYQ=="}, False),
    ({"Authorization": "bearer the token"}, True),
    ({"Authorization": "Bearer of Bob"}, False),  # a token that was not seen before
    ({"Authorization": "Bearer of Bob"}, False),  # and then nothing that is remembered for him
    ({"Authorization": "Bearer of yesterday"}, False),
]


@pytest.fixture
async def watched(house: House, served: Site) -> Job:
    """A running job whose answer is remembered."""
    job = await house.running()
    await house.points(job, [Point(step=step, timestamp=NINE, training_loss=0.5) for step in range(100)])
    await remembered(served, job)
    return job


@pytest.fixture
async def the_long_way(served: Site) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the same application, with no server between."""
    transport = httpx.ASGITransport(served.app)
    async with httpx.AsyncClient(transport=transport, base_url=served.url) as client:
        yield client


async def remembered(there: Site, job: Job) -> None:
    """Ask until the answer is remembered."""
    async with asyncio.timeout(20):
        before = (await counted(there)).get("remembered", 0)
        while (await counted(there)).get("remembered", 0) == before:
            await get(there, job)


def target(job: Job) -> bytes:
    """Where the question about a job is asked by GET."""
    return (
        b"/graphql?"
        + urlencode({"query": WHOLE, "variables": json.dumps(question(job)["variables"])}).encode()
    )


def lines(request: bytes, *headers: str) -> bytes:
    """The head of a request of Ada's."""
    return b"\r\n".join([request, b"Host: x", *(header.encode() for header in (*headers, ada())), b"", b""])


def ada() -> str:
    return f"Authorization: Bearer {token()}"


async def poll_of(there: Site, job: Job) -> Poll:
    """One that is answered now."""
    edge = there.app.middleware_stack
    assert isinstance(edge, Edge)
    poll = edge.at_once(target(job), {b"authorization": f"Bearer {token()}".encode()})
    assert poll is not None
    async with asyncio.timeout(20):
        while poll() is None:  # the token too has to be remembered
            await get(there, job)
    return poll


async def test_it_needs_no_call_of_the_application(served: Site, watched: Job) -> None:
    reply = (await poll_of(served, watched))()
    assert reply is not None
    assert reply.status == 200
    assert json.loads(reply.body)["data"]["job"]["id"] == str(watched.id)


async def test_it_ends_with_the_token(served: Site, watched: Job) -> None:
    poll = await poll_of(served, watched)
    (endpoint,) = (
        route.app for route in served.app.routes if isinstance(route, Route) and route.path == GRAPHQL
    )
    assert isinstance(endpoint, GraphQLEndpoint)
    endpoint._authenticator._clock = lambda: time.time() + 3600
    assert poll() is None


async def test_it_is_what_the_long_way_says(
    served: Site, watched: Job, the_long_way: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = hits = 0
    whole, recall = Edge.__call__, Polls.known

    async def noted(edge: Edge, scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal calls
        calls += 1
        await whole(edge, scope, receive, send)

    def hit(polls: Polls, request: bytes) -> Poll | None:
        nonlocal hits
        poll = recall(polls, request)
        hits += poll is not None
        return poll

    monkeypatch.setattr(Edge, "__call__", noted)
    monkeypatch.setattr(Polls, "known", hit)
    url, own = target(watched).decode(), token()
    first = await served.http.get(url, headers={"Authorization": f"Bearer {own}"})
    known = {
        "the tag": first.headers["ETag"],
        "W/the tag": f"W/{first.headers['ETag']}",
        "bearer the token": f"bearer {own}",
        "Bearer of Bob": f"Bearer {token('bob')}",
        "Bearer of yesterday": f"Bearer {token(now=datetime.now(UTC) - timedelta(days=1))}",
    }
    for headers, is_at_once in HEADERS:
        sent = {"Accept": "*/*", "Accept-Encoding": "identity", "Authorization": f"Bearer {own}"} | {
            name: known.get(value, value) for name, value in headers.items()
        }
        shorts: list[httpx.Response] = []
        async with asyncio.timeout(20):
            while len(shorts) < 1 + is_at_once:  # the second is known by its bytes
                before, hits = calls, 0
                short = await served.http.get(url, headers=sent)
                if calls == before or not is_at_once:  # a busy machine trusts its memory a little later
                    shorts.append(short)
        assert (calls == before, hits > 0) == (is_at_once, is_at_once), headers
        long = await the_long_way.get(url, headers=sent)
        for short in shorts:
            assert (short.status_code, short.content) == (long.status_code, long.content), headers
            assert _comparable(short, headers) == _comparable(long, headers), headers
        if is_at_once and long.status_code == 200 and "X-Request-Id" not in headers:
            assert len({answer.headers["X-Request-Id"] for answer in (*shorts, long)}) == 3


def _comparable(answer: httpx.Response, sent: dict[str, str]) -> dict[str, str]:
    """Its headers, without what differs from answer to answer."""
    always_new = {"date"} if sent.get("X-Request-Id") == "a-good-request-id" else {"date", "x-request-id"}
    return {
        name: "" if name in always_new else value for name, value in answer.headers.items() if name != "date"
    }


async def test_two_tokens_are_none(served: Site, watched: Job) -> None:
    said = await served.raw(lines(b"GET " + target(watched) + b" HTTP/1.1", ada(), "Connection: close"))
    assert said.startswith(b"HTTP/1.1 401 ")


async def test_what_has_changed_is_not_answered_so(house: House, served: Site, watched: Job) -> None:
    await house.ended(watched)
    async with asyncio.timeout(20):
        while (await get(served, watched)).json()["data"]["job"]["status"] == "RUNNING":
            pass


async def test_requests_that_come_in_one_piece_are_answered_in_their_order(
    served: Site, watched: Job
) -> None:
    quick = lines(b"GET " + target(watched) + b" HTTP/1.1")
    slow = lines(b"GET /graphql?query=%7Bviewer%7Bid%7D%7D HTTP/1.1")
    last = lines(b"GET /nothing HTTP/1.1", "Connection: close")
    said = await served.raw(quick + slow + quick + quick + slow + last)
    answers = re.findall(rb"HTTP/1\.1 (\d+)", said)
    assert answers == [b"200"] * 5 + [b"404"]
    kinds = [b'"viewer"' in each for each in said.split(b"HTTP/1.1 ")[1:]]
    assert kinds == [False, True, False, False, True, False]


async def test_unusual_requests_are_answered_too(served: Site, watched: Job) -> None:
    closing = "Connection: close"
    for method, version, headers in (
        ("GET", "1.0", []),
        ("GET", "1.1", [closing]),
        ("GET", "1.1", [closing, "Content-Length: 3"]),
        ("GET", "1.1", ["Connection: close, upgrade", "Upgrade: websocket"]),
        ("HEAD", "1.1", [closing]),
    ):
        head = lines(f"{method} ".encode() + target(watched) + f" HTTP/{version}".encode(), *headers)
        said = await served.raw(head + b"abc" * ("Content-Length: 3" in headers))
        assert said.count(b"HTTP/1.1 ") == 1
        assert said.startswith(b"HTTP/1.1 405 " if method == "HEAD" else b"HTTP/1.1 200 "), headers


async def test_what_is_no_request_is_told_also_behind_one_in_the_same_piece(
    served: Site, watched: Job
) -> None:
    both = lines(b"GET " + target(watched) + b" HTTP/1.1") + b"nonsense\r\n\r\n"
    async with asyncio.timeout(20):
        while not (said := await served.raw(both)).startswith(b"HTTP/1.1 200 "):
            pass  # a busy machine trusts its memory a little later
    assert re.findall(rb"HTTP/1\.1 (\d+)", said) == [b"200", b"400"]


async def test_a_fault_of_the_short_way_is_not_taken_for_the_requests(
    served: Site, watched: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def broken(_: Quota, who: str) -> bool:
        asked.append(who)
        raise RuntimeError

    monkeypatch.setattr(Quota, "passes", broken)
    async with asyncio.timeout(20):
        while not asked:
            assert (await get(served, watched)).status_code == 200


async def test_each_is_counted_once_where_processes_count_together(
    house: House, tmp_path: Path, database_url: str
) -> None:
    job, asked = await house.running(), 0
    settings = settings_of(tmp_path, DATABASE_URL=database_url, RATE_LIMIT_STORE="redis")
    async with site(settings) as there, asyncio.timeout(20):
        while "remembered" not in (counts := await counted(there)):
            await get(there, job)
            asked += 1
    assert sum(counts.values()) == asked


async def test_they_are_counted(house: House, tmp_path: Path, database_url: str) -> None:
    job = await house.running()
    settings = settings_of(tmp_path, DATABASE_URL=database_url, RATE_LIMIT_PER_MINUTE="4")
    async with site(settings) as there:
        first = await get(there, job)
        known = {"If-None-Match": first.headers["ETag"]}
        found = [(await get(there, job, **known)).status_code for _ in range(4)]
        assert found == [304, 304, 304, 429]  # the next is allowed after fifteen seconds
        counts = (await there.http.get("/metrics")).text
        assert f'requests_total{{method="GET",route="/graphql",status="304"}} {found.count(304)}.0' in counts


async def test_a_connection_is_closed_when_nothing_is_asked_any_more(
    house: House, tmp_path: Path, database_url: str
) -> None:
    job = await house.running()
    async with site(settings_of(tmp_path, DATABASE_URL=database_url), protocol=Hasty) as there:
        await remembered(there, job)
        reader, writer = await asyncio.open_connection("127.0.0.1", there.port)
        for _ in range(4):  # together longer than an idle connection has
            writer.write(lines(b"GET " + target(job) + b" HTTP/1.1", "If-None-Match: *"))
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 304 ")
            await asyncio.sleep(IDLE_SECONDS * 0.4)
        async with asyncio.timeout(10):
            assert await reader.read() == b""
        writer.close()
