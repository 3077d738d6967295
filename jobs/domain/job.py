"""One training job as a value: its row, read. Change it with `replace`."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from jobs.domain.lifecycle import JobStatus, Release
from jobs.domain.metrics import CurrentMetrics
from jobs.domain.pricing import ZERO, GpuConfig
from jobs.domain.training import Hyperparameters


@dataclass(frozen=True, kw_only=True)  # no slots: a copy is that of a dict then, a tenth of the work
class Job:
    """A job with the facts the machinery keeps beside its status. Money in US dollars, instants in UTC."""

    id: UUID
    user_id: str
    dataset_id: UUID
    hyperparameters: Hyperparameters
    gpu_config: GpuConfig
    created_at: datetime
    updated_at: datetime
    status: JobStatus = JobStatus.QUEUED
    preset_id: str | None = None
    current_stage: str | None = None
    progress: float = 0.0  #: percent, never falls
    current_epoch: int = 0
    total_epochs: int = 0
    current_step: int = 0
    total_steps: int = 0
    current_metrics: CurrentMetrics | None = None
    estimated_total_cost: Decimal = ZERO
    current_cost: Decimal = ZERO
    final_cost: Decimal | None = None
    error_message: str | None = None
    artifact_id: UUID | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None

    # What the machinery knows.
    next_action_at: datetime | None = (
        None  #: when somebody should look again; null when nothing is left to do
    )
    claim_token: UUID | None = None  #: whose claim it is now
    submitted_at: datetime | None = None  #: an attempt to submit may have left us
    signed_until: datetime | None = (
        None  #: expiry of the dataset's URL: with the paths, all a retry's body needs
    )
    external_job_id: str | None = None
    accepted_at: datetime | None = None  #: when we learnt the external id
    release: Release = Release.NONE
    releasing_since: datetime | None = None
    released_at: datetime | None = None
    last_contact_at: datetime | None = None
    contact_lost_since: datetime | None = None
    failures: int = 0  #: unanswered questions in a row
    not_found_count: int = 0
    not_found_since: datetime | None = None
    complete_since: datetime | None = None  #: its run is over, and only its adapter's storage is waited for
    stale: bool = False
    revision: int = 0  #: raised by every visible change
    idempotency_key: str | None = None
    request_hash: str | None = None


FIELDS = tuple(field.name for field in fields(Job))


def job_of(values: Iterable[Any]) -> Job:
    """The job with these values of `FIELDS`. `Job(…)` takes several times as long: frozen, it sets each by its name."""
    return _with(dict(zip(FIELDS, values, strict=True)))


def changed(job: Job, changes: dict[str, Any]) -> Job:
    """As `replace`, for the copy that is made of every job at every look."""
    values = {**vars(job)}
    values |= changes
    if len(values) != len(FIELDS):
        raise TypeError(f"a job has no {' or '.join(changes.keys() - set(FIELDS))}")
    return _with(values)


def _with(values: dict[str, Any]) -> Job:
    job = object.__new__(Job)
    object.__setattr__(job, "__dict__", values)
    return job
