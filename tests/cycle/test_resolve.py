"""A cluster that does not recognise a repeated key: what nobody knows is parked, and a person settles it."""

from typing import Any

import pytest

from jobs.database import saving
from jobs.domain import resolution
from jobs.domain.job import Job
from jobs.domain.lifecycle import JobStatus, Release
from jobs.domain.moves import Move
from jobs.domain.resolution import NotInDoubt
from tests.cycle.conftest import USER, Build, House
from tests.services.scripted_cluster import says


async def parked(house: House, *, taken: bool) -> Job:
    """A job whose submission got no usable answer."""
    job = await house.job()
    house.cluster.script(job.id, submit=[says(502, act=taken)])
    await house.turn()
    await house.turn(seconds=600)
    return await house.look(job)


async def settle(house: House, move: Move, seen: Job) -> Any:
    async with house.database.begin() as tx:
        assert await saving.save_if_unchanged(tx, seen, move)
    await house.turn()
    await house.turn(seconds=30)
    return await house.look(seen)


async def test_a_run_that_was_found_is_followed(build: Build) -> None:
    async with build(dedupes=False) as house:
        job = await parked(house, taken=True)
        run = house.cluster.jobs[job.id].run
        settled = await settle(house, resolution.name_run(job, run.external_id, house.clock.instant), job)
        assert (settled.status, settled.external_job_id) == (JobStatus.RUNNING, run.external_id)
        assert len(house.cluster.calls("submit")) == 1


async def test_a_job_that_was_not_taken_is_sent_again(build: Build) -> None:
    async with build(dedupes=False) as house:
        job = await parked(house, taken=False)
        settled = await settle(house, resolution.send_again(job, house.clock.instant), job)
        assert settled.status is JobStatus.RUNNING
        assert house.cluster.jobs[job.id].max_live == 1


async def test_a_job_that_is_given_up_fails_and_costs_nothing(build: Build) -> None:
    async with build(dedupes=False) as house:
        job = await parked(house, taken=False)
        settled = await settle(house, resolution.give_up(job, house.clock.instant), job)
        assert (settled.status, settled.error_message) == (JobStatus.FAILED, resolution.NOT_TAKEN)
        assert (str(settled.final_cost), settled.release) == ("0.00", Release.NONE)


async def test_a_cancelled_job_in_doubt_is_stopped_when_its_run_is_named(build: Build) -> None:
    async with build(dedupes=False) as house:
        job = await parked(house, taken=True)
        await house.commands.cancel_job(USER, job.id)
        await house.turn(seconds=600)
        cancelled = await house.look(job)
        assert cancelled.release is Release.NEEDED
        with pytest.raises(NotInDoubt, match="would start what nobody wants"):
            resolution.send_again(cancelled, house.clock.instant)
        run = house.cluster.jobs[job.id].run
        settled = await settle(
            house, resolution.name_run(cancelled, run.external_id, house.clock.instant), cancelled
        )
        assert settled.release is Release.CONFIRMED
        assert house.cluster.live == []


async def test_what_is_not_in_doubt_is_left_alone(house: House) -> None:
    queued = await house.job()
    running = await house.running()
    with pytest.raises(NotInDoubt, match="has certainly not been sent"):
        resolution.give_up(queued, house.clock.instant)
    with pytest.raises(NotInDoubt, match="calls this job"):
        resolution.send_again(running, house.clock.instant)
