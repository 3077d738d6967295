"""What trainers tell, of many jobs at once: their jobs are held, and then told, by one statement each."""

from collections.abc import Collection, Sequence
from dataclasses import fields
from functools import cache
from operator import attrgetter
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, FromClause, Select, Update, literal_column, select, update

from jobs.database.engine import Transaction
from jobs.database.parameters import ColumnList
from jobs.database.reading import Question, made_of
from jobs.database.tables import training_jobs
from jobs.domain.lifecycle import ACTIVE, JobStatus
from jobs.domain.progress import Standing

Owned = tuple[UUID, str]  #: a job's id and its owner

_row = training_jobs.c
_STANDING = tuple(field.name for field in fields(Standing))
_TOLD = (
    *("progress", "current_epoch", "current_step", "total_steps", "current_stage", "current_metrics"),
    *("updated_at", "next_action_at"),
)
_OWNED_ROWS = ColumnList({name: _row[name].type for name in ("id", "user_id")})
_TOLD_ROWS = ColumnList({name: _row[name].type for name in ("id", *_TOLD)})


async def hold(tx: Transaction, wanted: Collection[Owned]) -> dict[Owned, Standing]:
    """Those of the jobs that are active, held until the transaction ends, but for those that somebody else holds.

    So nobody waits for a job while holding others: two who do that could wait for each other.
    """
    held = await _HOLD.all(tx, **_owned(tx, wanted))
    return {(job.id, job.user_id): job for job in held}


async def statuses(tx: Transaction, wanted: Collection[Owned]) -> dict[Owned, JobStatus]:
    """How those of the jobs stand that are there."""
    rows = await tx.execute(_statuses(tx.dialect.name), _owned(tx, wanted))
    return {(row.id, row.user_id): row.status for row in rows}


async def tell(tx: Transaction, told: Sequence[Standing]) -> None:
    """Store what was told of jobs that `hold` holds, and when they are looked at next."""
    rows = _TOLD_ROWS.parameter(tx.dialect.name, map(attrgetter("id", *_TOLD), told))
    if tx.dialect.name == "postgresql":
        await _TELL.all(tx, **rows)
    else:
        await tx.execute(_tell("sqlite"), rows)


def _owned(tx: Transaction, wanted: Collection[Owned]) -> dict[str, str]:
    return _OWNED_ROWS.parameter(tx.dialect.name, wanted)


def _hold(dialect: str) -> Select[Any]:
    wanted = _OWNED_ROWS.table(dialect)
    is_active = _row.status.in_([literal_column(f"'{status}'") for status in ACTIVE])
    query = select(*(_row[name] for name in _STANDING)).where(_is_one(wanted), is_active)
    return query.with_for_update(of=training_jobs, key_share=True, skip_locked=True)


@cache
def _statuses(dialect: str) -> Select[tuple[UUID, str, JobStatus]]:
    return select(_row.id, _row.user_id, _row.status).where(_is_one(_OWNED_ROWS.table(dialect)))


@cache
def _tell(dialect: str) -> Update:
    new = _TOLD_ROWS.table(dialect).c
    values = {name: new[name] for name in _TOLD} | {"revision": _row.revision + literal_column("1")}
    return update(training_jobs).where(_row.id == new.id).values(values)


def _is_one(wanted: FromClause) -> ColumnElement[bool]:
    return (_row.id == wanted.c.id) & (_row.user_id == wanted.c.user_id)


_HOLD = Question(_hold, made_of(Standing))
_TELL = Question(  # as a `SELECT`, which Postgres' driver is asked without SQLAlchemy
    lambda dialect: select(_tell(dialect).returning(_row.id).cte("told").c.id), tuple
)
