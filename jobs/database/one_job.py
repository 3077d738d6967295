"""One job with what nearly everybody wants to see of it, all of one instant: on Postgres by one statement."""

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Select, true

from jobs.database import costs, jobs, metrics
from jobs.database.engine import Database
from jobs.database.packing import packed, unpacking
from jobs.database.reading import Question
from jobs.domain.dataset import Dataset
from jobs.domain.job import Job
from jobs.domain.metrics import Curve
from jobs.domain.records import CostRecord


class OneJob(NamedTuple):
    """A job, what it is trained on, its lines in the books, and points of its curves, if they were asked for."""

    job: Job
    dataset: Dataset
    books: list[CostRecord]
    points: Curve | None


class Newest(NamedTuple):
    """Which points: `metrics.newest` says it."""

    last: int
    after_step: int | None


async def look(database: Database, job_id: UUID, user_id: str, newest: Newest | None) -> OneJob | None:
    """This user's job."""
    if database.dialect == "sqlite":
        return await _look_piece_by_piece(database, job_id, user_id, newest)
    if newest is None:
        return await _ALONE.one_alone(database, job_id=job_id, user_id=user_id)
    asked = metrics.newest_parameters(**newest._asdict())
    return await _WITH_NEWEST.one_alone(database, job_id=job_id, user_id=user_id, **asked)


async def _look_piece_by_piece(
    database: Database, job_id: UUID, user_id: str, newest: Newest | None
) -> OneJob | None:
    async with database.read(user_id) as tx:
        found = await jobs.get_with_dataset(tx, job_id, user_id)
        if found is None:
            return None
        # While it goes on nothing is booked.
        books = [] if found[0].final_cost is None else (await costs.records(tx, [job_id]))[job_id]
        points = newest and await metrics.newest(tx, job_id, **newest._asdict())
        return OneJob(*found, books, points)


def _with_newest(_: str) -> Select[Any]:
    points = packed(metrics.NEWEST).subquery("points")
    return _WITH_BOOKS.add_columns(*points.c).join(points, true())


def _one_job(row: Sequence[Any]) -> OneJob:
    found = jobs.with_dataset_of(row[:_WIDTH])
    points = row[_WIDTH + 1 :]
    return OneJob(*found, row[_WIDTH] or [], metrics.curve_of(_unpack(points)) if points else None)


_WIDTH = len(jobs.ONE_WITH_DATASET.selected_columns)
_WITH_BOOKS = jobs.ONE_WITH_DATASET.add_columns(costs.BOOKS)
_unpack = unpacking(metrics.NEWEST)
_ALONE = Question(lambda _: _WITH_BOOKS, _one_job)
_WITH_NEWEST = Question(_with_newest, _one_job)
