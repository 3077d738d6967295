"""What people are told of a job's life, from its row and what was kept beside it."""

import pytest

from jobs.domain.events import Event, EventKind, history
from jobs.domain.job import Job
from jobs.domain.lifecycle import JobStatus, Seen
from jobs.domain.moves import cancel, fail, fold
from jobs.domain.sighting import Stopped
from tests.domain.factories import PACING, a_job, after


def test_a_new_job_was_asked_for_and_nothing_else() -> None:
    job = a_job(status=JobStatus.QUEUED, preset_id="laptop")
    assert history(job, []) == [Event(job.created_at, EventKind.CREATED, "laptop")]


def test_everything_is_told_in_its_order_with_its_reason() -> None:
    job = a_job(status=JobStatus.RUNNING)
    kept = [
        Event(after(300), EventKind.RECOVERED),
        Event(after(200), EventKind.STALE, "timeout"),
        Event(after(30), EventKind.FIRST_METRICS, "step 1"),
    ]
    failed = fail(job, Seen.FAILED, "out of memory", after(400), proven=True).job
    assert [(event.kind.value, event.detail) for event in history(failed, kept)] == [
        ("created", job.preset_id),
        ("submitted", None),
        ("accepted", "2x NVIDIA A100"),
        ("first_metrics", "step 1"),
        ("stale", "timeout"),
        ("recovered", None),
        ("failed", "out of memory"),
        ("released", None),
    ]


def test_a_cancel_comes_before_the_release_it_asks_for() -> None:
    cancelled = cancel(a_job(status=JobStatus.RUNNING), after(100)).job
    assert history(cancelled, [])[-1] == Event(after(100), EventKind.CANCELLED)
    freed = fold(cancelled, Stopped(), after(160), PACING).job
    assert history(freed, [])[-2:] == [
        Event(after(100), EventKind.CANCELLED),
        Event(after(160), EventKind.RELEASED),
    ]


@pytest.mark.parametrize("status", JobStatus)
def test_each_status_has_a_history_that_ends_as_it_did(status: JobStatus) -> None:
    job: Job = a_job(status=status)
    kinds = [event.kind.value for event in history(job, [])]
    assert kinds[0] == "created"
    assert (status.value in kinds) is status.is_final
