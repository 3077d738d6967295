"""Several workers on one database share the work: each job once."""

import asyncio
from collections import Counter

import pytest

from jobs.database.only_worker import AnotherWorker, only_worker
from jobs.domain.lifecycle import JobStatus
from tests.cycle.conftest import Build
from tests.services.scripted_cluster import usual


async def test_three_workers_share_fifty_jobs(build: Build) -> None:
    async with build(timeout=5) as house:
        dataset = await house.dataset()
        made = [await house.job(dataset=dataset) for _ in range(50)]
        workers = [house.cycle, await house.worker(), await house.worker()]
        for _ in range(6):
            await asyncio.gather(*(house.turn(cycle=worker) for worker in workers))
        assert {(await house.look(job)).status for job in made} == {JobStatus.RUNNING}
        assert set(Counter(call.job_id for call in house.cluster.calls("submit")).values()) == {1}
        for job in made:
            house.cluster.jobs[job.id].progress(10.0)
        house.clock.advance(31)
        await asyncio.gather(*(house.turn(cycle=worker) for worker in workers))
        polls = Counter(call.job_id for call in house.cluster.calls("status"))
        assert polls == {str(job.id): 1 for job in made}


async def test_a_worker_that_lost_its_claim_writes_nothing(build: Build) -> None:
    async with build(timeout=5) as house:
        job = await house.running()
        house.cluster.jobs[job.id].then(
            {"status": "running", "progress": 20}, {"status": "running", "progress": 80}
        )
        house.cluster.script(job.id, status=[usual(delay=0.5)])
        house.clock.advance(31)
        paused = asyncio.create_task(house.turn())
        await house.cluster.called("status", job_id=job.id)
        another = await house.worker()
        await house.turn(seconds=61, cycle=another)  # the claim of the first has run out
        after = await house.look(job)
        await paused
        assert await house.look(job) == after
        assert len(house.cluster.calls("submit")) == 1


async def test_a_second_worker_on_sqlite_is_refused_with_a_sentence(database_url: str) -> None:
    with only_worker(database_url):
        if database_url.startswith("sqlite"):
            with (
                pytest.raises(AnotherWorker, match="SQLite takes one; for more, use Postgres"),
                only_worker(database_url),
            ):
                pass
        else:
            with only_worker(database_url):
                pass
