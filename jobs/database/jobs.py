"""The moves of a job's row: made, cancelled; and its readers. `claims.py` takes it, `saving.py` saves what moved,
`telling.py` what trainers report; lists are read by `job_list.py`.

Every move is guarded by what was read. No row back means that somebody was first.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    bindparam,
    case,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from jobs.database.datasets import COLUMNS as DATASET_COLUMNS
from jobs.database.engine import Transaction
from jobs.database.reading import Question, among, made_of
from jobs.database.saving import store_belongings
from jobs.database.tables import datasets, training_jobs
from jobs.domain.dataset import Dataset
from jobs.domain.job import FIELDS, Job, job_of
from jobs.domain.lifecycle import ACTIVE, FINAL, JobStatus, Release
from jobs.domain.moves import Move

_row = training_jobs.c
COLUMNS = tuple(_row[name] for name in FIELDS)  #: all but `error_stack`, which never leaves the database
_OF_MINE = select(*COLUMNS).where(_row.user_id == bindparam("user_id"))
_ONE_OF_MINE = Question(lambda _: _OF_MINE.where(_row.id == bindparam("job_id")), job_of)
ONE_WITH_DATASET = (
    _OF_MINE.add_columns(*DATASET_COLUMNS)
    .join(datasets, datasets.c.id == _row.dataset_id)
    .where(_row.id == bindparam("job_id"))
)
_dataset_of = made_of(Dataset)
_MINE = Question(lambda dialect: _OF_MINE.where(among(_row.id, "job_ids", dialect)), job_of)
_NEW = (
    *("id", "user_id", "dataset_id", "preset_id", "status", "current_stage", "total_epochs", "total_steps"),
    *("hyperparameters", "gpu_config", "estimated_total_cost", "created_at", "updated_at", "next_action_at"),
    *("idempotency_key", "request_hash"),
)
_CANCELLED = (
    *("status", "current_stage", "completed_at", "current_cost", "final_cost", "release", "releasing_since"),
    *("next_action_at", "failures", "stale", "contact_lost_since", "updated_at"),
)


def with_dataset_of(row: Sequence[Any]) -> tuple[Job, Dataset]:
    """Of the columns of `ONE_WITH_DATASET`."""
    return job_of(row[: len(COLUMNS)]), _dataset_of(row[len(COLUMNS) :])


_WITH_DATASET = Question(lambda _: ONE_WITH_DATASET, with_dataset_of)


async def insert_job(tx: Transaction, job: Job) -> bool:
    """Store a new job. False: this user has one with this idempotency key already."""
    dialect = postgresql if tx.dialect.name == "postgresql" else sqlite
    statement = (
        dialect.insert(training_jobs)
        .values({name: getattr(job, name) for name in _NEW})
        .on_conflict_do_nothing(index_elements=["user_id", "idempotency_key"])
    )
    return bool((await tx.execute(statement)).rowcount)


async def get(tx: Transaction, job_id: UUID, user_id: str) -> Job | None:
    """This user's job."""
    return await _ONE_OF_MINE.one(tx, job_id=job_id, user_id=user_id)


async def get_with_dataset(tx: Transaction, job_id: UUID, user_id: str) -> tuple[Job, Dataset] | None:
    """This user's job, and what it is trained on."""
    return await _WITH_DATASET.one(tx, job_id=job_id, user_id=user_id)


async def get_many(tx: Transaction, job_ids: Collection[UUID], user_id: str) -> dict[UUID, Job]:
    """Those of the jobs that are this user's."""
    return {job.id: job for job in await _MINE.all(tx, job_ids=list(job_ids), user_id=user_id)}


async def by_idempotency_key(tx: Transaction, user_id: str, key: str) -> Job | None:
    """The job this user made with this key."""
    query = select(*COLUMNS).where(_row.user_id == user_id, _row.idempotency_key == key)
    return _one(await tx.execute(query))


async def lock_active(tx: Transaction, job_id: UUID, user_id: str) -> Job | None:
    """This user's job if it has not ended, held until the transaction ends."""
    query = select(*COLUMNS).where(_row.id == job_id, _row.user_id == user_id, _row.status.in_(ACTIVE))
    return _one(await tx.execute(query.with_for_update()))


async def find(tx: Transaction, job_id: UUID) -> Job | None:
    """Anybody's job: for the service and its operator."""
    return _one(await tx.execute(select(*COLUMNS).where(_row.id == job_id)))


async def cancel(tx: Transaction, move: Move) -> None:
    """Store a cancel of a job that `lock_active` holds; whoever has claimed it has lost it."""
    values = {name: getattr(move.job, name) for name in _CANCELLED}
    values |= {"claim_token": None, "revision": _row.revision + 1}
    await tx.execute(update(training_jobs).where(_row.id == move.job.id).values(values))
    await store_belongings(tx, [move])


async def store_external_id(tx: Transaction, job_id: UUID, external_job_id: str, at: datetime) -> bool:
    """Store the fact that the cluster calls the job so, claim or no claim. False: another job has this id.

    A cancelled job of which it was learnt is looked at now, to stop it.
    """
    values = {
        "external_job_id": func.coalesce(_row.external_job_id, external_job_id),
        "accepted_at": func.coalesce(_row.accepted_at, _at(at)),
        "next_action_at": case(
            (_row.status.in_(FINAL) & (_row.release == Release.NEEDED), _at(at)), else_=_row.next_action_at
        ),
        "revision": _row.revision + 1,
    }
    news = (_row.id == job_id, _row.external_job_id.is_(None))
    try:
        async with tx.begin_nested():
            await tx.execute(update(training_jobs).where(*news).values(values))
    except IntegrityError:
        return False
    return True


async def set_aside(tx: Transaction, claimed: Job, *, stack: str, until: datetime) -> None:
    """A job on which our own code failed: keep the stack for its developers, and look again later."""
    values = {"error_stack": stack, "next_action_at": until, "claim_token": None}
    await tx.execute(update(training_jobs).where(_row.id == claimed.id, _held_by(claimed)).values(values))


async def is_due(tx: Transaction, now: datetime) -> bool:
    """Whether any job wants to be looked at."""
    return await tx.scalar(select(literal(1)).where(_row.next_action_at <= now).limit(1)) is not None


async def next_look(tx: Transaction) -> datetime | None:
    """When the next job that was taken up already wants to be looked at; the queue waits for the next cycle or ring."""
    due: datetime | None = await tx.scalar(
        select(func.min(_row.next_action_at)).where(_row.status != JobStatus.QUEUED)
    )
    return due


def _held_by(claimed: Job) -> ColumnElement[bool]:
    """Whether the row's claim is that of `claimed`. A job without a claim is held by nobody: `= NULL` fits nothing."""
    return _row.claim_token == literal(claimed.claim_token, _row.claim_token.type)


def _at(instant: datetime) -> ColumnElement[datetime]:
    """An instant inside an expression, where SQLAlchemy does not know the column it is meant for."""
    return literal(instant, _row.updated_at.type)


def _one(rows: Any) -> Job | None:
    row = rows.one_or_none()
    return None if row is None else job_of(row)
