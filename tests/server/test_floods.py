"""Bombs, floods and large bodies against a real process: each is refused at once, and an innocent beside them served."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Self

import httpx
import pytest

from tests.server.test_limits import BEYOND, bomb
from tests.services.api import Api, api

VIEWER = {"query": "{ viewer { id } }"}
MIB = 1024**2
BOMBS = {what: text for what, (text, _) in BEYOND.items()} | {
    f"{levels} doubling fragments on {on}": bomb(levels, on, root, end)
    for levels in (22, 40, 85)
    for on, root, end in (
        ("Job", "{ job(id: 1) { ...f0 } }", "id"),
        ("__Type", "{ __schema { types { ...f0 } } }", "name"),
        ("Job", "{ viewer { id } }", "dataset { id }"),
    )
}
ROUNDS = 3
AT_ONCE = 64
BODY = 2 * MIB


@pytest.fixture(scope="module")
def running(sqlite_template: Path) -> Iterator[Api]:
    with api(sqlite_template) as started:
        yield started


@pytest.fixture
async def http(running: Api) -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=2 * AT_ONCE)
    async with httpx.AsyncClient(base_url=running.url, timeout=30, limits=limits) as client:
        yield client


class Innocent:
    """Asks something small again and again; `seconds` are what each answer took."""

    def __init__(self, running: Api, http: httpx.AsyncClient) -> None:
        self._running, self._http = running, http
        self.seconds: list[float] = []

    async def __aenter__(self) -> Self:
        self._asking = asyncio.create_task(self._ask())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._asking.cancel()
        await asyncio.wait({self._asking})
        assert self._asking.cancelled(), self._asking.exception()
        assert self.seconds

    async def _ask(self) -> None:
        while True:
            began = time.perf_counter()
            answer = await self._http.post(
                "/graphql", json=VIEWER, headers=self._running.signed_in("innocent")
            )
            self.seconds.append(time.perf_counter() - began)
            assert answer.json() == {"data": {"viewer": {"id": "innocent"}}}
            await asyncio.sleep(0.005)

    @property
    def median(self) -> float:
        """Seconds; the tail is this process's own, which makes the flood."""
        return sorted(self.seconds)[len(self.seconds) // 2]

    def __str__(self) -> str:
        return f"median {self.median * 1000:.1f} ms, worst {max(self.seconds) * 1000:.1f} ms"


async def test_every_bomb_is_refused_in_no_time_and_an_innocent_does_not_notice(
    running: Api, http: httpx.AsyncClient
) -> None:
    took: dict[str, float] = {}
    async with Innocent(running, http) as innocent:
        for _ in range(ROUNDS):
            for what, text in BOMBS.items():
                began = time.perf_counter()
                answer = await http.post("/graphql", json={"query": text}, headers=running.signed_in())
                seconds = time.perf_counter() - began
                took[what] = min(seconds, took.get(what, seconds))
                assert answer.json().keys() == {"errors"}
                assert answer.json()["errors"][0]["extensions"]["code"]
                assert len(answer.content) < 2_000
    worst = max(took, key=lambda what: took[what])
    print(f"\nworst of {len(took)} bombs: {worst}, {took[worst] * 1000:.1f} ms; innocent: {innocent}")
    assert took[worst] < 1
    assert innocent.median < 2


async def body(size: int) -> AsyncIterator[bytes]:
    """Spaces, in pieces and without a length."""
    for _ in range(size // 65_536):
        yield b" " * 65_536


async def test_a_flood_of_large_bodies_takes_no_memory(running: Api, http: httpx.AsyncClient) -> None:
    async def flood(user: str) -> str:
        headers = running.signed_in(user) | {"Content-Type": "application/json"}
        try:
            answer = await http.post("/graphql", content=body(BODY), headers=headers)
        except (httpx.WriteError, httpx.ReadError, httpx.RemoteProtocolError):
            return "cut off"
        return str(answer.status_code)

    await http.post("/graphql", json=VIEWER, headers=running.signed_in())
    before = running.memory()
    async with Innocent(running, http) as innocent:
        outcomes = [
            outcome
            for _ in range(ROUNDS)
            for outcome in await asyncio.gather(*(flood(f"user-{number % 8}") for number in range(AT_ONCE)))
        ]
    peak, after = running.memory("VmHWM"), running.memory()
    sizes = f"{before / MIB:.0f} MiB before, {peak / MIB:.0f} at most, {after / MIB:.0f} after"
    print(f"\n{len(outcomes)} bodies of {BODY // MIB} MiB: {sizes}; innocent: {innocent}")
    assert set(outcomes) <= {"413", "cut off"}
    assert peak - before < 40 * MIB
    assert after - before < 20 * MIB
    assert innocent.median < 2
