"""The storage of adapters is away while a run ends: the job waits for it, through restarts, and the wait is not billed."""

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest

from jobs.buckets import ARTIFACTS, artifact_path
from jobs.cycle import Cycle
from jobs.database import Database, costs
from jobs.domain.job import Job
from jobs.domain.lifecycle import JobStatus, Release
from tests.cycle.conftest import USER, Folder, House, furnished

ADAPTER = b"adapter"
HOUR = 3_600
STAGE = (
    "Complete; waiting for the storage of its adapter "
    "(The storage folder cannot be used: Input/output error.)"
)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Where the house keeps its files."""
    return Folder(tmp_path / "storage")


@pytest.fixture
async def house(database: Database, folder: Folder) -> AsyncIterator[House]:
    """A house whose storage can be away."""
    async with furnished(database, folder) as made:
        yield made


async def waiting(house: House, folder: Folder) -> Job:
    """A job at $5 an hour whose run ended after half an hour and was seen complete then, by a cluster that does not say
    when; its adapter is in a storage that is away."""
    job = await house.running()
    await folder.put(ARTIFACTS, artifact_path(USER, job.id), ADAPTER)
    folder.is_away = True
    run = house.cluster.jobs[job.id]
    run.complete(artifact={"path": "adapter.tar", "size_bytes": len(ADAPTER), "sha256": "0" * 64})
    run.progress(finished_at=None)
    await house.turn(seconds=HOUR / 2)
    return await house.look(job)


async def wait(house: House, job: Job, cycle: Cycle | None = None) -> None:
    """An hour goes by, in which the job is looked at again and again."""
    asked = len(house.cluster.calls("status", job.id))
    for _ in range(10):
        await house.turn(seconds=HOUR / 10, cycle=cycle)
    assert len(house.cluster.calls("status", job.id)) == asked + 10
    now = await house.look(job)
    assert (now.status, now.current_stage, now.stale) == (JobStatus.RUNNING, STAGE, False)
    assert (now.current_cost, now.complete_since) == (Decimal("2.50"), job.complete_since)
    assert await house.books(job) == []


async def test_a_job_that_waits_for_its_adapter_is_billed_until_its_run_was_seen_complete(
    house: House, folder: Folder
) -> None:
    job = await waiting(house, folder)
    seen_at = house.clock.instant
    assert (job.complete_since, job.current_cost) == (seen_at, Decimal("2.50"))
    await wait(house, job)
    folder.is_away = False
    await house.turn(seconds=HOUR / 2)
    done = await house.look(job)
    assert (done.status, done.completed_at) == (JobStatus.COMPLETED, house.clock.instant)
    assert done.artifact_id is not None
    assert (done.current_cost, done.final_cost) == (Decimal("2.50"), Decimal("2.50"))
    [record] = await house.books(job)
    assert (record.amount, record.details.duration_hours) == (Decimal("2.50"), Decimal("0.5"))
    assert [note.message for note in await house.told()][1:] == [
        "Your training job finished successfully. Cost: $2.50"
    ]


async def test_a_worker_that_takes_over_knows_since_when_the_run_is_complete(
    house: House, folder: Folder
) -> None:
    job = await waiting(house, folder)
    await house.cycle.close()
    another = await house.worker()
    await wait(house, job, another)
    folder.is_away = False
    await house.turn(seconds=HOUR, cycle=another)
    assert (await house.look(job)).final_cost == Decimal("2.50")


async def test_a_cancel_while_the_adapter_is_waited_for_costs_no_more_than_the_run(
    house: House, folder: Folder
) -> None:
    job = await waiting(house, folder)
    await wait(house, job)
    cancelled = await house.commands.cancel_job(USER, job.id)
    assert (cancelled.status, cancelled.final_cost) == (JobStatus.CANCELLED, Decimal("2.50"))
    assert (cancelled.completed_at, cancelled.release) == (house.clock.instant, Release.NEEDED)
    await house.turn(seconds=HOUR)
    freed = await house.look(job)
    assert (freed.release, freed.final_cost) == (Release.CONFIRMED, Decimal("2.50"))
    assert [record.cost_type for record in await house.books(job)] == ["training_compute"]


async def test_a_run_that_goes_on_after_all_is_billed_as_one_that_never_ended(
    house: House, folder: Folder
) -> None:
    job = await waiting(house, folder)
    house.cluster.jobs[job.id].then("running")
    await house.turn(seconds=HOUR)
    runs = await house.look(job)
    assert (runs.complete_since, runs.current_cost, runs.current_stage) == (None, Decimal("7.50"), "training")


async def test_the_wait_makes_no_later_estimate_longer(house: House, folder: Folder) -> None:
    job = await waiting(house, folder)
    await wait(house, job)
    folder.is_away = False
    await house.turn(seconds=30)
    gpu, model = job.gpu_config.gpu_type, job.hyperparameters.base_model
    async with house.database.read() as tx:
        [(_, _, _, begun, over)] = await costs.finished_runs(tx, USER, gpu_type=gpu, base_model=model)
    assert (begun, over) == (job.started_at, job.complete_since)
