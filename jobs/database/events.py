"""What happened to jobs that their rows do not keep: only ever added to."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import func, insert, select

from jobs.database.engine import Transaction
from jobs.database.tables import job_events, metrics_points, training_jobs
from jobs.domain.events import Event, EventKind
from jobs.domain.job import Job

_row = job_events.c


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
    query = select(_row.job_id, _row.at, _row.kind, _row.detail).where(_row.job_id.in_(job_ids))
    for job_id, *event in await tx.execute(query):
        found[job_id].append(Event(*event))
    job, point, early = training_jobs.c, metrics_points.c, metrics_points.alias("early").c
    earliest = select(func.min(early.step)).where(early.job_id == job.id).scalar_subquery()
    is_first = (point.job_id == job.id) & (point.step == earliest)
    points = select(job.id, point.timestamp, point.step).where(job.id.in_(job_ids), is_first)
    for job_id, at, step in await tx.execute(points):
        found[job_id].append(Event(at, EventKind.FIRST_METRICS, f"step {step}"))
    return found
