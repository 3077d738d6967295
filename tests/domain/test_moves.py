"""What every sighting makes of every status: cases in tables, and the words people are told."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from jobs.domain.errors import IllegalTransition
from jobs.domain.job import Job
from jobs.domain.lifecycle import ACTIVE, FINAL, JobStatus, Release
from jobs.domain.moves import TRAINING_COMPUTE, Move, cancel, fold
from jobs.domain.notices import Notice, NoticeType, Priority
from jobs.domain.pacing import Pacing
from jobs.domain.pricing import ZERO
from jobs.domain.sighting import (
    Accepted,
    ClusterStatus,
    Denied,
    NoReport,
    NotFound,
    NotNow,
    Refused,
    Report,
    Sighting,
    StillHeld,
    Stopped,
    Unclear,
    Unseen,
)
from tests.domain.factories import CLAIM, EXTERNAL_ID, HOUR, NOON, PACING, a_job, after

QUEUED, INITIALIZING, RUNNING, COMPLETED, FAILED, CANCELLED = JobStatus
LATER = NOON + HOUR + timedelta(seconds=5)  # an hour after the factory's jobs started: $5.00
SIGHTINGS: dict[str, Sighting] = {
    "accepted": Accepted("run-new"),
    "refused": Refused("No such model."),
    "not now": NotNow("it answered 429"),
    "unreachable": NotNow("connection refused", answered=False),
    "denied": Denied("it answered 401"),
    "unclear": Unclear("it answered 502"),
    "says nothing": Report(),
    "says running": Report(status=ClusterStatus.RUNNING),
    "says completed": Report(status=ClusterStatus.COMPLETED),
    "says failed": Report(status=ClusterStatus.FAILED),
    "says cancelled": Report(status=ClusterStatus.CANCELLED),
    "not found": NotFound(),
    "no report": NoReport("it answered 500"),
    "unseen": Unseen("no bucket"),
    "stopped": Stopped(),
    "still held": StillHeld("it answered 500"),
}
ENDS = {"says completed": COMPLETED, "says failed": FAILED, "says cancelled": FAILED}
UNRELEASED: dict[str, Any] = {"status": CANCELLED, "release": Release.NEEDED}
ROWS: dict[str, tuple[Job, dict[str, tuple[JobStatus, Release]]]] = {
    # each row, and what changes in its status or release; whatever is not named leaves both as they are
    "queued": (a_job(), {}),
    "initializing": (
        a_job(status=INITIALIZING),
        {"accepted": (RUNNING, Release.NONE), "refused": (FAILED, Release.NONE)},
    ),
    "initializing, known there": (
        a_job(status=INITIALIZING, external_job_id=EXTERNAL_ID, accepted_at=after(5)),
        {
            name: (ENDS.get(name, RUNNING), Release.CONFIRMED if name in ENDS else Release.NONE)
            for name in SIGHTINGS
        },
    ),
    "running": (a_job(status=RUNNING), {name: (status, Release.CONFIRMED) for name, status in ENDS.items()}),
    "completed": (a_job(status=COMPLETED), {}),
    "failed, never sent": (a_job(status=FAILED, release=Release.NONE, external_job_id=None), {}),
    "failed, still held": (
        a_job(status=FAILED, release=Release.NEEDED),
        {"stopped": (FAILED, Release.CONFIRMED), "refused": (FAILED, Release.CONFIRMED)},
    ),
    "cancelled, still held": (
        a_job(**UNRELEASED),
        {"stopped": (CANCELLED, Release.CONFIRMED), "refused": (CANCELLED, Release.CONFIRMED)},
    ),
    "cancelled, maybe held": (
        a_job(**UNRELEASED, external_job_id=None, accepted_at=None, started_at=None),
        {"stopped": (CANCELLED, Release.CONFIRMED), "refused": (CANCELLED, Release.CONFIRMED)},
    ),
    "cancelled and released": (a_job(status=CANCELLED), {}),
}


@pytest.mark.parametrize("sighting", SIGHTINGS)
@pytest.mark.parametrize("row", ROWS)
def test_every_row_with_every_sighting(row: str, sighting: str) -> None:
    job, changes = ROWS[row]
    if row == "queued" and sighting in {"accepted", "refused"}:
        with pytest.raises(IllegalTransition):
            fold(job, SIGHTINGS[sighting], LATER, PACING)
        return
    move = fold(job, SIGHTINGS[sighting], LATER, PACING)
    assert (move.job.status, move.job.release) == changes.get(sighting, (job.status, job.release))
    if job.status.is_final and job.release is not Release.NEEDED:
        assert move == Move(job)
    holds_together(job, move)


def holds_together(before: Job, move: Move) -> None:
    """What must be true of any job after any move."""
    job = move.job
    assert job.status.is_final == (job.completed_at is not None) == (job.final_cost is not None)
    assert (job.next_action_at is None) == (job.status.is_final and job.release is not Release.NEEDED)
    assert (job.release is Release.NEEDED) <= (job.releasing_since is not None)
    assert (job.release is Release.NEEDED) <= (
        job.submitted_at is not None or job.external_job_id is not None
    )
    assert (job.status is RUNNING) <= (job.started_at is not None and job.external_job_id is not None)
    assert (job.status is COMPLETED) <= (job.progress == 100.0)
    assert (job.status is FAILED) <= bool(job.error_message)
    assert (before.id, before.user_id, before.gpu_config, before.claim_token) == (
        *(job.id, job.user_id, job.gpu_config, job.claim_token),
    )
    if job.status.is_final and not before.status.is_final:
        assert job.completed_at == LATER
        assert job.final_cost == job.current_cost == sum((charge.amount for charge in move.charges), ZERO)
        assert bool(move.charges) == (job.started_at is not None)
        assert [notice.type for notice in move.notices][-1:] == [f"job_{job.status}"]
        assert not job.stale


@pytest.mark.parametrize("status", FINAL)
def test_a_finished_job_cannot_be_cancelled(status: JobStatus) -> None:
    with pytest.raises(IllegalTransition):
        cancel(a_job(status=status), LATER)


@pytest.mark.parametrize(
    ("job", "release", "dollars"),
    [
        (a_job(), Release.NONE, "0.00"),
        (a_job(status=INITIALIZING, submitted_at=None), Release.NONE, "0.00"),
        (a_job(status=INITIALIZING), Release.NEEDED, "0.00"),
        (a_job(status=INITIALIZING, external_job_id=EXTERNAL_ID), Release.NEEDED, "0.00"),
        (a_job(status=RUNNING), Release.NEEDED, "5.00"),
        (a_job(status=RUNNING, failures=9, stale=True, not_found_count=2), Release.NEEDED, "5.00"),
    ],
)
def test_a_cancel_ends_the_job_at_once_and_leaves_the_rest_to_be_released(
    job: Job, release: Release, dollars: str
) -> None:
    move = cancel(job, LATER)
    ended = move.job
    assert (ended.status, ended.release, ended.completed_at) == (CANCELLED, release, LATER)
    assert str(ended.final_cost) == dollars
    assert [(charge.cost_type, str(charge.amount)) for charge in move.charges] == (
        [(TRAINING_COMPUTE, dollars)] if job.started_at else []
    )
    assert ended.next_action_at == ended.releasing_since == (LATER if release is Release.NEEDED else None)
    assert ended.claim_token is None  # a worker that is under way has lost the job
    assert (ended.stale, ended.failures, ended.current_stage) == (False, 0, None)
    assert move.notices == (
        Notice(NoticeType.JOB_CANCELLED, "Job Cancelled", "Your training job was cancelled", Priority.MEDIUM),
    )


def test_the_words_people_are_told() -> None:
    sent, running = a_job(status=INITIALIZING), a_job(status=RUNNING)
    failed = Report(status=ClusterStatus.FAILED, error_message="CUDA out of memory")
    told = [
        *fold(sent, Accepted("run-1"), LATER, PACING).notices,
        *fold(running, Report(status=ClusterStatus.COMPLETED), LATER, PACING).notices,
        *fold(running, failed, LATER, PACING).notices,
        *fold(running, Report(status=ClusterStatus.FAILED), LATER, PACING).notices,
        *fold(running, Report(status=ClusterStatus.CANCELLED), LATER, PACING).notices,
        *fold(sent, Refused("No such model."), LATER, PACING).notices,
    ]
    assert [(notice.type, notice.title, notice.message, notice.priority) for notice in told] == [
        ("job_started", "Training Started", "Your training job has started on 2x NVIDIA A100", "medium"),
        ("job_completed", "Training Complete", "Your training job finished successfully. Cost: $5.00", "high"),
        ("job_failed", "Training Failed", "Your training job failed: CUDA out of memory", "high"),
        ("job_failed", "Training Failed", "Your training job failed: GPU cluster reported failure", "high"),
        ("job_failed", "Training Failed", "Your training job failed: The cluster cancelled this job.", "high"),
        ("job_failed", "Training Failed", "Your training job failed to start: No such model.", "high"),
    ]  # fmt: skip
    assert [notice.final_cost for notice in told] == [None, Decimal("5.00"), *[None] * 4]


def test_an_acceptance_starts_the_clock() -> None:
    move = fold(a_job(status=INITIALIZING, failures=2), Accepted("run-1"), after(60), PACING)
    job = move.job
    assert (job.status, job.external_job_id, job.current_stage) == (RUNNING, "run-1", "training")
    assert job.started_at == job.accepted_at == job.last_contact_at == after(60)
    assert (job.submitted_at, job.failures, job.next_action_at) == (after(5), 0, after(90))
    first_try = fold(a_job(status=INITIALIZING, submitted_at=None), Accepted("run-1"), after(60), PACING)
    assert first_try.job.submitted_at == after(60)


def test_an_acceptance_that_was_only_stored_starts_the_job_when_it_happened() -> None:
    known = a_job(status=INITIALIZING, external_job_id="run-1", accepted_at=after(7))
    move = fold(known, Report(status=ClusterStatus.COMPLETED), after(3_607), PACING)
    assert [notice.type for notice in move.notices] == ["job_started", "job_completed"]
    assert (move.job.started_at, str(move.job.final_cost)) == (after(7), "5.00")


@pytest.mark.parametrize(
    ("sighting", "stage", "sent"),
    [
        (NotNow("it answered 429"), "The GPU cluster says to come back later (it answered 429)", False),
        (NotNow("refused", answered=False), "The GPU cluster cannot be reached (refused)", False),
        (
            Denied("it answered 401"),
            "The GPU cluster refuses our credentials (it answered 401); the operator must set GPU_CLUSTER_API_KEY",
            False,
        ),
        (Unclear("timeout"), "Asking the GPU cluster again whether it took the job (timeout)", True),
    ],
)
def test_a_submission_that_waits_says_for_what(sighting: Sighting, stage: str, sent: bool) -> None:
    fresh = a_job(status=INITIALIZING, submitted_at=None)
    job = fold(fresh, sighting, after(60), PACING).job
    assert (job.status, job.current_stage, job.failures) == (INITIALIZING, stage, 1)
    assert job.submitted_at == (after(60) if sent else None)
    assert job.next_action_at is not None
    assert timedelta(seconds=4) <= job.next_action_at - after(60) <= timedelta(seconds=6)


def test_a_cluster_that_says_when_is_not_asked_before() -> None:
    wait = timedelta(minutes=12)
    for job, sighting in (
        (a_job(status=INITIALIZING), NotNow("it answered 503", wait)),
        (a_job(status=INITIALIZING), Unclear("it answered 502", wait)),
        (a_job(status=RUNNING), NoReport("it answered 503", wait)),
        (a_job(**UNRELEASED), StillHeld("it answered 503", wait)),
    ):
        assert fold(job, sighting, LATER, PACING).job.next_action_at == LATER + wait


def test_no_job_ends_before_it_started() -> None:
    job = cancel(a_job(status=RUNNING), after(4.99)).job
    assert (job.completed_at, str(job.final_cost)) == (job.started_at, "0.00")


@pytest.mark.parametrize("status", ACTIVE)
def test_the_claim_stays_with_the_worker_that_folds(status: JobStatus) -> None:
    job = a_job(status=status, claim_token=CLAIM)
    assert fold(job, NotNow("later"), LATER, Pacing()).job.claim_token == CLAIM
