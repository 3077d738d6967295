"""What is claimed, asked about and saved at the same time, and how much of it."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import text

from jobs import cycle, writer
from jobs.database.claims import claim_due
from jobs.domain.job import Job
from tests.cycle.conftest import Build
from tests.marks import on_postgres
from tests.services.scripted_cluster import says, usual


@on_postgres  # SQLite has one writer: whoever waits for it cannot claim either
async def test_the_cluster_is_asked_while_the_database_writes_until_much_is_in_hand(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cycle, "CHUNK", 2)
    monkeypatch.setattr(cycle, "_FIRST", 2)
    monkeypatch.setattr(writer, "CHUNK", 2)
    monkeypatch.setattr(cycle, "_UNANSWERED", 2)
    monkeypatch.setattr(cycle, "_IN_HAND", 6)
    async with build(submit_limit=12, timeout=5) as house:
        dataset = await house.dataset()
        made = [await house.job(dataset=dataset) for _ in range(12)]
        await house.turn()
        for job in made:
            house.cluster.jobs[job.id].progress(current_step=1, metrics={"training_loss": 1.0})
        house.clock.advance(31)
        async with house.database.begin() as tx:
            await tx.execute(text("LOCK TABLE metrics_points IN SHARE MODE"))  # nobody can write a point now
            passing = asyncio.create_task(house.turn())
            await house.cluster.called("status", 8)
            await asyncio.sleep(0.5)
            assert len(house.cluster.calls("status")) == 8
        await passing
        polls = Counter(call.job_id for call in house.cluster.calls("status"))
        assert polls == {str(job.id): 1 for job in made}
        assert all([len(await house.points(job)) == 1 for job in made])


@on_postgres  # SQLite locks the whole file
async def test_a_chunk_that_waits_for_a_row_holds_up_no_other(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "CHUNK", 2)
    async with build(timeout=5, submit_limit=9) as house:
        made = [await house.job() for _ in range(8)]
        await house.turn()
        for job in made:
            house.cluster.jobs[job.id].progress(10.0)
            house.cluster.script(job.id, status=[usual(delay=0.3 if job is made[0] else 0.6)])
        house.clock.advance(31)
        turn = asyncio.create_task(house.turn())
        await house.cluster.called("status", len(made))
        lock = text("SELECT FROM training_jobs WHERE id = :id FOR UPDATE")
        async with house.database.begin() as tx, asyncio.timeout(10):
            await tx.execute(lock, {"id": made[0].id})
            while [(await house.look(job)).progress for job in made].count(10.0) < 7:  # noqa: ASYNC110 - rows ring no bell
                await asyncio.sleep(0.02)
        await turn
        assert [(await house.look(job)).progress for job in made] == [10.0] * 8


async def test_of_two_claims_of_one_job_the_lost_one_tells_nothing(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_MOMENT", 5)  # until the last answer has come: both are saved together
    async with build(timeout=5) as house:
        job = await house.job()
        house.cluster.script(job.id, submit=[usual(delay=0.3), says(500)])
        early = asyncio.create_task(house.cycle.run())
        await house.cluster.called("submit")
        house.clock.advance(61)  # the claim has run out, and the same worker takes the job again
        await house.turn()
        await early
        assert (await house.look(job)).started_at is None
        assert await house.told() == []
        await house.turn(seconds=61)
        assert (await house.look(job)).started_at is not None
        assert [note.type for note in await house.told()] == ["job_started"]


async def test_a_pass_begins_with_few_so_that_some_are_asked_about_while_more_are_claimed(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, size in (("_FIRST", 2), ("CHUNK", 8), ("_UNANSWERED", 8)):
        monkeypatch.setattr(cycle, name, size)
    claimed = list[int]()

    async def claim(*given: Any) -> list[Job]:
        found = await claim_due(*given)
        claimed.append(len(found))
        return found

    async with build(submit_limit=26) as house:
        for _ in range(26):
            await house.job()
        await house.turn()
        monkeypatch.setattr(cycle, "claim_due", claim)
        await house.turn(seconds=31)
    assert claimed == [2, 4, 8, 8, 4, 0]
