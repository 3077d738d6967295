"""One job with what belongs to it, as its parts are when each is asked for."""

from dataclasses import replace
from uuid import uuid4

from jobs.database import Database, costs, jobs, metrics, one_job
from jobs.database.one_job import Newest, OneJob
from jobs.domain import moves
from jobs.domain.job import Job
from jobs.domain.lifecycle import JobStatus
from tests.database.rows import new_job, put
from tests.domain.factories import a_point, after
from tests.statements import statements


async def put_one(database: Database, steps: range) -> Job:
    job = new_job(JobStatus.RUNNING)
    await put(database, job)
    async with database.begin() as tx:
        points = [a_point(step, validation_loss=0.5 if step % 3 else None) for step in steps]
        await metrics.upsert(tx, job.id, points)
    return job


async def parts(database: Database, job: Job, newest: Newest) -> OneJob | None:
    async with database.read("ada") as tx:
        found = await jobs.get_with_dataset(tx, job.id, "ada")
        books = (await costs.records(tx, [job.id]))[job.id]
        return found and OneJob(*found, books, await metrics.newest(tx, job.id, **newest._asdict()))


def told(found: OneJob | None) -> object:
    """All that is in it."""
    return found and (found.job, found.dataset, found.books, list(found.points or ()))


async def test_it_is_what_its_parts_are(database: Database) -> None:
    for steps in (range(12), range(0)):
        job = await put_one(database, steps)
        for newest in (Newest(5, None), Newest(1000, None), Newest(3, 7), Newest(3, 99)):
            whole = await one_job.look(database, job.id, "ada", newest)
            assert told(whole) == told(await parts(database, job, newest))
        assert whole is not None
        assert await one_job.look(database, job.id, "ada", None) == whole._replace(points=None)


async def test_an_ended_jobs_books_are_in_it(database: Database) -> None:
    charge = moves.cancel(new_job(JobStatus.RUNNING), after(100)).charges[0]
    later = replace(charge, cost_type="release_overrun", recorded_at=after(200.5))
    job = new_job(JobStatus.CANCELLED)
    await put(database, job)
    async with database.begin() as tx:
        await costs.insert_records(tx, [(job, charge), (job, later)])
    whole = await one_job.look(database, job.id, "ada", Newest(5, None))
    assert whole is not None
    assert [line.cost_type for line in whole.books] == ["release_overrun", "training_compute"]
    assert told(whole) == told(await parts(database, job, Newest(5, None)))


async def test_nobody_elses_and_nobodys_is_none(database: Database) -> None:
    job = await put_one(database, range(3))
    for newest in (None, Newest(5, None)):
        assert await one_job.look(database, job.id, "grace", newest) is None
        assert await one_job.look(database, uuid4(), "ada", newest) is None


async def test_on_postgres_it_costs_one_message(database: Database) -> None:
    job = await put_one(database, range(3))
    with statements(database) as seen:
        await one_job.look(database, job.id, "ada", Newest(5, None))
    assert len(seen) == (1 if database.dialect == "postgresql" else 2)
