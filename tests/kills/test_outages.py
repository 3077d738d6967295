"""Redis and Postgres die, forget and come back in the middle of the work: no worker ends, and nothing is lost."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jobs.database.migrate import migrate
from tests.cycle.conftest import USER
from tests.kills.site import Nursery, Site, opened
from tests.services import PostgresServer, ValkeyServer, postgres, valkey
from tests.services.scripted_cluster import RemoteCluster


@pytest.mark.parametrize("what", ["kill", "flush", "restart_empty"])
async def test_a_redis_that_dies_or_forgets_loses_no_job(
    sqlite_site: Site, valkey_server: ValkeyServer, what: str
) -> None:
    site = sqlite_site
    worker = site.worker()
    running = await site.running()
    getattr(valkey_server, what)()
    try:
        cancelled, completed = await site.running(), await site.job()  # found by the timer, if not by a ring
        await site.cluster.job(running).complete()
        await site.until_job(running, status="completed")
        await site.commands.cancel_job(USER, cancelled)
        await site.until_job(cancelled, release="confirmed")
    finally:
        if what == "kill":
            valkey_server.start()
    await site.until_job(completed, status="running")
    await site.end_well()
    assert worker.lives, site.words()


@pytest.fixture
async def durable(
    tmp_path: Path, cluster: RemoteCluster, nursery: Nursery
) -> AsyncIterator[tuple[Site, PostgresServer]]:
    """A site on a Postgres of its own that keeps what it has committed."""
    with postgres(durable=True) as server, valkey() as redis:
        url = server.fresh_database()
        await migrate(url)
        async with opened(url, tmp_path, redis.url, cluster, nursery) as site:
            yield site, server


async def test_a_postgres_that_crashes_and_drops_connections_ends_no_worker(
    durable: tuple[Site, PostgresServer],
) -> None:
    site, server = durable
    workers = [site.worker(), site.worker()]
    await site.running()
    for number in range(6):
        await site.job()
        await site.cluster.job(site.made[-2]).then("completed")
        await asyncio.sleep(0.25)
        if number % 3:
            await asyncio.to_thread(server.terminate_backends, site.url)
        else:
            await asyncio.to_thread(server.restart_immediately)
        await site.seen()
    ended = await site.end_well()
    assert {job["status"] for job in ended.jobs.values()} == {"completed"}
    assert all(worker.lives for worker in workers), site.words()


async def test_after_a_power_failure_everything_goes_on(durable: tuple[Site, PostgresServer]) -> None:
    site, server = durable
    worker = site.worker()
    cancelled = await site.running()
    await site.commands.cancel_job(USER, cancelled)
    waiting = [await site.job() for _ in range(4)]
    worker.send(signal.SIGKILL)
    await asyncio.to_thread(server.restart_immediately)
    await site.death(worker)
    site.worker()
    for job_id in waiting:
        await site.until_job(job_id, status="running")
    await site.until_job(cancelled, release="confirmed")
    await site.end_well()
