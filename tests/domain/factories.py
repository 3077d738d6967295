"""Jobs and their surroundings for tests: a factory fills what a status implies."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from jobs.domain.job import Job
from jobs.domain.lifecycle import FINAL, JobStatus, Release
from jobs.domain.metrics import Point
from jobs.domain.pacing import Pacing
from jobs.domain.pricing import GpuConfig
from jobs.domain.training import Hyperparameters

NOON = datetime(
    2026, 3, 14, 12, tzinfo=UTC
)  #: when the factory's jobs were created; what happens next comes later
HOUR = timedelta(hours=1)
PACING = Pacing()
JOB_ID = UUID("6d1c7a52-8a3e-4a6f-9d1b-0c2f5e7a9b10")
DATASET_ID = UUID("f3b0c8de-2d64-4a53-8e21-7b9d4c6a1e05")
CLAIM = UUID("00000000-0000-4000-8000-0000000000c1")
EXTERNAL_ID = "run-6d1c7a52"
TWO_A100 = GpuConfig("NVIDIA A100", 2, Decimal("2.50"))


def after(seconds: float) -> datetime:
    """That many seconds past noon."""
    return NOON + timedelta(seconds=seconds)


def a_job(**changes: Any) -> Job:
    """A job of the given status (queued, if none is given) with the facts that status implies; `changes` win over them.

    Queued at noon; taken up, sent and accepted five seconds later; ended an hour after noon.
    """
    status = changes.get("status", JobStatus.QUEUED)
    values: dict[str, Any] = {
        "id": JOB_ID,
        "user_id": "ada",
        "dataset_id": DATASET_ID,
        "hyperparameters": Hyperparameters(),
        "gpu_config": TWO_A100,
        "created_at": NOON,
        "updated_at": NOON,
        "next_action_at": NOON,
        "total_epochs": 3,
        "total_steps": 300,
        "estimated_total_cost": Decimal("15.00"),
    }
    if status is not JobStatus.QUEUED:
        values |= {"claim_token": CLAIM, "submitted_at": after(5)}
    if status is JobStatus.RUNNING or status in FINAL:
        values |= {
            "external_job_id": EXTERNAL_ID,
            "accepted_at": after(5),
            "started_at": after(5),
            "last_contact_at": after(5),
            "current_stage": "training",
        }
    if status in FINAL:
        values |= {
            "current_stage": None,
            "claim_token": None,
            "completed_at": NOON + HOUR,
            "current_cost": Decimal("4.99"),
            "final_cost": Decimal("4.99"),
            "release": Release.CONFIRMED,
            "released_at": NOON + HOUR,
            "next_action_at": None,
        }
    if status is JobStatus.COMPLETED:
        values["progress"] = 100.0
    if status is JobStatus.FAILED:
        values["error_message"] = "CUDA out of memory"
    if changes.get("release") is Release.NEEDED:
        values |= {"releasing_since": NOON + HOUR, "released_at": None, "next_action_at": NOON + HOUR}
    return Job(**(values | changes))


def a_point(step: int, **changes: Any) -> Point:
    """A point of that step with a plausible loss, reported by a poll without a clock of its own."""
    values: dict[str, Any] = {"timestamp": after(step), "epoch": 1, "training_loss": 2.0}
    return Point(step=step, **(values | changes))
