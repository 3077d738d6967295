"""One job with what nearly everybody wants to see of it, all of one instant: on Postgres by one statement."""

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Select, true

from jobs.database import jobs, metrics
from jobs.database.engine import Database
from jobs.database.packing import packed, unpacking
from jobs.database.reading import Question
from jobs.domain.dataset import Dataset
from jobs.domain.job import Job
from jobs.domain.metrics import Curve


class OneJob(NamedTuple):
    """A job, what it is trained on, and points of its curves, if they were asked for."""

    job: Job
    dataset: Dataset
    points: Curve | None


class Newest(NamedTuple):
    """Which points: `metrics.newest` says it."""

    last: int
    after_step: int | None


async def look(database: Database, job_id: UUID, user_id: str, newest: Newest | None) -> OneJob | None:
    """This user's job."""
    if newest is None:
        found = await jobs.WITH_DATASET.one_alone(database, job_id=job_id, user_id=user_id)
        return found and OneJob(*found, None)
    which = newest._asdict()
    if database.dialect == "postgresql":
        return await _WITH_NEWEST.one_alone(
            database, job_id=job_id, user_id=user_id, **metrics.which(**which)
        )
    async with database.read(user_id) as tx:
        found = await jobs.get_with_dataset(tx, job_id, user_id)
        return found and OneJob(*found, await metrics.newest(tx, job_id, **which))


def _with_newest(_: str) -> Select[Any]:
    points = packed(metrics.NEWEST).subquery("points")
    return jobs.ONE_WITH_DATASET.add_columns(*points.c).join(points, true())


def _one_job(row: Sequence[Any]) -> OneJob:
    job, dataset = jobs.with_dataset_of(row[:_WIDTH])
    return OneJob(job, dataset, metrics.newest_of(_unpack(row[_WIDTH:])))


_WIDTH = len(jobs.ONE_WITH_DATASET.selected_columns)
_unpack = unpacking(metrics.NEWEST)
_WITH_NEWEST = Question(_with_newest, _one_job)
