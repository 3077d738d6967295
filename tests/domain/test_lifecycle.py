"""What may follow what, and what each kind of row asks of the cluster."""

from typing import Any

import pytest

from jobs.domain.errors import IllegalTransition
from jobs.domain.lifecycle import (
    ACTIVE,
    FINAL,
    TRANSITIONS,
    JobStatus,
    Release,
    Seen,
    Step,
    advance,
    next_step,
)
from tests.domain.factories import EXTERNAL_ID, NOON, a_job

QUEUED, INITIALIZING, RUNNING, COMPLETED, FAILED, CANCELLED = JobStatus
LEGAL = {
    (QUEUED, Seen.CLAIMED): INITIALIZING,
    (QUEUED, Seen.CANCELLED): CANCELLED,
    (INITIALIZING, Seen.CLAIMED): INITIALIZING,
    (INITIALIZING, Seen.ACCEPTED): RUNNING,
    (INITIALIZING, Seen.REFUSED): FAILED,
    (INITIALIZING, Seen.LOST): FAILED,
    (INITIALIZING, Seen.CANCELLED): CANCELLED,
    (RUNNING, Seen.COMPLETED): COMPLETED,
    (RUNNING, Seen.FAILED): FAILED,
    (RUNNING, Seen.LOST): FAILED,
    (RUNNING, Seen.CANCELLED): CANCELLED,
}
NEVER_SENT: dict[str, Any] = {"external_job_id": None, "submitted_at": None}
MAYBE_SENT: dict[str, Any] = {"external_job_id": None, "submitted_at": NOON}
KNOWN_THERE: dict[str, Any] = {"external_job_id": EXTERNAL_ID, "submitted_at": NOON}


@pytest.mark.parametrize("status", JobStatus)
@pytest.mark.parametrize("seen", Seen)
def test_only_the_legal_moves_are_made(status: JobStatus, seen: Seen) -> None:
    if (status, seen) in LEGAL:
        assert advance(status, seen) is LEGAL[status, seen]
    else:
        with pytest.raises(IllegalTransition, match=f"cannot be {seen} while it is {status}"):
            advance(status, seen)


def test_statuses_move_rightwards_and_end_for_good() -> None:
    order = list(JobStatus)
    assert list(TRANSITIONS) == order
    assert all(
        order.index(after) >= order.index(before)
        for before in JobStatus
        for after in TRANSITIONS[before].values()
    )
    assert (ACTIVE, FINAL) == ((QUEUED, INITIALIZING, RUNNING), (COMPLETED, FAILED, CANCELLED))
    assert [status.is_final for status in JobStatus] == [False, False, False, True, True, True]


@pytest.mark.parametrize(
    ("status", "release", "facts", "expected", "without_dedupe"),
    [
        (QUEUED, Release.NONE, NEVER_SENT, Step.SUBMIT, Step.SUBMIT),
        (INITIALIZING, Release.NONE, NEVER_SENT, Step.SUBMIT, Step.SUBMIT),
        (INITIALIZING, Release.NONE, MAYBE_SENT, Step.SUBMIT, Step.PARK),
        (INITIALIZING, Release.NONE, KNOWN_THERE, Step.POLL, Step.POLL),
        (RUNNING, Release.NONE, KNOWN_THERE, Step.POLL, Step.POLL),
        (COMPLETED, Release.CONFIRMED, KNOWN_THERE, Step.NOTHING, Step.NOTHING),
        (FAILED, Release.NONE, NEVER_SENT, Step.NOTHING, Step.NOTHING),
        (FAILED, Release.NEEDED, MAYBE_SENT, Step.SUBMIT, Step.PARK),
        (FAILED, Release.NEEDED, KNOWN_THERE, Step.STOP, Step.STOP),
        (FAILED, Release.CONFIRMED, KNOWN_THERE, Step.NOTHING, Step.NOTHING),
        (CANCELLED, Release.NONE, NEVER_SENT, Step.NOTHING, Step.NOTHING),
        (CANCELLED, Release.NEEDED, MAYBE_SENT, Step.SUBMIT, Step.PARK),
        (CANCELLED, Release.NEEDED, KNOWN_THERE, Step.STOP, Step.STOP),
        (CANCELLED, Release.CONFIRMED, MAYBE_SENT, Step.NOTHING, Step.NOTHING),
        (CANCELLED, Release.CONFIRMED, KNOWN_THERE, Step.NOTHING, Step.NOTHING),
    ],
)
def test_the_row_says_what_to_ask(
    status: JobStatus, release: Release, facts: dict[str, Any], expected: Step, without_dedupe: Step
) -> None:
    job = a_job(status=status, release=release, **facts)
    assert next_step(job) is expected
    assert next_step(job, dedupes=False) is without_dedupe
