"""The moves of a job's row: made once, saved whole under the claim or not at all, told, cancelled; facts are always kept."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from jobs.database import Database, costs, datasets, jobs, metrics, notifications, saving
from jobs.domain import moves
from jobs.domain.job import Job
from jobs.domain.lifecycle import FINAL, JobStatus, Release
from jobs.domain.metrics import CurrentMetrics
from jobs.domain.moves import Move
from jobs.domain.notices import NoticeType
from jobs.domain.sighting import (
    Accepted,
    ClusterStatus,
    NoReport,
    NotNow,
    Report,
    ReportedArtifact,
    Stopped,
    Unclear,
)
from tests.database.rows import a_dataset, counts, look, new_job, put, put_one, sql
from tests.domain.factories import HOUR, NOON, PACING, a_point, after

NOW = after(100)
ARTIFACT = ReportedArtifact("adapter.tar", 7, "0" * 64)
COMPLETED = Report(
    status=ClusterStatus.COMPLETED, points=(a_point(1), a_point(2)), finished_at=after(95), artifact=ARTIFACT
)
RUNNING = Report(status=ClusterStatus.RUNNING, progress=40.0, current_step=4, current_epoch=1)


async def claim(database: Database, job: Job) -> Job:
    """Claim a job that is not queued, in the name of a worker."""
    async with database.begin() as tx:
        due = await jobs.claim_due(
            tx, limit=100, now=NOON + HOUR * 9, until=NOON + HOUR * 10, url_life=timedelta(days=1)
        )
    return next(found for found in due if found.id == job.id)


async def save(database: Database, claimed: Job, move: Move, *, soon: float = 101) -> bool:
    """Save the move, as a worker does."""
    async with database.begin() as tx:
        return await saving.save_if_claimed(tx, claimed, move, soon=after(soon))


async def cancel(database: Database, job: Job) -> None:
    """Cancel a job, as a command does."""
    async with database.begin() as tx:
        active = await jobs.lock_active(tx, job.id, job.user_id)
        assert active is not None
        await jobs.cancel(tx, moves.cancel(active, NOW))


async def callback(database: Database, job: Job, report: Report, *, at: float = 100) -> bool:
    """Store what a callback told, as a command does."""
    async with database.begin() as tx:
        row = await jobs.get(tx, job.id, job.user_id)
        assert row is not None
        told = moves.told_by(row, report, after(at))
        return await jobs.tell(tx, told, look_at=after(at))


# Made


async def test_a_job_is_stored_as_it_was_made(database: Database) -> None:
    job = new_job(preset_id="laptop", idempotency_key="once", request_hash="h" * 64, current_stage="waiting")
    async with database.begin() as tx:
        await datasets.insert_dataset(tx, a_dataset(id=job.dataset_id))
        assert await jobs.insert_job(tx, job)
    assert await look(database, job) == job


async def test_the_same_key_makes_one_job_however_many_ask_at_once(database: Database) -> None:
    first = await put_one(database, user_id="ada")
    wished = [new_job(idempotency_key="once", created_at=after(number)) for number in range(8)]

    async def ask(job: Job) -> bool:
        async with database.begin() as tx:
            return await jobs.insert_job(tx, job)

    made = await asyncio.gather(*map(ask, wished))
    assert sorted(made) == [False] * 7 + [True]
    winner = wished[made.index(True)]
    async with database.read() as tx:
        assert (await jobs.by_idempotency_key(tx, "ada", "once") or first).id == winner.id
        assert await jobs.by_idempotency_key(tx, "ada", "twice") is None
        assert await jobs.by_idempotency_key(tx, "bob", "once") is None
        assert await jobs.count(tx, "ada") == 2


async def test_keys_are_each_users_own_and_no_key_is_no_key(database: Database) -> None:
    await put(database, new_job(), new_job(user_id="bob", dataset_id=(bobs := uuid4())))
    async with database.begin() as tx:
        for user, dataset in (("ada", new_job().dataset_id), ("bob", bobs)):
            assert await jobs.insert_job(
                tx, new_job(user_id=user, dataset_id=dataset, idempotency_key="once")
            )
            assert await jobs.insert_job(tx, new_job(user_id=user, dataset_id=dataset))
            assert await jobs.insert_job(tx, new_job(user_id=user, dataset_id=dataset))


# Saved under the claim


async def test_everything_that_belongs_to_an_end_is_stored_with_it(database: Database) -> None:
    job = await put_one(database, JobStatus.RUNNING)
    claimed = await claim(database, job)
    move = moves.fold(claimed, COMPLETED, NOW, PACING)
    assert await save(database, claimed, move)
    stored = await look(database, job)
    assert stored == replace(move.job, claim_token=None, revision=claimed.revision + 1)
    assert (stored.status, stored.next_action_at, stored.final_cost) == (
        JobStatus.COMPLETED,
        None,
        Decimal("0.13"),
    )
    async with database.read() as tx:
        assert await metrics.newest(tx, job.id, last=9) == list(COMPLETED.points)
        [record] = (await costs.records(tx, [job.id]))[job.id]
        [notice] = await notifications.page(tx, "ada", limit=9)
    assert (record.cost_type, record.amount, record.recorded_at) == ("training_compute", Decimal("0.13"), NOW)
    assert (notice.type, notice.job_id, notice.created_at) == (NoticeType.JOB_COMPLETED, job.id, NOW)
    assert await sql(database, "SELECT sha256, size_bytes FROM model_artifacts") == [("0" * 64, 7)]


async def test_a_worker_that_lost_its_claim_stores_nothing_at_all(database: Database) -> None:
    job = await put_one(database, JobStatus.RUNNING)
    late = await claim(database, job)
    async with database.begin() as tx:
        [current] = await jobs.claim_due(
            tx, limit=1, now=NOON + HOUR * 10, until=NOON + HOUR * 11, url_life=timedelta(days=1)
        )
    before, rows = await look(database, job), await counts(database)
    assert not await save(database, late, moves.fold(late, COMPLETED, NOW, PACING))
    assert await look(database, job) == before == current
    assert await counts(database) == rows
    assert await save(database, current, moves.fold(current, RUNNING, NOW, PACING))


async def test_an_answer_is_saved_once(database: Database) -> None:
    claimed = await claim(database, await put_one(database, JobStatus.RUNNING))
    move = moves.fold(claimed, RUNNING, NOW, PACING)
    assert [await save(database, claimed, move) for _ in range(2)] == [True, False]


async def test_what_cannot_be_stored_leaves_all_of_the_move_undone(database: Database) -> None:
    """The books refuse a second line of one kind: then there is no end, no point and no notification either."""
    claimed = await claim(database, await put_one(database, JobStatus.RUNNING))
    move = moves.fold(claimed, COMPLETED, NOW, PACING)
    async with database.begin() as tx:
        await costs.insert_records(tx, [(claimed, move.charges[0])])
    rows = await counts(database)
    with pytest.raises(Exception, match="cost_records"):
        await save(database, claimed, move)
    assert await look(database, claimed) == claimed
    assert await counts(database) == rows


async def test_the_next_look_is_when_the_move_says(database: Database) -> None:
    claimed = await claim(database, await put_one(database, JobStatus.RUNNING))
    assert await save(database, claimed, moves.fold(claimed, RUNNING, NOW, PACING))
    stored = await look(database, claimed)
    assert (stored.next_action_at, stored.claim_token) == (NOW + PACING.cycle, None)


# Told by callbacks in between


@pytest.mark.parametrize("progress", [39.0, 40.0, 55.0])
async def test_progress_never_falls_when_a_callback_was_quicker(database: Database, progress: float) -> None:
    claimed = await claim(database, await put_one(database, JobStatus.RUNNING))
    report = Report(
        progress=progress,
        current_step=55,
        current_epoch=2,
        total_steps=99,
        stage="evaluating",
        metrics=CurrentMetrics(training_loss=0.0),
    )
    assert await callback(database, claimed, report)
    polled = replace(RUNNING, metrics=CurrentMetrics(training_loss=9.0), stage="training")
    assert await save(database, claimed, moves.fold(claimed, polled, NOW, PACING))
    stored = await look(database, claimed)
    assert stored.progress == max(progress, 40.0)
    figures = (stored.current_step, stored.current_epoch, stored.total_steps, stored.current_stage)
    newer = (55, 2, 99, "evaluating") if progress > 40.0 else (4, 1, 300, "training")
    assert figures == newer
    assert stored.current_metrics is not None
    assert stored.current_metrics.training_loss == (0.0 if progress > 40.0 else 9.0)


async def test_after_a_callback_in_between_the_next_look_is_soon(database: Database) -> None:
    claimed = await claim(database, await put_one(database, JobStatus.RUNNING))
    assert await callback(database, claimed, Report(progress=1.0))
    assert (await look(database, claimed)).next_action_at == claimed.next_action_at  # somebody looks now
    assert await save(database, claimed, moves.fold(claimed, RUNNING, NOW, PACING), soon=101)
    assert (await look(database, claimed)).next_action_at == after(101)


async def test_soon_is_never_later_than_the_move_says(database: Database) -> None:
    claimed = await claim(database, await put_one(database, JobStatus.RUNNING))
    await callback(database, claimed, Report(progress=1.0))
    assert await save(database, claimed, moves.fold(claimed, RUNNING, NOW, PACING), soon=9_999)
    assert (await look(database, claimed)).next_action_at == NOW + PACING.cycle


async def test_an_end_is_not_undone_by_a_callback_in_between(database: Database) -> None:
    claimed = await claim(database, await put_one(database, JobStatus.RUNNING))
    await callback(database, claimed, Report(progress=99.0, stage="evaluating"))
    assert await save(database, claimed, moves.fold(claimed, COMPLETED, NOW, PACING))
    stored = await look(database, claimed)
    assert (stored.progress, stored.current_stage, stored.next_action_at) == (100.0, None, None)
    assert not await callback(database, claimed, Report(progress=100.0))


async def test_a_callback_brings_the_look_forward_and_never_puts_it_off(database: Database) -> None:
    far = await put_one(database, JobStatus.RUNNING, claim_token=None, next_action_at=after(130))
    near = await put_one(database, JobStatus.RUNNING, claim_token=None, next_action_at=after(90))
    for job, expected in ((far, 100), (near, 90)):
        assert await callback(database, job, Report(progress=1.0))
        stored = await look(database, job)
        assert (stored.next_action_at, stored.progress) == (after(expected), 1.0)
        assert (stored.revision, stored.updated_at) == (job.revision + 1, after(100))


@pytest.mark.parametrize("status", FINAL)
async def test_a_job_that_has_ended_is_told_nothing(database: Database, status: JobStatus) -> None:
    job = await put_one(database, status)
    assert not await callback(database, job, Report(progress=100.0, current_step=7))
    assert await look(database, job) == job


async def test_nobody_tells_of_another_users_job(database: Database) -> None:
    job = await put_one(database, JobStatus.RUNNING)
    async with database.begin() as tx:
        assert not await jobs.tell(tx, replace(job, user_id="bob", progress=9.0), look_at=NOW)
    assert await look(database, job) == job


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
        [claimed] = await jobs.claim_queued(tx, limit=1, now=NOW, until=NOW, url_life=timedelta(days=1))
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
