"""What users are told; at most one row per job and type."""

from collections.abc import Collection, Sequence
from dataclasses import fields
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, bindparam, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from jobs.database.engine import Position, Transaction
from jobs.database.pages import asked, newest_first
from jobs.database.reading import Question, made_of
from jobs.database.tables import notifications
from jobs.domain.job import Job
from jobs.domain.notices import Notice
from jobs.domain.records import Notification

_row = notifications.c


@cache
def _page(*, unread_only: bool, goes_on: bool) -> Question[Notification]:
    columns = (_row[field.name] for field in fields(Notification))
    query = select(*columns).where(*_mine(unread_only=unread_only))
    return Question(lambda _: newest_first(query, notifications, goes_on=goes_on), made_of(Notification))


@cache
def _count(*, unread_only: bool) -> Question[int]:
    query = select(func.count()).select_from(notifications).where(*_mine(unread_only=unread_only))
    return Question(lambda _: query, lambda row: int(row[0]))


def _mine(*, unread_only: bool) -> Sequence[ColumnElement[bool]]:
    mine = _row.user_id == bindparam("user_id")
    return (mine, _row.read_at.is_(None)) if unread_only else (mine,)


async def insert_notices(tx: Transaction, notices: Sequence[tuple[Job, Notice]]) -> None:
    """Tell the jobs' owners; what was told before is not told again."""
    if not notices:
        return
    dialect = postgresql if tx.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(notifications).on_conflict_do_nothing(index_elements=["job_id", "type"])
    await tx.execute(statement, [_row_of(job, notice) for job, notice in notices])


async def page(
    tx: Transaction, user_id: str, *, limit: int, after: Position | None = None, unread_only: bool = False
) -> list[Notification]:
    """This user's notifications, newest first."""
    page = _page(unread_only=unread_only, goes_on=after is not None)
    return await page.all(tx, **asked(user_id, limit, after))


async def count(tx: Transaction, user_id: str, *, unread_only: bool = False) -> int:
    """How many notifications this user has."""
    return await _count(unread_only=unread_only).one(tx, user_id=user_id) or 0


async def mark_read(tx: Transaction, user_id: str, ids: Collection[UUID], at: datetime) -> None:
    """Note that the user has seen these; others' ids and those already read change nothing."""
    mine = (_row.user_id == user_id, _row.id.in_(ids), _row.read_at.is_(None))
    await tx.execute(update(notifications).where(*mine).values(read_at=at))


def _row_of(job: Job, notice: Notice) -> dict[str, Any]:
    metadata: dict[str, Any] = {"job_id": str(job.id)}
    if notice.final_cost is not None:
        metadata["final_cost"] = notice.final_cost
    return {
        "id": uuid4(),
        "user_id": job.user_id,
        "job_id": job.id,
        "type": notice.type,
        "title": notice.title,
        "message": notice.message,
        "priority": notice.priority,
        "action_url": f"/training/jobs/{job.id}",
        "metadata": metadata,
        "created_at": job.updated_at,
    }
