"""What happened to jobs that their rows do not keep: only ever added to."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, CompoundSelect, Text, cast, func, insert, literal_column, select

from jobs.database.engine import Transaction
from jobs.database.reading import Question, among
from jobs.database.tables import job_events, metrics_points, training_jobs
from jobs.domain.events import Event, EventKind
from jobs.domain.job import Job

_row = job_events.c


def _of_jobs(dialect: str) -> CompoundSelect[Any]:
    job, point, early = training_jobs.c, metrics_points.c, metrics_points.alias("early").c
    kept = select(_row.job_id, _row.at, _row.kind, _row.detail).where(among(_row.job_id, "job_ids", dialect))
    earliest = select(func.min(early.step)).where(early.job_id == job.id).scalar_subquery()
    kind = literal_column(f"'{EventKind.FIRST_METRICS.value}'", _row.kind.type)
    detail: ColumnElement[str] = literal_column("'step '") + cast(point.step, Text())
    first = select(job.id, point.timestamp, kind, detail).where(
        among(job.id, "job_ids", dialect), point.job_id == job.id, point.step == earliest
    )
    return kept.union_all(first)


_OF_JOBS = Question(_of_jobs, lambda row: (row[0], Event(*row[1:])))


async def insert_events(tx: Transaction, told: Sequence[tuple[Job, Event]]) -> None:
    """Write a line for each."""
    if told:
        rows = [
            {"job_id": job.id, "at": event.at, "kind": event.kind, "detail": event.detail}
            for job, event in told
        ]
        await tx.execute(insert(job_events), rows)


async def kept(tx: Transaction, job_ids: Collection[UUID]) -> dict[UUID, list[Event]]:
    """What was kept of each job, and its first metrics; the ids come from jobs that the caller may see."""
    found: dict[UUID, list[Event]] = defaultdict(list)
    for job_id, event in await _OF_JOBS.all(tx, job_ids=list(job_ids)):
        found[job_id].append(event)
    return found
