"""A cancel answers at once, and what was or may have been sent is stopped, however long it takes."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from itertools import repeat

import pytest

from jobs.domain.errors import JobFinished, UnknownJob
from jobs.domain.lifecycle import JobStatus, Release
from tests.cycle.conftest import USER, Build, House
from tests.services.scripted_cluster import hangs, says, usual


async def test_a_queued_job_that_is_cancelled_never_reaches_the_cluster(house: House) -> None:
    job = await house.job()
    cancelled = await house.commands.cancel_job(USER, job.id)
    assert (cancelled.status, cancelled.final_cost) == (JobStatus.CANCELLED, Decimal("0.00"))
    assert (cancelled.release, cancelled.completed_at) == (Release.NONE, house.clock.instant)
    await house.turn(seconds=60)
    assert house.cluster.journal == []
    assert [note.title for note in await house.told()] == ["Job Cancelled"]


async def test_a_running_job_is_stopped_and_its_overrun_is_in_the_books(house: House) -> None:
    job = await house.running()
    house.clock.advance(3600)
    cancelled = await house.commands.cancel_job(USER, job.id)
    assert (cancelled.release, cancelled.releasing_since) == (Release.NEEDED, house.clock.instant)
    assert cancelled.final_cost == Decimal("5.00")

    await house.turn(seconds=36)
    freed = await house.look(job)
    assert (freed.status, freed.release) == (JobStatus.CANCELLED, Release.CONFIRMED)
    assert house.cluster.live == []
    records = await house.books(job)
    assert {record.cost_type: record.amount for record in records} == {
        "training_compute": Decimal("5.00"),
        "release_overrun": Decimal("0.05"),
    }
    assert records[0].cost_type == "release_overrun"  # newest first
    assert freed.final_cost == Decimal("5.05")


async def test_a_second_cancel_gives_the_same_answer(house: House) -> None:
    job = await house.running()
    house.clock.advance(1)
    first = await house.commands.cancel_job(USER, job.id)
    await house.turn(seconds=30)
    second = await house.commands.cancel_job(USER, job.id)
    assert (second.status, second.completed_at) == (first.status, first.completed_at)
    assert [note.title for note in await house.told()] == ["Training Started", "Job Cancelled"]


async def test_two_cancels_at_once_end_it_once(house: House) -> None:
    job = await house.running()
    answers = await asyncio.gather(*(house.commands.cancel_job(USER, job.id) for _ in range(5)))
    assert {answer.status for answer in answers} == {JobStatus.CANCELLED}
    assert len(await house.books(job)) == 1


async def test_a_finished_job_and_a_strangers_job_are_refused(house: House) -> None:
    job = await house.running()
    with pytest.raises(UnknownJob):
        await house.commands.cancel_job("eve", job.id)
    house.cluster.jobs[job.id].complete()
    await house.turn(seconds=30)
    with pytest.raises(JobFinished) as refused:
        await house.commands.cancel_job(USER, job.id)
    assert refused.value.status == "completed"


async def test_a_stop_is_asked_for_until_a_poll_proves_it(house: House) -> None:
    job = await house.running()
    house.cluster.jobs[job.id].linger(3)
    await house.commands.cancel_job(USER, job.id)
    for _ in range(10):
        await house.turn(seconds=60)
    assert (await house.look(job)).release is Release.CONFIRMED
    assert house.cluster.live == []
    assert len(house.cluster.calls("cancel")) >= 3


async def test_a_cluster_that_is_down_for_long_is_told_when_it_heals(house: House) -> None:
    job = await house.running()
    await house.cluster.go_down()
    await house.commands.cancel_job(USER, job.id)
    for _ in range(20):
        await house.turn(seconds=90)
    waiting = await house.look(job)
    assert (waiting.release, len(house.cluster.live)) == (Release.NEEDED, 1)
    assert "GPUs Not Released Yet" in [note.title for note in await house.told()]
    await house.cluster.come_back()
    await house.turn(seconds=120)
    assert (await house.look(job)).release is Release.CONFIRMED
    assert house.cluster.live == []
    assert sum(record.amount for record in await house.books(job)) == (await house.look(job)).final_cost
    assert [note.title for note in await house.told()].count("GPUs Not Released Yet") == 1


async def test_a_cancel_after_a_lost_answer_still_stops_the_run(house: House) -> None:
    job = await house.job()
    house.cluster.script(job.id, submit=[says(502, act=True)])
    await house.turn()
    assert len(house.cluster.live) == 1
    assert (await house.look(job)).status is JobStatus.INITIALIZING
    await house.commands.cancel_job(USER, job.id)
    for _ in range(4):
        await house.turn(seconds=60)
    freed = await house.look(job)
    assert (freed.status, freed.release) == (JobStatus.CANCELLED, Release.CONFIRMED)
    assert house.cluster.live == []
    bodies = {call.body for call in house.cluster.calls("submit")}
    assert len(bodies) == 1


async def test_a_cancel_while_the_submit_is_in_flight_wins_and_the_run_is_stopped(build: Build) -> None:
    async with build(timeout=5) as house:
        job = await house.job()
        house.cluster.script(job.id, submit=[usual(delay=0.3)])
        passing = asyncio.create_task(house.turn())
        await house.cluster.called("submit", job_id=job.id)
        cancelled = await house.commands.cancel_job(USER, job.id)
        assert cancelled.release is Release.NEEDED
        await passing
        late = await house.look(job)
        assert late.status is JobStatus.CANCELLED
        assert late.external_job_id is not None  # what was learnt is a fact
        await house.turn()
        assert (await house.look(job)).release is Release.CONFIRMED
        assert house.cluster.live == []
        assert [note.title for note in await house.told()] == ["Job Cancelled"]


async def test_a_running_answer_that_comes_after_a_cancel_changes_nothing(build: Build) -> None:
    async with build(timeout=5) as house:
        job = await house.running()
        house.cluster.script(job.id, status=[usual(delay=0.3)])
        house.cluster.jobs[job.id].progress(50.0)
        passing = asyncio.create_task(house.turn(seconds=30))
        await house.cluster.called("status", job_id=job.id)
        await house.commands.cancel_job(USER, job.id)
        await passing
        late = await house.look(job)
        assert (late.status, late.progress) == (JobStatus.CANCELLED, 0.0)


async def test_a_worker_killed_between_submit_and_cancel_leaves_no_orphan(build: Build) -> None:
    async with build(timeout=30) as house:
        job = await house.job()
        house.cluster.script(job.id, submit=[hangs(act=True)])
        passing = asyncio.create_task(house.turn())
        await house.cluster.called("submit", job_id=job.id)
        passing.cancel()
        await house.cycle.close()  # as good as a kill: nothing of the answer is stored
        await house.commands.cancel_job(USER, job.id)
        another = await house.worker()
        for _ in range(3):
            await house.turn(seconds=61, cycle=another)
        assert (await house.look(job)).release is Release.CONFIRMED
        assert house.cluster.live == []


async def test_a_cluster_that_refuses_to_stop_is_asked_for_ever(house: House) -> None:
    job = await house.running()
    house.cluster.script(job.id, cancel=repeat(says(500)))
    await house.commands.cancel_job(USER, job.id)
    asked = []
    for _ in range(12):
        await house.turn(seconds=75)
        asked.append(len(house.cluster.calls("cancel", job.id)))
    assert asked == list(range(1, 13))
    assert (await house.look(job)).release is Release.NEEDED


async def test_a_cancel_in_the_same_moment_as_a_completion_ends_it_once(house: House) -> None:
    for _ in range(20):
        job = await house.running()
        house.cluster.jobs[job.id].complete()
        house.clock.advance(30)
        outcomes = await asyncio.gather(
            house.turn(), house.commands.cancel_job(USER, job.id), return_exceptions=True
        )
        await house.turn(seconds=30)
        ended = await house.look(job)
        assert ended.status in {JobStatus.COMPLETED, JobStatus.CANCELLED}
        assert isinstance(outcomes[1], JobFinished) == (ended.status is JobStatus.COMPLETED)
        kinds = [record.cost_type for record in await house.books(job)]
        assert kinds.count("training_compute") == 1
        assert sum(record.amount for record in await house.books(job)) == ended.final_cost
        mine = [note for note in await house.told() if note.job_id == job.id]
        assert len(mine) == 2
        house.clock.advance(timedelta(minutes=5).total_seconds())
