"""The moves of a job's row: made once, saved whole under the claim or not at all, told by callbacks."""

import asyncio
from dataclasses import replace
from datetime import timedelta, timezone
from decimal import Decimal
from uuid import uuid4

import pytest

from jobs.database import (
    Database,
    RowRefused,
    costs,
    datasets,
    job_list,
    jobs,
    metrics,
    notifications,
    saving,
)
from jobs.database.claims import Claim, claim_due
from jobs.domain import moves
from jobs.domain.job import Job
from jobs.domain.lifecycle import FINAL, JobStatus
from jobs.domain.metrics import CurrentMetrics
from jobs.domain.moves import Move
from jobs.domain.notices import NoticeType
from jobs.domain.sighting import Accepted, NoReport, Report
from tests.database.acts import COMPLETED, NOW, RUNNING, callback, claim, save
from tests.database.rows import a_dataset, counts, look, new_job, put, put_one, sql
from tests.domain.factories import HOUR, NOON, PACING, after

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
        assert await job_list.count(tx, "ada") == 2


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
        assert list(await metrics.newest(tx, job.id, last=9)) == list(COMPLETED.points)
        [record] = (await costs.records(tx, [job.id]))[job.id]
        [notice] = await notifications.page(tx, "ada", limit=9)
    assert (record.cost_type, record.amount, record.recorded_at) == ("training_compute", Decimal("0.13"), NOW)
    assert (notice.type, notice.job_id, notice.created_at) == (NoticeType.JOB_COMPLETED, job.id, NOW)
    assert await sql(database, "SELECT sha256, size_bytes FROM model_artifacts") == [("0" * 64, 7)]


async def test_a_worker_that_lost_its_claim_stores_nothing_at_all(database: Database) -> None:
    job = await put_one(database, JobStatus.RUNNING)
    late = await claim(database, job)
    async with database.begin() as tx:
        [current] = await claim_due(tx, Claim(1, NOON + HOUR * 10, NOON + HOUR * 11, timedelta(days=1)))
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


# Many at once


async def test_of_many_answers_those_are_saved_whose_claims_still_hold(database: Database) -> None:
    stored = [await put_one(database, JobStatus.RUNNING) for _ in range(6)]
    claimed = [await claim(database, job) for job in stored[:1]]  # which claims them all
    claimed = [await look(database, job) for job in stored]
    held, lost = claimed[:3], [replace(job, claim_token=uuid4()) for job in claimed[3:]]
    moved = [(job, moves.fold(job, COMPLETED, NOW, PACING)) for job in (*lost, *held)]
    async with database.begin() as tx:
        assert await saving.save_claimed(tx, moved, soon=after(101)) == {job.id for job in lost}
    for job in held:
        assert (await look(database, job)).status is JobStatus.COMPLETED
    for job in claimed[3:]:
        assert await look(database, job) == job
    assert (await counts(database)) == {
        "datasets": 1,
        "training_jobs": 6,
        "metrics_points": 6,
        "metrics_spans": 0,
        "cost_records": 3,
        "notifications": 3,
        "model_artifacts": 3,
        "job_events": 0,
    }


@pytest.mark.parametrize("beside", [RUNNING, COMPLETED, NoReport("silence")])
async def test_what_a_report_tells_is_stored_the_same_whatever_is_saved_beside_it(
    database: Database, beside: Report | NoReport
) -> None:
    stored = [await put_one(database, JobStatus.RUNNING) for _ in range(2)]
    await claim(database, stored[0])  # which claims both
    claimed = [await look(database, job) for job in stored]
    moved = [
        (job, moves.fold(job, sighting, NOW, PACING))
        for job, sighting in zip(claimed, (RUNNING, beside), strict=True)
    ]
    async with database.begin() as tx:
        assert await saving.save_claimed(tx, moved, soon=after(101)) == set()
    for seen, move in moved:
        saved = replace(move.job, claim_token=None, revision=seen.revision + 1)
        assert await look(database, seen) == saved


async def test_nothing_to_save_is_nothing_saved(database: Database) -> None:
    async with database.begin() as tx:
        assert await saving.save_claimed(tx, [], soon=NOW) == set()


async def test_one_that_is_refused_takes_the_batch_with_it(database: Database) -> None:
    """The caller then saves each alone, so that it harms no other."""
    other = await put_one(database, JobStatus.RUNNING)
    good, bad = [await put_one(database, JobStatus.INITIALIZING) for _ in range(2)]
    await claim(database, good)
    good, bad = await look(database, good), await look(database, bad)
    moved = [
        (good, moves.fold(good, Accepted("run-9"), NOW, PACING)),
        (bad, moves.fold(bad, Accepted(other.external_job_id or ""), NOW, PACING)),
    ]
    with pytest.raises(RowRefused, match="external_job_id"):
        async with database.begin() as tx:
            await saving.save_claimed(tx, moved, soon=NOW)
    assert [await look(database, job) for job in (good, bad)] == [good, bad]
    assert (await counts(database, ["notifications"])) == {"notifications": 0}


async def test_everything_a_row_may_hold_survives_being_saved(database: Database) -> None:
    claimed = await claim(database, await put_one(database, JobStatus.RUNNING))
    words = '"quotes" \'; -- \\ \u2028 ☃ \U0001f43c'
    at = NOW.replace(microsecond=123_456)
    job = replace(
        claimed,
        progress=0.1 + 0.2,
        current_stage=words,
        current_metrics=CurrentMetrics(training_loss=5e-324, learning_rate=0.1 + 0.2, throughput=0.0),
        current_cost=Decimal("999999999999.99"),
        current_step=2**31 - 1,
        error_message=words,
        last_contact_at=at,
        contact_lost_since=at.astimezone(timezone(timedelta(hours=13))),
        not_found_count=2,
        complete_since=at,
        stale=True,
        next_action_at=at,
        updated_at=at,
    )
    assert await save(database, claimed, Move(job))
    assert await look(database, job) == replace(job, claim_token=None, revision=claimed.revision + 1)


# By hand


async def test_what_changed_since_it_was_seen_is_not_overwritten(database: Database) -> None:
    seen = await put_one(database, JobStatus.RUNNING)
    move = moves.fold(seen, COMPLETED, NOW, PACING)
    await callback(database, seen, Report(progress=3.0))
    rows = await counts(database)
    async with database.begin() as tx:
        assert not await saving.save_if_unchanged(tx, seen, move)
    assert await counts(database) == rows
    now = await look(database, seen)
    async with database.begin() as tx:
        assert await saving.save_if_unchanged(tx, now, moves.fold(now, COMPLETED, NOW, PACING))
    assert (await look(database, seen)).status is JobStatus.COMPLETED


async def test_a_change_by_hand_takes_the_claim_away(database: Database) -> None:
    claimed = await claim(database, await put_one(database, JobStatus.RUNNING))
    async with database.begin() as tx:
        assert await saving.save_if_unchanged(tx, claimed, moves.fold(claimed, RUNNING, NOW, PACING))
    assert not await save(database, claimed, moves.fold(claimed, NoReport("timeout"), NOW, PACING))


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
    assert not await callback(database, replace(job, user_id="bob"), Report(progress=9.0))
    assert await look(database, job) == job
