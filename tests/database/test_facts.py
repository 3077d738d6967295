"""A cancel takes the claim away; what was learnt of the cluster is a fact, claim or no claim; every change is counted."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from jobs.database import Database, costs, jobs, notifications
from jobs.database.claims import Claim, claim_queued
from jobs.domain import moves
from jobs.domain.job import Job
from jobs.domain.lifecycle import FINAL, JobStatus, Release
from jobs.domain.notices import NoticeType
from jobs.domain.sighting import Accepted, NoReport, NotNow, Report, Stopped, Unclear
from tests.database.acts import COMPLETED, NOW, callback, cancel, claim, save
from tests.database.rows import counts, look, put_one, sql
from tests.domain.factories import HOUR, PACING, after

# Cancelled


@pytest.mark.parametrize("status", [JobStatus.QUEUED, JobStatus.INITIALIZING, JobStatus.RUNNING])
async def test_a_cancel_is_whole_at_once(database: Database, status: JobStatus) -> None:
    job = await put_one(database, status)
    await cancel(database, job)
    stored = await look(database, job)
    sent = status is not JobStatus.QUEUED
    assert (stored.status, stored.completed_at, stored.claim_token) == (JobStatus.CANCELLED, NOW, None)
    assert (stored.release, stored.next_action_at) == (
        (Release.NEEDED, NOW) if sent else (Release.NONE, None)
    )
    async with database.read() as tx:
        records = (await costs.records(tx, [job.id])).get(job.id, [])
        [notice] = await notifications.page(tx, "ada", limit=9)
    charged = status is JobStatus.RUNNING
    assert [record.amount for record in records] == ([Decimal("0.13")] if charged else [])
    assert stored.final_cost == (Decimal("0.13") if charged else Decimal("0.00"))
    assert notice.type is NoticeType.JOB_CANCELLED


async def test_a_cancel_takes_the_claim_away(database: Database) -> None:
    claimed = await claim(database, await put_one(database, JobStatus.RUNNING))
    await cancel(database, claimed)
    before, rows = await look(database, claimed), await counts(database)
    assert not await save(database, claimed, moves.fold(claimed, COMPLETED, NOW, PACING))
    assert await look(database, claimed) == before
    assert await counts(database) == rows


async def test_only_an_active_job_of_ones_own_can_be_held_for_a_cancel(database: Database) -> None:
    active = await put_one(database, JobStatus.RUNNING)
    ended = [await put_one(database, status) for status in FINAL]
    async with database.begin() as tx:
        assert await jobs.lock_active(tx, active.id, "ada") == active
        assert await jobs.lock_active(tx, active.id, "bob") is None
        assert [await jobs.lock_active(tx, job.id, "ada") for job in ended] == [None] * 3
        assert await jobs.lock_active(tx, uuid4(), "ada") is None


@pytest.mark.parametrize("cancels_first", [True, False])
async def test_of_a_cancel_and_an_end_at_once_one_wins(database: Database, *, cancels_first: bool) -> None:
    for _ in range(5):
        claimed = await claim(database, await put_one(database, JobStatus.RUNNING))
        move = moves.fold(claimed, COMPLETED, NOW, PACING)

        async def stop(job: Job = claimed) -> bool:
            async with database.begin() as tx:
                active = await jobs.lock_active(tx, job.id, "ada")
                if active is not None:
                    await jobs.cancel(tx, moves.cancel(active, NOW))
                return active is not None

        both = [stop(), save(database, claimed, move)]
        done = await asyncio.gather(*(both if cancels_first else reversed(both)))
        assert sorted(done) == [False, True]
        async with database.read() as tx:
            assert len((await costs.records(tx, [claimed.id]))[claimed.id]) == 1
    assert (await counts(database, ["notifications"])) == {"notifications": 5}


async def test_a_release_that_is_confirmed_may_raise_the_cost(database: Database) -> None:
    running = await put_one(database, JobStatus.RUNNING)
    await cancel(database, running)
    claimed = await claim(database, running)
    move = moves.fold(claimed, Stopped(), NOW + HOUR, PACING)
    assert await save(database, claimed, move)
    stored = await look(database, running)
    assert (stored.release, stored.final_cost) == (Release.CONFIRMED, Decimal("5.13"))
    async with database.read() as tx:
        lines = (await costs.records(tx, [running.id]))[running.id]
    assert [line.cost_type for line in lines] == ["release_overrun", "training_compute"]  # newest first
    assert sum(line.amount for line in lines) == stored.final_cost


# Facts


async def test_what_the_cluster_calls_a_cancelled_job_is_stored_and_looked_at_now(database: Database) -> None:
    job = await put_one(
        database,
        JobStatus.CANCELLED,
        external_job_id=None,
        accepted_at=None,
        started_at=None,
        release=Release.NEEDED,
    )
    async with database.begin() as tx:
        assert await jobs.store_external_id(tx, job.id, "run-9", NOW)
    stored = await look(database, job)
    assert (stored.external_job_id, stored.accepted_at, stored.next_action_at) == ("run-9", NOW, NOW)
    assert (stored.status, stored.release) == (JobStatus.CANCELLED, Release.NEEDED)
    assert stored.revision == job.revision + 1


async def test_an_active_jobs_claim_is_left_alone_by_a_fact(database: Database) -> None:
    claimed = await claim(database, await put_one(database, JobStatus.INITIALIZING))
    async with database.begin() as tx:
        assert await jobs.store_external_id(tx, claimed.id, "run-9", NOW)
    stored = await look(database, claimed)
    assert (stored.external_job_id, stored.claim_token, stored.next_action_at) == (
        "run-9",
        claimed.claim_token,
        claimed.next_action_at,
    )


async def test_the_first_fact_stays(database: Database) -> None:
    job = await put_one(database, JobStatus.INITIALIZING)
    async with database.begin() as tx:
        for name in ("run-9", "run-10", "run-9"):
            assert await jobs.store_external_id(tx, job.id, name, NOW)
    stored = await look(database, job)
    assert (stored.external_job_id, stored.revision) == ("run-9", job.revision + 1)


async def test_an_id_that_another_job_has_is_not_stored_and_harms_nothing(database: Database) -> None:
    other = await put_one(database, JobStatus.RUNNING)
    job = await put_one(database, JobStatus.INITIALIZING)
    third = await put_one(database, JobStatus.INITIALIZING)
    async with database.begin() as tx:
        assert not await jobs.store_external_id(tx, job.id, other.external_job_id or "", NOW)
        assert await jobs.store_external_id(tx, third.id, "run-9", NOW)
    assert await look(database, job) == job
    assert (await look(database, third)).external_job_id == "run-9"


@pytest.mark.parametrize("sighting", [Unclear("timeout"), NotNow("429")], ids=["unclear", "not now"])
async def test_a_worker_that_knows_less_does_not_wipe_out_a_fact(database: Database, sighting: Any) -> None:
    """One submits and is slow, its claim runs out, a second submits; then the first learns the id, the second nothing."""
    job = await put_one(database, JobStatus.INITIALIZING)
    second = await claim(database, job)
    async with database.begin() as tx:
        assert await jobs.store_external_id(tx, job.id, "run-9", after(99))
    assert await save(database, second, moves.fold(second, sighting, NOW, PACING))
    stored = await look(database, job)
    assert (stored.external_job_id, stored.accepted_at) == ("run-9", after(99))
    assert stored.next_action_at == after(101)  # the fact is acted upon soon, not when the backoff is over


async def test_two_that_learn_the_same_id_agree(database: Database) -> None:
    job = await put_one(database, JobStatus.INITIALIZING)
    second = await claim(database, job)
    async with database.begin() as tx:
        await jobs.store_external_id(tx, job.id, "run-9", after(99))
    assert await save(database, second, moves.fold(second, Accepted("run-9"), NOW, PACING))
    stored = await look(database, job)
    assert (stored.status, stored.external_job_id) == (JobStatus.RUNNING, "run-9")


# Our own faults, and revisions


async def test_a_job_that_is_set_aside_keeps_the_stack_for_its_developers_alone(database: Database) -> None:
    claimed = await claim(database, await put_one(database, JobStatus.RUNNING))
    async with database.begin() as tx:
        await jobs.set_aside(tx, replace(claimed, claim_token=uuid4()), stack="not mine", until=after(500))
    assert await look(database, claimed) == claimed
    async with database.begin() as tx:
        await jobs.set_aside(tx, claimed, stack="Traceback …", until=after(500))
    assert await look(database, claimed) == replace(claimed, claim_token=None, next_action_at=after(500))
    assert await sql(database, "SELECT error_stack FROM training_jobs") == [("Traceback …",)]
    assert "error_stack" not in {column.name for column in jobs.COLUMNS}


async def test_every_visible_change_raises_the_revision(database: Database) -> None:
    job = await put_one(database)
    seen = [job.revision]

    async def note() -> None:
        seen.append((await look(database, job)).revision)

    async with database.begin() as tx:
        [claimed] = await claim_queued(tx, Claim(1, NOW, NOW, timedelta(days=1)))
    await note()
    await save(database, claimed, moves.fold(claimed, Accepted("run-9"), NOW, PACING))
    await note()
    await callback(database, job, Report(progress=1.0))
    await note()
    claimed = await claim(database, job)
    await save(database, claimed, moves.fold(claimed, NoReport("timeout"), NOW, PACING))
    await note()
    await cancel(database, job)
    await note()
    claimed = await claim(database, job)
    await save(database, claimed, moves.fold(claimed, Stopped(), NOW, PACING))
    await note()
    assert seen == [0, 1, 2, 3, 4, 5, 6]


async def test_a_claim_of_nobody_saves_nothing(database: Database) -> None:
    """A job that was read and not claimed has no token; that must not fit every job without one."""
    job = await put_one(database, JobStatus.RUNNING, claim_token=None)
    assert not await save(database, job, moves.fold(job, COMPLETED, NOW, PACING))
    assert await look(database, job) == job
