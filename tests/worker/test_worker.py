"""The worker's process with a real Redis that is flushed, killed and late, and how it ends."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator

import pytest

from jobs.bell import Bell
from tests.services import ValkeyServer, valkey
from tests.worker.passes import until
from tests.worker.process import worker


@contextlib.asynccontextmanager
async def ringing(url: str) -> AsyncIterator[Bell]:
    """A bell for as long as the block lasts."""
    bell = Bell(url)
    try:
        yield bell
    finally:
        await bell.close()


async def test_a_ring_is_a_pass_long_before_the_next_tick(valkey_server: ValkeyServer) -> None:
    valkey_server.flush()
    with worker(valkey_server.url) as process:
        await process.until("ended", 1)
        async with ringing(valkey_server.url) as bell:
            for count in (2, 3):
                await bell.ring()
                await process.until("ended", count)


async def test_a_flushed_redis_harms_nothing(valkey_server: ValkeyServer) -> None:
    valkey_server.flush()
    with worker(valkey_server.url, PASS_LASTS="0.3") as process:
        await process.until("ended", 1)
        async with ringing(valkey_server.url) as bell:
            await bell.ring()
            await process.until("begun", 2)
            valkey_server.flush()  # under a pass that a ring waits for
            await process.until("ended", 2)
            await bell.ring()
            await process.until("ended", 3)


async def test_the_timer_goes_on_while_redis_is_dead() -> None:
    with valkey() as server, worker(server.url, every=0.3) as process:
        await process.until("ended", 1)
        server.kill()
        await process.until("ended", process.words.count("ended") + 5)


async def test_rings_are_heard_again_when_redis_is_back_and_empty() -> None:
    with valkey() as server, worker(server.url) as process:
        await process.until("ended", 1)
        server.kill()
        await until(lambda: "redis is away" in process.log)
        await asyncio.sleep(1)
        server.start()
        async with ringing(server.url) as bell:
            await bell.ring()
            await process.until("ended", 2)
        assert (process.log.count("redis is away"), process.log.count("redis is back")) == (1, 1)


async def test_a_worker_that_is_there_before_redis_works_and_hears_it_later() -> None:
    with valkey() as server:
        server.kill()
        with worker(server.url) as process:
            await process.until("ended", 1)
            server.start()
            async with ringing(server.url) as bell:
                await bell.ring()
                await process.until("ended", 2)


async def test_passes_that_raise_end_nothing(valkey_server: ValkeyServer) -> None:
    with worker(valkey_server.url, every=0.2, PASS_RAISES="boom") as process:
        await process.until("ended", 4)
        assert '"exception": "Traceback' in process.log


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_a_worker_told_to_end_lets_its_pass_end_first(
    valkey_server: ValkeyServer, signum: signal.Signals
) -> None:
    with worker(valkey_server.url, every=0.2, PASS_LASTS="1") as process:
        await process.until("begun", 1)
        process.popen.send_signal(signum)
        assert await process.exit_code() == 0, process.log
        assert process.words == ["begun", "ended", "closed"]


async def test_a_worker_that_is_resting_ends_when_told() -> None:
    with valkey() as server, worker(server.url) as process:
        await process.until("ended", 1)
        server.kill()
        process.popen.send_signal(signal.SIGTERM)
        assert await process.exit_code() == 0, process.log
        assert process.words == ["begun", "ended", "closed"]


async def test_a_pass_that_does_not_end_is_cut_short_within_ten_seconds(valkey_server: ValkeyServer) -> None:
    with worker(valkey_server.url, PASS_LASTS="600") as process:
        await process.until("begun", 1)
        process.popen.send_signal(signal.SIGTERM)
        assert await process.exit_code() == 0, process.log
        assert process.words == ["begun", "cut short", "closed"]


async def test_a_second_signal_cuts_the_pass_short(valkey_server: ValkeyServer) -> None:
    with worker(valkey_server.url, PASS_LASTS="600") as process:
        await process.until("begun", 1)
        process.popen.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.5)
        process.popen.send_signal(signal.SIGTERM)
        assert await process.exit_code() == 0, process.log
        assert process.words == ["begun", "cut short", "closed"]


async def test_a_worker_that_must_not_start_says_why(valkey_server: ValkeyServer) -> None:
    with worker(valkey_server.url, MUST_NOT_START="Run python -m jobs migrate.") as process:
        assert await process.exit_code() == 1
        assert process.log == "worker: Run python -m jobs migrate.\n"
