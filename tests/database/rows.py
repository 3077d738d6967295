"""Rows for tests of the storage: a job of any status with its dataset, put there as the service, past every command."""

from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import insert, select, text

from jobs.database import Database, Transaction, datasets, jobs
from jobs.database.tables import metrics_points, training_jobs
from jobs.domain.dataset import Dataset, DatasetStatus
from jobs.domain.job import Job
from jobs.domain.lifecycle import JobStatus
from jobs.domain.metrics import Point
from tests.domain.factories import DATASET_ID, NOON, a_job

TABLES = (
    *("datasets", "training_jobs", "metrics_points", "metrics_spans", "cost_records", "notifications"),
    *("model_artifacts", "job_events"),
)


def a_dataset(user_id: str = "ada", **changes: Any) -> Dataset:
    """A dataset that is ready."""
    values: dict[str, Any] = {
        "id": uuid4(),
        "user_id": user_id,
        "name": "Pairs",
        "storage_bucket": "lora-datasets",
        "storage_path": f"{user_id}/pairs.jsonl",
        "created_at": NOON,
        "size_bytes": 36_000,
        "status": DatasetStatus.READY,
        "total_training_pairs": 400,
        "total_tokens": 40_000,
    }
    return Dataset(**(values | changes))


def new_job(status: JobStatus = JobStatus.QUEUED, **changes: Any) -> Job:
    """The factory's job of that status, with ids of its own."""
    job_id = changes.pop("id", None) or uuid4()
    job = a_job(id=job_id, status=status, **changes)
    return job if job.external_job_id is None else replace(job, external_job_id=f"run-{job_id}")


async def put(database: Database, *new: Job) -> None:
    """Store jobs as they are, each user's with a dataset; the first job's dataset has the id it names."""
    async with database.begin() as tx:
        for job in new:
            if await datasets.find(tx, job.dataset_id) is None:
                await datasets.insert_dataset(tx, a_dataset(job.user_id, id=job.dataset_id))
            values = {field.name: getattr(job, field.name) for field in fields(Job)}
            await tx.execute(insert(training_jobs).values(values))


async def put_one(database: Database, status: JobStatus = JobStatus.QUEUED, **changes: Any) -> Job:
    """Store a new job and return it."""
    job = new_job(status, **changes)
    await put(database, job)
    return job


async def look(database: Database, job: Job | UUID) -> Job:
    """The job as it is stored."""
    async with database.read() as tx:
        found = await jobs.find(tx, job.id if isinstance(job, Job) else job)
    assert found is not None
    return found


async def sql(database: Database, statement: str, user_id: str | None = None, **values: Any) -> list[Any]:
    """Rows of one plain statement in a transaction of its own."""
    async with database.begin(user_id) as tx:
        return await rows_of(tx, statement, **values)


async def rows_of(tx: Transaction, statement: str, **values: Any) -> list[Any]:
    """Rows of one plain statement."""
    result = await tx.execute(text(statement), values)
    return [tuple(row) for row in result] if result.returns_rows else []


async def counts(database: Database, tables: Sequence[str] = TABLES) -> dict[str, int]:
    """How many rows there are, as the service sees them."""
    return {table: (await sql(database, f"SELECT count(*) FROM {table}"))[0][0] for table in tables}


__all__ = [
    "DATASET_ID",
    "TABLES",
    "a_dataset",
    "counts",
    "look",
    "new_job",
    "put",
    "put_one",
    "rows_of",
    "sql",
]


async def points_of(database: Database, job: Job) -> list[Point]:
    """All points of a job, with the ranks of their reports, ascending."""
    columns = [metrics_points.c[name] for name in Point._fields]
    query = select(*columns).where(metrics_points.c.job_id == job.id).order_by(metrics_points.c.step)
    async with database.read() as tx:
        return [Point._make(row) for row in await tx.execute(query)]


def shown(points: Iterable[Point]) -> list[Point]:
    """Points as they are read to be shown."""
    return [point._replace(reported_at=None, from_callback=False) for point in points]
