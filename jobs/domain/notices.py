"""The words people are told. Types, titles, messages and priorities are SPEC's."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from jobs.domain.pricing import GpuConfig, money

NO_WORDS = "GPU cluster reported failure"  #: where the cluster gave no words of its own


class NoticeType(StrEnum):
    """What happened; at most one notification per job and type."""

    JOB_STARTED = "job_started"
    JOB_COMPLETED = "job_completed"
    JOB_FAILED = "job_failed"
    JOB_CANCELLED = "job_cancelled"
    RELEASE_SLOW = "release_slow"
    SUBMIT_PARKED = "submit_parked"


class Priority(StrEnum):
    """How loudly to say it."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class Notice:
    """One notification about one job. `final_cost` goes into its metadata."""

    type: NoticeType
    title: str
    message: str
    priority: Priority
    final_cost: Decimal | None = None


def started(gpu: GpuConfig) -> Notice:
    """The cluster has accepted the job."""
    text = f"Your training job has started on {gpu.title}"
    return Notice(NoticeType.JOB_STARTED, "Training Started", text, Priority.MEDIUM)


def completed(final: Decimal) -> Notice:
    """The cluster says it is done."""
    text = f"Your training job finished successfully. Cost: ${money(final)}"
    return Notice(NoticeType.JOB_COMPLETED, "Training Complete", text, Priority.HIGH, final)


def failed(message: str, *, ever_ran: bool) -> Notice:
    """Refused, failed or lost."""
    verb = "failed" if ever_ran else "failed to start"
    return Notice(
        NoticeType.JOB_FAILED, "Training Failed", f"Your training job {verb}: {message}", Priority.HIGH
    )


def cancelled() -> Notice:
    """Its owner stopped it."""
    text = "Your training job was cancelled"
    return Notice(NoticeType.JOB_CANCELLED, "Job Cancelled", text, Priority.MEDIUM)


def release_slow(gpu: GpuConfig) -> Notice:
    """Money is burning: the cluster has not confirmed the stop."""
    text = (
        f"The GPU cluster has not confirmed yet that your job stopped: {gpu.title} may still be running at "
        f"${money(gpu.hourly_rate)} per hour. We keep asking until it does."
    )
    return Notice(NoticeType.RELEASE_SLOW, "GPUs Not Released Yet", text, Priority.HIGH)


def parked(job_id: UUID, reason: str) -> Notice:
    """Only a person may decide: the cluster does not recognise a repeated submission."""
    text = (
        f"Nobody knows whether the GPU cluster took your job ({reason}). Your operator can settle it: "
        f"python -m jobs resolve {job_id}"
    )
    return Notice(NoticeType.SUBMIT_PARKED, "Training Waits for the Operator", text, Priority.HIGH)
