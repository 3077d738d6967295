"""A user's jobs as a list: filtered, searched, and page by page in the order that is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    JSON,
    ColumnElement,
    Float,
    Text,
    case,
    cast,
    func,
    literal,
    null,
    or_,
    select,
    tuple_,
    type_coerce,
)

from jobs.database.engine import Position, Transaction
from jobs.database.jobs import COLUMNS
from jobs.database.tables import datasets, training_jobs
from jobs.domain.job import Job, job_of
from jobs.domain.lifecycle import JobStatus

Key = str | int | float | None

_row = training_jobs.c
_gpu = type_coerce(_row.gpu_config, JSON())
_BUSIEST_FIRST = ("RUNNING", "INITIALIZING", "QUEUED", "COMPLETED", "FAILED", "CANCELLED")


class JobOrder(StrEnum):
    """What a list may be ordered by."""

    CREATED = "created"
    DATASET = "dataset"
    STATUS = "status"
    PROGRESS = "progress"
    GPUS = "gpus"
    COST = "cost"


#: What each compares. No index serves but that of CREATED: most of these change with every look at a running job, where an
#: index would cost more than sorting one user's jobs does.
_KEYS: dict[JobOrder, ColumnElement[Any]] = {
    JobOrder.CREATED: null(),
    JobOrder.DATASET: select(func.lower(datasets.c.name))
    .where(datasets.c.id == _row.dataset_id)
    .scalar_subquery(),
    JobOrder.STATUS: case(
        {JobStatus[name]: rank for rank, name in enumerate(_BUSIEST_FIRST)}, value=_row.status
    ),
    JobOrder.PROGRESS: _row.progress,
    JobOrder.GPUS: _gpu["gpu_type"].as_string() + " " + cast(1000 + _gpu["num_gpus"].as_integer(), Text),
    JobOrder.COST: cast(func.coalesce(_row.final_cost, _row.current_cost), Float(53)),
}


@dataclass(frozen=True, slots=True)
class Listed:
    """A job, and the value that it was ordered by."""

    job: Job
    key: Key

    @property
    def id(self) -> UUID:
        """The job's."""
        return self.job.id

    @property
    def created_at(self) -> datetime:
        """The job's."""
        return self.job.created_at


async def page(
    tx: Transaction,
    user_id: str,
    *,
    limit: int,
    after: Position | None = None,
    after_key: Key = None,
    statuses: Sequence[JobStatus] = (),
    search: str = "",
    order: JobOrder = JobOrder.CREATED,
    ascending: bool = False,
) -> list[Listed]:
    """This user's jobs; with `search`, those whose dataset's name holds it or whose id begins with it.

    Of those alike in `order` the newest come first. `after` and `after_key` say where the page before ended: also when that
    job has since moved elsewhere, nothing else is left out.
    """
    key = _KEYS[order]
    query = select(key.label("key"), *COLUMNS).where(
        _row.user_id == user_id, *_among(statuses), *_found(search, user_id)
    )
    by_age = tuple_(_row.created_at, _row.id)
    oldest_first = ascending and order is JobOrder.CREATED
    if after is not None:
        at, job_id = after
        here = tuple_(literal(at, _row.created_at.type), literal(job_id, _row.id.type))
        beyond = by_age > here if oldest_first else by_age < here
        if order is not JobOrder.CREATED:
            there = literal(after_key, key.type)
            beyond = or_(key > there if ascending else key < there, (key == there) & beyond)
        query = query.where(beyond)
    if order is not JobOrder.CREATED:
        query = query.order_by(key if ascending else key.desc())
    ages = (_row.created_at, _row.id) if oldest_first else (_row.created_at.desc(), _row.id.desc())
    rows = await tx.execute(query.order_by(*ages).limit(limit))
    return [Listed(job_of(job), key) for key, *job in rows]


async def count(
    tx: Transaction, user_id: str, *, statuses: Sequence[JobStatus] = (), search: str = ""
) -> int:
    """How many jobs this user has, with one of `statuses` and found by `search` where given."""
    mine = (_row.user_id == user_id, *_among(statuses), *_found(search, user_id))
    return await tx.scalar(select(func.count()).select_from(training_jobs).where(*mine)) or 0


def _among(statuses: Sequence[JobStatus]) -> tuple[ColumnElement[bool], ...]:
    return (_row.status.in_(statuses),) if statuses else ()


def _found(search: str, user_id: str) -> tuple[ColumnElement[bool], ...]:
    if not search:
        return ()
    named = select(datasets.c.id).where(
        datasets.c.user_id == user_id, datasets.c.name.icontains(search, autoescape=True)
    )
    called = (cast(_row.id, Text), _row.external_job_id)
    return (or_(_row.dataset_id.in_(named), *(each.istartswith(search, autoescape=True) for each in called)),)
