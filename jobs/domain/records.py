"""What a job leaves behind, as people read it: lines in the books, notifications, the adapter."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from jobs.domain.notices import NoticeType, Priority


@dataclass(frozen=True, slots=True)
class ChargeDetails:
    """What was held, and for how many hours."""

    gpu_type: str
    gpu_count: int
    duration_hours: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class CostRecord:
    """One line of the books. `amount` in dollars."""

    id: UUID
    job_id: UUID
    cost_type: str
    amount: Decimal
    details: ChargeDetails
    billing_period: date
    recorded_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """What its owner was told about a job."""

    id: UUID
    type: NoticeType
    title: str
    message: str
    priority: Priority
    action_url: str
    job_id: UUID
    read_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """The adapter of a finished job. `size_bytes` and `sha256` of the file."""

    id: UUID
    user_id: str
    job_id: UUID
    name: str
    storage_bucket: str
    storage_path: str
    size_bytes: int
    sha256: str
    created_at: datetime
