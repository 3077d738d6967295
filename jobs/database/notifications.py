"""What users are told; at most one row per job and type."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import func, literal, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from jobs.database.engine import Position, Transaction
from jobs.database.tables import notifications
from jobs.domain.job import Job
from jobs.domain.notices import Notice
from jobs.domain.records import Notification

_row = notifications.c
_COLUMNS = (
    *(_row.id, _row.type, _row.title, _row.message, _row.priority, _row.action_url, _row.job_id),
    *(_row.read_at, _row.created_at),
)


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
    query = select(*_COLUMNS).where(_row.user_id == user_id)
    if unread_only:
        query = query.where(_row.read_at.is_(None))
    if after is not None:
        at, notification_id = after
        here = tuple_(literal(at, _row.created_at.type), literal(notification_id, _row.id.type))
        query = query.where(tuple_(_row.created_at, _row.id) < here)
    query = query.order_by(_row.created_at.desc(), _row.id.desc()).limit(limit)
    return [Notification(**row._mapping) for row in await tx.execute(query)]


async def count(tx: Transaction, user_id: str, *, unread_only: bool = False) -> int:
    """How many notifications this user has."""
    query = select(func.count()).select_from(notifications).where(_row.user_id == user_id)
    if unread_only:
        query = query.where(_row.read_at.is_(None))
    return await tx.scalar(query) or 0


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
