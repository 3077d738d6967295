"""Claims: the oldest due jobs first, each to one worker, and to another when the claim has run out."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from jobs.database import Database, Transaction, claims, jobs
from jobs.database.claims import Claim
from jobs.domain.job import Job
from jobs.domain.lifecycle import FINAL, JobStatus, Release
from jobs.domain.metrics import CurrentMetrics
from jobs.domain.pricing import GpuConfig
from jobs.domain.training import Hyperparameters
from tests.database.rows import look, new_job, put, put_one, sql
from tests.domain.factories import CLAIM, NOON, after
from tests.marks import on_postgres

DAY = timedelta(days=1)
CLAIMED: dict[str, Any] = dict.fromkeys(
    ("claim_token", "next_action_at", "submitted_at", "signed_until", "revision")
)
NOW, UNTIL = after(60), after(120)


async def claim_queued(tx: Transaction, limit: int = 5, now: datetime = NOW) -> list[Job]:
    return await claims.claim_queued(tx, Claim(limit, now, now + (UNTIL - NOW), DAY))


async def claim_due(tx: Transaction, limit: int = 5, now: datetime = NOW) -> list[Job]:
    return await claims.claim_due(tx, Claim(limit, now, now + (UNTIL - NOW), DAY))


def ids(found: list[Job]) -> list[UUID]:
    return [job.id for job in found]


async def test_the_oldest_queued_jobs_are_taken_first(database: Database) -> None:
    waiting = [new_job(created_at=after(-second)) for second in range(8)]
    twins = sorted((new_job(created_at=after(-100)), new_job(created_at=after(-100))), key=lambda job: job.id)
    await put(database, *waiting, *reversed(twins))
    async with database.begin() as tx:
        assert ids(await claim_queued(tx)) == [*ids(twins), *ids(waiting[:-4:-1])]
        assert ids(await claim_queued(tx)) == ids(waiting[4::-1])
        assert await claim_queued(tx) == []


async def test_a_claimed_job_says_that_it_may_have_been_sent(database: Database) -> None:
    job = await put_one(database)
    async with database.begin() as tx:
        [claimed] = await claim_queued(tx)
    assert claimed == await look(database, job)
    assert (claimed.status, claimed.submitted_at, claimed.signed_until) == (
        JobStatus.INITIALIZING,
        NOW,
        NOW + DAY,
    )
    assert (claimed.next_action_at, claimed.updated_at, claimed.revision) == (UNTIL, NOW, 1)
    assert claimed.claim_token is not None


async def test_what_is_claimed_is_read_exactly(database: Database) -> None:
    awkward = new_job(
        JobStatus.RUNNING,
        current_stage='ü 🙂 "\\" \\u0041 \u2028 \x01 null',
        preset_id="",
        progress=100 / 3,
        current_step=2**31 - 1,
        revision=2**53 + 1,
        current_metrics=CurrentMetrics(
            training_loss=-5e-324, validation_loss=1.7976931348623157e308, throughput=0.0
        ),
        gpu_config=GpuConfig('an "A100"', 8, Decimal("0.000001")),
        hyperparameters=Hyperparameters(learning_rate=0.1 + 0.2),
        current_cost=Decimal("0.10"),
        estimated_total_cost=Decimal("999999999999.99"),
        started_at=datetime(1, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
        signed_until=datetime(9999, 12, 31, 23, 59, 59, 999_998, tzinfo=UTC),
        next_action_at=NOON,
        stale=True,
    )
    whole, least = (
        new_job(JobStatus.RUNNING, progress=40.0),
        new_job(JobStatus.INITIALIZING, next_action_at=NOON),
    )
    await put(database, awkward, whole, least)
    async with database.begin() as tx:
        claimed = {job.id: job for job in await claim_due(tx)}
    assert len(claimed) == 3
    for job in (awkward, whole, least):
        assert claimed[job.id] == await look(database, job)
        assert replace(claimed[job.id], **CLAIMED) == replace(job, **CLAIMED)


@on_postgres  # SQLite has no infinite instants
async def test_a_row_that_cannot_be_read_harms_no_other_claim(database: Database) -> None:
    spoilt, well = [await put_one(database, JobStatus.RUNNING, next_action_at=NOON) for _ in range(2)]
    await sql(database, "UPDATE training_jobs SET last_contact_at = 'infinity' WHERE id = :id", id=spoilt.id)
    with capture_logs() as logs:
        async with database.begin() as tx:
            assert ids(await claim_due(tx)) == [well.id]
    assert [line["job"] for line in logs] == [str(spoilt.id)]
    async with database.begin() as tx:
        assert await claim_due(tx) == []  # until its claim has run out


async def test_only_what_is_queued_and_due_is_taken_up(database: Database) -> None:
    due = new_job(next_action_at=NOW)
    others = [new_job(next_action_at=NOW + timedelta(microseconds=1))]
    others += [new_job(status, next_action_at=NOON) for status in (JobStatus.INITIALIZING, JobStatus.RUNNING)]
    others += [new_job(status) for status in FINAL]
    await put(database, due, *others)
    async with database.begin() as tx:
        assert ids(await claim_queued(tx, limit=50)) == [due.id]


async def test_what_waits_for_its_next_try_delays_no_younger_job(database: Database) -> None:
    await put(database, *(new_job(created_at=after(-100), next_action_at=after(600)) for _ in range(5)))
    young = await put_one(database)
    async with database.begin() as tx:
        assert ids(await claim_queued(tx)) == [young.id]


async def test_everything_else_that_is_due_is_taken_the_longest_waiting_first(database: Database) -> None:
    cancelled = new_job(JobStatus.CANCELLED, release=Release.NEEDED, next_action_at=after(-5))
    running = new_job(JobStatus.RUNNING, next_action_at=after(-3))
    starting = new_job(JobStatus.INITIALIZING, next_action_at=NOW)
    later = new_job(JobStatus.RUNNING, next_action_at=after(61))
    over = [new_job(status) for status in FINAL]
    await put(database, new_job(), starting, running, cancelled, later, *over)
    async with database.begin() as tx:
        assert set(ids(await claim_due(tx, limit=2))) == {cancelled.id, running.id}
        assert ids(await claim_due(tx)) == [starting.id]
        assert await claim_due(tx) == []


async def test_looking_at_a_job_changes_nothing_that_anybody_sees(database: Database) -> None:
    job = await put_one(database, JobStatus.RUNNING, revision=7)
    async with database.begin() as tx:
        [claimed] = await claim_due(tx)
    assert (claimed.revision, claimed.status, claimed.updated_at) == (7, JobStatus.RUNNING, job.updated_at)
    assert (claimed.submitted_at, claimed.signed_until) == (job.submitted_at, job.signed_until)
    assert claimed.claim_token not in (None, CLAIM)


async def test_a_repeated_submission_is_signed_until_the_same_instant(database: Database) -> None:
    sent = new_job(JobStatus.INITIALIZING, submitted_at=after(5), signed_until=after(5) + DAY)
    unsent = new_job(JobStatus.INITIALIZING, submitted_at=None, signed_until=None)
    await put(database, sent, unsent)
    async with database.begin() as tx:
        found = {job.id: (job.submitted_at, job.signed_until) for job in await claim_due(tx)}
    assert found == {sent.id: (after(5), after(5) + DAY), unsent.id: (NOW, NOW + DAY)}


async def test_a_claim_is_left_alone_until_it_runs_out_and_then_taken_over(database: Database) -> None:
    job = await put_one(database)
    async with database.begin() as tx:
        [first] = await claim_queued(tx)
    for now in (NOW, UNTIL - timedelta(microseconds=1)):
        async with database.begin() as tx:
            assert await claim_queued(tx, now=now) == []
            assert await claim_due(tx, now=now) == []
    async with database.begin() as tx:
        [second] = await claim_due(tx, now=UNTIL)
    assert (second.id, second.status) == (job.id, JobStatus.INITIALIZING)
    assert second.claim_token != first.claim_token
    assert (second.submitted_at, second.signed_until) == (first.submitted_at, first.signed_until)


@pytest.mark.parametrize("queued", [True, False])
async def test_claimers_at_the_same_time_never_share_a_job(database: Database, *, queued: bool) -> None:
    status = JobStatus.QUEUED if queued else JobStatus.RUNNING
    await put(database, *(new_job(status, next_action_at=NOON) for _ in range(60)))
    claim = claim_queued if queued else claim_due

    async def worker() -> list[Job]:
        taken: list[Job] = []
        while True:
            async with database.begin() as tx:
                found = await claim(tx, limit=5)
                await asyncio.sleep(0)
            if not found:
                return taken
            taken += found

    shares = await asyncio.gather(*(worker() for _ in range(4)))
    taken = [job for share in shares for job in share]
    assert len(taken) == len({job.id for job in taken}) == 60
    stored = {row[0] for row in await sql(database, "SELECT claim_token FROM training_jobs")}
    assert stored == {
        str(job.claim_token) if database.dialect == "sqlite" else job.claim_token for job in taken
    }


@on_postgres  # SQLite has one writer at a time anyway
async def test_a_claimer_does_not_wait_for_rows_that_another_holds(database: Database) -> None:
    await put(database, *(new_job(created_at=after(-number)) for number in range(6)))
    async with database.begin() as one:
        held = await claim_queued(one, limit=3)
        async with asyncio.timeout(5), database.begin() as other:
            free = await claim_queued(other, limit=10)
            assert len(free) == 3
        async with asyncio.timeout(5), database.begin() as locking:
            await jobs.lock_active(locking, free[0].id, "ada")
            async with database.begin() as third:
                assert await claim_due(third, limit=10, now=UNTIL) != []
    assert {job.id for job in held}.isdisjoint(ids(free))


async def test_no_plan_of_the_database_takes_more_than_the_limit(database: Database) -> None:
    """Were the inner query asked anew for each row, it would skip what was just taken each time, and take more."""
    await put(database, *(new_job(created_at=after(number)) for number in range(40)))
    await put(database, *(new_job(JobStatus.RUNNING, next_action_at=after(number)) for number in range(40)))
    async with database.begin() as tx:
        if database.dialect == "postgresql":
            for method in ("hashagg", "hashjoin", "mergejoin", "sort", "material", "memoize"):
                await tx.execute(text(f"SET LOCAL enable_{method} = off"))
        assert len(await claim_queued(tx, limit=5)) == 5
        assert len(await claim_due(tx, limit=5)) == 5


async def test_the_next_look_is_for_what_was_taken_up(database: Database) -> None:
    async with database.read() as tx:
        assert await jobs.next_look(tx) is None
        assert not await jobs.is_due(tx, NOW)
    await put(database, new_job(next_action_at=after(3)), *(new_job(status) for status in FINAL))
    async with database.read() as tx:
        assert await jobs.next_look(tx) is None  # the queue waits for its tick
        assert [await jobs.is_due(tx, after(at)) for at in (2, 3)] == [False, True]
    await put(database, *(new_job(JobStatus.RUNNING, next_action_at=after(at)) for at in (9, 7)))
    async with database.read() as tx:
        assert await jobs.next_look(tx) == after(7)
