"""What happened to a job, told to people: mostly its row's own instants; what the row forgets is kept as it happens."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from jobs.domain.job import Job
from jobs.domain.lifecycle import JobStatus


class EventKind(StrEnum):
    """What happened, in the order in which things of one instant are told."""

    CREATED = "created"
    SUBMITTED = "submitted"
    ACCEPTED = "accepted"
    FIRST_METRICS = "first_metrics"
    STALE = "stale"
    RECOVERED = "recovered"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    RELEASED = "released"


_ORDER = {kind: place for place, kind in enumerate(EventKind)}
_ENDS = {
    JobStatus.COMPLETED: EventKind.COMPLETED,
    JobStatus.FAILED: EventKind.FAILED,
    JobStatus.CANCELLED: EventKind.CANCELLED,
}


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to a job. `detail`: why or what, in words."""

    at: datetime
    kind: EventKind
    detail: str | None = None


def of_contact(before: Job, after: Job, reason: str | None, at: datetime) -> tuple[Event, ...]:
    """What a question asked at `at` has shown of the cluster's silence; the row keeps only that of now."""
    if after.stale and not before.stale:
        return (Event(at, EventKind.STALE, reason),)
    heard = after.last_contact_at != before.last_contact_at
    return (Event(at, EventKind.RECOVERED),) if before.stale and not after.stale and heard else ()


def history(job: Job, kept: Sequence[Event]) -> list[Event]:
    """All that happened to `job`, oldest first; `kept` is what its row does not tell."""
    end = _ENDS.get(job.status)
    told = [
        (job.created_at, EventKind.CREATED, job.preset_id),
        (job.submitted_at, EventKind.SUBMITTED, None),
        (job.started_at, EventKind.ACCEPTED, job.gpu_config.title),
        (job.released_at, EventKind.RELEASED, None),
        *([(job.completed_at, end, job.error_message)] if end else []),
    ]
    events = [Event(at, kind, detail) for at, kind, detail in told if at is not None]
    return sorted([*events, *kept], key=lambda event: (event.at, _ORDER[event.kind]))
