"""What a report, from a poll or a trainer, changes about an active job: progress, figures, stage, and the next look."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar
from uuid import UUID

from jobs.domain.job import Job
from jobs.domain.metrics import CurrentMetrics, Point
from jobs.domain.sighting import ClusterStatus, Report

TRAINING = "training"
FINISHING = "finishing"
STAGES = {
    ClusterStatus.QUEUED: "queued on the GPU cluster",
    ClusterStatus.INITIALIZING: "starting on the GPU cluster",
    ClusterStatus.RUNNING: TRAINING,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Of a job that has not ended: what reports may change, and what says when it is looked at next."""

    id: UUID
    user_id: str
    progress: float
    current_epoch: int
    current_step: int
    total_steps: int
    current_stage: str | None
    current_metrics: CurrentMetrics | None
    updated_at: datetime
    next_action_at: datetime | None
    claim_token: UUID | None
    last_contact_at: datetime | None


T = TypeVar("T", Job, Standing)


def told_by_trainer(job: Standing, reports: Sequence[Report], at: datetime, calm: timedelta) -> Standing:
    """`job` after its trainer's reports: it is looked at as soon as it has been left alone for `calm`."""
    told = job
    for report in reports:
        told = told_by(told, report, at)
    planned, look_at = _planned(job), _look_at(job, at, calm)
    return told if planned is None or planned <= look_at else replace(told, next_action_at=look_at)


def wakes(job: Standing, at: datetime, calm: timedelta) -> bool:
    """Whether a report about `job` is news to the workers: they would look too late, or nobody heard that it is due."""
    planned = _planned(job)
    return planned is not None and (planned <= at - calm or planned > _look_at(job, at, calm))


def _planned(job: Standing) -> datetime | None:
    """When somebody will take the job up; null while it is claimed, for then somebody looks now."""
    return job.next_action_at if job.claim_token is None else None


def _look_at(job: Standing, at: datetime, calm: timedelta) -> datetime:
    return max(at, job.last_contact_at + calm) if job.last_contact_at else at


def told_by(job: T, report: Report, at: datetime) -> T:
    """`job` with the progress and figures of `report`: what a poll and a callback both may change."""
    return replace(job, **what_is_told(job, report, at))


def what_is_told(job: Job | Standing, report: Report, at: datetime) -> dict[str, Any]:
    """What `report` changes of `job`, by names: a copy of a job costs as much as all else that is made of an answer."""
    told: dict[str, Any] = {
        "progress": max(job.progress, 0.0 if report.progress is None else report.progress),
        "current_epoch": _reached(report.current_epoch, job.current_epoch, report.points, "epoch"),
        "current_step": _reached(report.current_step, job.current_step, report.points, "step"),
        "total_steps": report.total_steps or job.total_steps,
        "current_metrics": _newest(report.metrics, job.current_metrics),
        "updated_at": at,
    }
    if stage := _stage(report):
        told["current_stage"] = stage
    return told


def _newest(told: CurrentMetrics | None, known: CurrentMetrics | None) -> CurrentMetrics | None:
    """Of each figure what was told, and where nothing was, what is known."""
    if told is None or known is None:
        return told or known
    untold = {name: getattr(known, name) for name in CurrentMetrics.__slots__ if getattr(told, name) is None}
    return replace(told, **untold) if untold else told


def _reached(told: int | None, known: int, points: Sequence[Point], name: Literal["step", "epoch"]) -> int:
    """As the run says itself; where it sends points alone, as far as they lead. Of percent they say nothing."""
    return max((known, *(getattr(point, name) for point in points))) if told is None else told


def _stage(report: Report) -> str | None:
    """What the run says it does; of an end that only a callback told of, that it must be confirmed."""
    if report.status is not None and report.status.is_over:
        return FINISHING
    return report.stage or (STAGES.get(report.status) if report.status else None)
