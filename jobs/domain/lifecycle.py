"""What a job may become: one table, and `advance` is the only way through it.

Public statuses move rightwards only. What the machinery needs to know besides is facts in columns (`job.py`), not more
statuses; `next_step` derives from them what to ask of the cluster next.
"""

from enum import StrEnum
from typing import TYPE_CHECKING

from jobs.domain.errors import IllegalTransition

if TYPE_CHECKING:
    from jobs.domain.job import Job


class JobStatus(StrEnum):
    """The six public statuses. Each says what the reader may conclude."""

    QUEUED = "queued"  #: accepted here; the cluster has certainly not heard of it
    INITIALIZING = "initializing"  #: taken up by a worker; the cluster may have heard of it
    RUNNING = "running"  #: the cluster has accepted it; money runs
    COMPLETED = "completed"  #: the cluster said so
    FAILED = "failed"  #: refused, failed, or lost; `error_message` says which
    CANCELLED = "cancelled"  #: its owner stopped it; `release` says whether the GPUs are free

    @property
    def is_final(self) -> bool:
        """Whether nothing may follow."""
        return not TRANSITIONS[self]


class Seen(StrEnum):
    """What can happen to a job."""

    CLAIMED = "claimed"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    COMPLETED = "completed"
    FAILED = "failed"
    LOST = "lost"
    CANCELLED = "cancelled"


TRANSITIONS: dict[JobStatus, dict[Seen, JobStatus]] = {
    JobStatus.QUEUED: {
        Seen.CLAIMED: JobStatus.INITIALIZING,
        Seen.CANCELLED: JobStatus.CANCELLED,
    },
    JobStatus.INITIALIZING: {
        Seen.CLAIMED: JobStatus.INITIALIZING,  # taken over from a worker that went away
        Seen.ACCEPTED: JobStatus.RUNNING,
        Seen.REFUSED: JobStatus.FAILED,
        Seen.LOST: JobStatus.FAILED,
        Seen.CANCELLED: JobStatus.CANCELLED,
    },
    JobStatus.RUNNING: {
        Seen.COMPLETED: JobStatus.COMPLETED,
        Seen.FAILED: JobStatus.FAILED,
        Seen.LOST: JobStatus.FAILED,
        Seen.CANCELLED: JobStatus.CANCELLED,
    },
    JobStatus.COMPLETED: {},
    JobStatus.FAILED: {},
    JobStatus.CANCELLED: {},
}

ACTIVE = tuple(status for status in JobStatus if TRANSITIONS[status])
FINAL = tuple(status for status in JobStatus if not TRANSITIONS[status])


def advance(status: JobStatus, seen: Seen) -> JobStatus:
    """The status that follows. Raises `IllegalTransition`, and then nothing has changed."""
    try:
        return TRANSITIONS[status][seen]
    except KeyError:
        raise IllegalTransition(f"a job cannot be {seen.value} while it is {status.value}") from None


class Release(StrEnum):
    """Whether the cluster still holds GPUs for a job that should not run."""

    NONE = "none"  #: nothing was ever sent, or it still should run
    NEEDED = "needed"  #: something was or may have been sent, and must not run
    CONFIRMED = "confirmed"  #: the cluster has shown that nothing of it runs


class Step(StrEnum):
    """What to ask of the cluster about a job."""

    SUBMIT = (
        "submit"  #: also for a cancelled job whose submission may have arrived: the same key tells its id
    )
    POLL = "poll"
    STOP = "stop"
    PARK = "park"  #: nothing may be asked: the cluster does not deduplicate, and may have heard already
    NOTHING = "nothing"


def next_step(job: "Job", *, dedupes: bool = True) -> Step:
    """What the row asks for. `dedupes`: the cluster answers a repeated key with the same run."""
    if job.status.is_final and job.release is not Release.NEEDED:
        return Step.NOTHING
    if job.external_job_id is not None:
        return Step.STOP if job.status.is_final else Step.POLL
    if job.submitted_at is not None and not dedupes:
        return Step.PARK
    return Step.SUBMIT
