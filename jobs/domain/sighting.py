"""What one question to the cluster brought: every possible answer, and none, has a type that says what it proves."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from jobs.domain.metrics import CurrentMetrics, Point


class ClusterStatus(StrEnum):
    """The words of the wire contract; any other word is no information."""

    QUEUED = "queued"
    INITIALIZING = "initializing"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_over(self) -> bool:
        """Whether nothing of the run holds a GPU any more."""
        return self in _OVER


_OVER = frozenset({ClusterStatus.COMPLETED, ClusterStatus.FAILED, ClusterStatus.CANCELLED})


@dataclass(frozen=True, slots=True)
class Accepted:
    """Submit: the cluster has the job, under this id."""

    external_job_id: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Submit: understood and declined; asking again will not help."""

    message: str


@dataclass(frozen=True, slots=True)
class NotNow:
    """Submit: certainly not taken, ask later. `answered`: the cluster itself said so."""

    reason: str
    retry_after: timedelta | None = None
    answered: bool = True


@dataclass(frozen=True, slots=True)
class Denied:
    """Any verb: our credentials are refused. Our outage, never the job's failure."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unclear:
    """Submit: it may have arrived or not; only the same key can tell."""

    reason: str
    retry_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class ReportedArtifact:
    """What the run says of its result. The size in bytes."""

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Poll or callback: a status document, strictly read; null where it said nothing usable."""

    status: ClusterStatus | None = None
    progress: float | None = None
    current_epoch: int | None = None
    current_step: int | None = None
    total_steps: int | None = None
    stage: str | None = None
    metrics: CurrentMetrics | None = None
    points: tuple[Point, ...] = ()  #: ascending, each step once
    error_message: str | None = None
    finished_at: datetime | None = None
    artifact: ReportedArtifact | None = None


@dataclass(frozen=True, slots=True)
class NotFound:
    """Poll: the cluster does not know this id."""


@dataclass(frozen=True, slots=True)
class NoReport:
    """Poll: no usable answer, so nothing may be concluded."""

    reason: str
    retry_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Unseen:
    """Poll: the run is complete, and our storage cannot be asked for its adapter. Our outage, never the job's failure."""

    reason: str
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Stopped:
    """Stop: proven that nothing of the run holds a GPU."""

    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class StillHeld:
    """Stop: asked, not proven."""

    reason: str
    retry_after: timedelta | None = None


Sighting = (
    Accepted
    | Refused
    | NotNow
    | Denied
    | Unclear
    | Report
    | NotFound
    | NoReport
    | Unseen
    | Stopped
    | StillHeld
)
