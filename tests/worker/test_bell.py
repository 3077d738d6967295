"""The bell rings through a real Redis, never stands in a request's way, and survives every outage."""

import asyncio
import json
import time
from collections.abc import AsyncIterator

import pytest
import redis
from structlog.testing import capture_logs

from jobs.bell import Bell, from_json
from tests.services import ValkeyServer, valkey
from tests.worker.passes import until

QUEUE = "arq:queue"


@pytest.fixture
async def bell(valkey_server: ValkeyServer) -> AsyncIterator[Bell]:
    """A bell at an empty Redis."""
    valkey_server.flush()
    bell = Bell(valkey_server.url)
    try:
        yield bell
    finally:
        await bell.close()


def rings(server: ValkeyServer) -> int:
    """How many rings lie there."""
    with redis.Redis.from_url(server.url) as client:
        return int(client.zcard(QUEUE))


def ring_without_waiting(bell: Bell) -> None:
    """Ring in one step of the coroutine: it comes to its end without giving way to anything."""
    with pytest.raises(StopIteration):
        bell.ring().send(None)


async def test_a_ring_lies_in_redis_as_json(bell: Bell, valkey_server: ValkeyServer) -> None:
    await bell.ring()
    await until(lambda: rings(valkey_server) == 1)
    with redis.Redis.from_url(valkey_server.url) as client:
        (job_id,) = client.zrange(QUEUE, 0, -1)
        job = json.loads(client.get(b"arq:job:" + job_id))
    assert (job["f"], job["a"], job["k"]) == ("run_cycle", [], {})


async def test_a_ring_is_due_also_by_a_clock_that_is_hours_behind(
    bell: Bell, valkey_server: ValkeyServer
) -> None:
    await bell.ring()
    await until(lambda: rings(valkey_server) == 1)
    with redis.Redis.from_url(valkey_server.url) as client:
        [(_, due)] = client.zrange(QUEUE, 0, -1, withscores=True)
    assert due < (time.time() - 2 * 3600) * 1000


async def test_rings_that_are_not_yet_sent_are_one(bell: Bell, valkey_server: ValkeyServer) -> None:
    for _ in range(50):
        await bell.ring()
    await bell.close()
    assert rings(valkey_server) == 1


async def test_a_ring_after_one_that_was_sent_is_another(bell: Bell, valkey_server: ValkeyServer) -> None:
    await bell.ring()
    await until(lambda: rings(valkey_server) == 1)
    await bell.ring()
    await until(lambda: rings(valkey_server) == 2)


async def test_rings_that_nobody_hears_do_not_fill_redis(bell: Bell, valkey_server: ValkeyServer) -> None:
    with redis.Redis.from_url(valkey_server.url) as client:
        client.zadd(QUEUE, {f"unheard-{n}": n for n in range(100)})
    await bell.ring()
    await bell.close()
    assert rings(valkey_server) == 100


async def test_a_bell_rings_through_a_unix_socket() -> None:
    with valkey(unix_socket=True) as server:
        bell = Bell(server.url)
        await bell.ring()
        await until(lambda: rings(server) == 1)
        await bell.close()


async def test_an_outage_is_said_once_and_rings_are_heard_after_it() -> None:
    with valkey() as server, capture_logs() as events:
        bell = Bell(server.url)
        await bell.ring()
        await until(lambda: rings(server) == 1)
        server.kill()
        for _ in range(3):
            ring_without_waiting(bell)
            await asyncio.sleep(0.3)
        await until(lambda: events)
        server.start()
        await bell.ring()
        await until(lambda: rings(server) == 1)
        await until(lambda: len(events) == 2)
        await bell.close()
    assert [event["log_level"] for event in events] == ["warning", "info"]


async def test_a_redis_that_never_answers_keeps_nobody_waiting() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with capture_logs() as events:
        bell = Bell(f"redis://127.0.0.1:{port}/0")
        ring_without_waiting(bell)
        await until(lambda: events)
        await bell.ring()
        await bell.close()
    assert len(events) == 1
    server.close()
    await server.wait_closed()


async def test_a_closed_bell_is_silent(bell: Bell, valkey_server: ValkeyServer) -> None:
    await bell.close()
    await bell.ring()
    await asyncio.sleep(0.05)
    assert rings(valkey_server) == 0


def test_a_bell_needs_a_redis() -> None:
    with pytest.raises(ValueError, match="redis://"):
        Bell("http://127.0.0.1/")


@pytest.mark.parametrize("text", [b"\x80\x04}", b"[]", b"1", b"\xff", b""])
def test_what_is_no_json_object_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"not a JSON object|Expecting value|can't decode"):
        from_json(text)
