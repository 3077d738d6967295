"""A user's jobs as a list: filtered, searched, and page by page in the order that is asked for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    JSON,
    ColumnElement,
    Float,
    Select,
    Text,
    bindparam,
    case,
    cast,
    func,
    null,
    or_,
    select,
    tuple_,
    type_coerce,
)

from jobs.database.engine import Position, Transaction
from jobs.database.jobs import COLUMNS
from jobs.database.pages import LIMIT, asked, position
from jobs.database.reading import Question, among
from jobs.database.tables import datasets, training_jobs
from jobs.domain.job import Job, job_of
from jobs.domain.lifecycle import JobStatus

Key = str | int | float | None

_row = training_jobs.c
_gpu = type_coerce(_row.gpu_config, JSON())
_ESCAPE = "/"
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
    page = _page(
        order,
        ascending=ascending,
        goes_on=after is not None,
        by_status=bool(statuses),
        searches=bool(search),
    )
    more = {"key": after_key, "statuses": list(statuses), "words": _escaped(search)}
    return await page.all(tx, **asked(user_id, limit, after), **more)


async def count(
    tx: Transaction, user_id: str, *, statuses: Sequence[JobStatus] = (), search: str = ""
) -> int:
    """How many jobs this user has, with one of `statuses` and found by `search` where given."""
    count = _count(by_status=bool(statuses), searches=bool(search))
    return await count.one(tx, user_id=user_id, statuses=list(statuses), words=_escaped(search)) or 0


@cache
def _page(
    order: JobOrder, *, ascending: bool, goes_on: bool, by_status: bool, searches: bool
) -> Question[Listed]:
    def statement(dialect: str) -> Select[Any]:
        key = _KEYS[order]
        query = select(key.label("key"), *COLUMNS).where(
            *_wanted(dialect, by_status=by_status, searches=searches)
        )
        oldest_first = ascending and order is JobOrder.CREATED
        if goes_on:
            by_age, here = tuple_(_row.created_at, _row.id), position(training_jobs)
            beyond = by_age > here if oldest_first else by_age < here
            if order is not JobOrder.CREATED:
                there = bindparam("key", type_=key.type)
                beyond = or_(key > there if ascending else key < there, (key == there) & beyond)
            query = query.where(beyond)
        if order is not JobOrder.CREATED:
            query = query.order_by(key if ascending else key.desc())
        ages = (_row.created_at, _row.id) if oldest_first else (_row.created_at.desc(), _row.id.desc())
        return query.order_by(*ages).limit(LIMIT)

    return Question(statement, lambda row: Listed(job_of(row[1:]), row[0]))


@cache
def _count(*, by_status: bool, searches: bool) -> Question[int]:
    return Question(
        lambda dialect: (
            select(func.count())
            .select_from(training_jobs)
            .where(*_wanted(dialect, by_status=by_status, searches=searches))
        ),
        lambda row: int(row[0]),
    )


def _wanted(dialect: str, *, by_status: bool, searches: bool) -> Iterator[ColumnElement[bool]]:
    words = bindparam("words", type_=Text())
    yield _row.user_id == bindparam("user_id")
    if by_status:
        yield among(_row.status, "statuses", dialect)
    if searches:
        named = select(datasets.c.id).where(
            datasets.c.user_id == bindparam("user_id"), datasets.c.name.icontains(words, escape=_ESCAPE)
        )
        called = (cast(_row.id, Text), _row.external_job_id)
        begins = (each.istartswith(words, escape=_ESCAPE) for each in called)
        yield or_(_row.dataset_id.in_(named), *begins)


def _escaped(search: str) -> str:
    """So that each character stands for itself."""
    for special in (_ESCAPE, "%", "_"):
        search = search.replace(special, _ESCAPE + special)
    return search
