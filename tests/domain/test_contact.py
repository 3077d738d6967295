"""What we conclude from silence: stale, lost, and nothing at all when the outage is ours."""

from dataclasses import replace
from datetime import timedelta

import pytest

from jobs.domain.events import Event, EventKind
from jobs.domain.job import Job
from jobs.domain.lifecycle import JobStatus, Release
from jobs.domain.moves import Move, cancel, fold
from jobs.domain.pacing import Pacing
from jobs.domain.sighting import (
    ClusterStatus,
    Denied,
    NoReport,
    NotFound,
    NotNow,
    Report,
    Sighting,
    Unclear,
    Unseen,
)
from tests.domain.factories import PACING, a_job, after

INITIALIZING, RUNNING, FAILED = JobStatus.INITIALIZING, JobStatus.RUNNING, JobStatus.FAILED
STALE, RECOVERED = EventKind.STALE, EventKind.RECOVERED
DAY = timedelta(days=1).total_seconds()
SILENCE, DENIED, UNKNOWN = NoReport("timeout"), Denied("it answered 401"), NotFound()
ALIVE = Report(status=ClusterStatus.RUNNING)
UNREACHABLE = NotNow("connection refused", answered=False)


def followed(job: Job, *seen: tuple[float, Sighting], pacing: Pacing = PACING) -> Move:
    """The last move of a job that meets these sightings, each so many seconds after noon."""
    move = Move(job)
    for seconds, sighting in seen:
        move = fold(move.job, sighting, after(seconds), pacing)
    return move


def running() -> Job:
    """Running, last heard of five seconds past noon."""
    return a_job(status=RUNNING)


def blind() -> Job:
    """Running, stale since two minutes past noon."""
    return followed(running(), (65, SILENCE), (95, SILENCE), (125, SILENCE)).job


@pytest.mark.parametrize(
    ("seconds", "stale"),
    [
        ([35, 65], False),  # two failures, 60 s
        ([35, 65, 94.9], False),  # three failures, 89.9 s since the last contact
        ([35, 65, 95], True),  # three failures, 90 s
        ([500], False),  # one failure, whatever the time
        ([500, 501], False),
        ([500, 501, 502], True),
        ([6, 7, 8, 9], False),  # many failures, four seconds
    ],
)
def test_a_job_is_stale_after_three_failures_and_ninety_seconds(seconds: list[float], stale: bool) -> None:
    for sighting in (SILENCE, DENIED):
        job = followed(running(), *((second, sighting) for second in seconds)).job
        assert (job.status, job.stale, job.failures) == (RUNNING, stale, len(seconds))
        assert job.last_contact_at == after(5)


def test_a_stale_job_recovers_by_itself() -> None:
    assert (blind().stale, blind().current_stage) == (True, "Asking the GPU cluster again (timeout)")
    seen = followed(blind(), (155, Report())).job
    assert (seen.stale, seen.failures, seen.contact_lost_since) == (False, 0, None)
    assert (seen.last_contact_at, seen.current_stage) == (after(155), "training")


@pytest.mark.parametrize(
    ("job", "seen", "told"),
    [
        (running(), [(65, SILENCE), (95, SILENCE), (125, SILENCE)], [Event(after(125), STALE, "timeout")]),
        (running(), [(65, SILENCE), (95, SILENCE), (125, SILENCE), (155, DENIED)], []),  # told already
        (blind(), [(155, ALIVE)], [Event(after(155), RECOVERED)]),
        (blind(), [(155, UNKNOWN)], [Event(after(155), RECOVERED)]),
        (blind(), [(155, Report(status=ClusterStatus.COMPLETED))], [Event(after(155), RECOVERED)]),
        (blind(), [(DAY + 125, SILENCE)], []),  # given up, never heard again
        (running(), [(65, SILENCE), (95, ALIVE)], []),  # too short to speak of
    ],
)
def test_a_long_silence_and_its_end_are_events(
    job: Job, seen: list[tuple[float, Sighting]], told: list[Event]
) -> None:
    assert list(followed(job, *seen).events) == told


def test_a_cancel_of_a_blind_job_is_no_recovery() -> None:
    assert cancel(blind(), after(155)).events == ()


def test_a_blind_job_costs_on() -> None:
    assert str(followed(running(), (1_805, SILENCE)).job.current_cost) == "2.50"
    assert str(followed(running(), (1_805, UNKNOWN)).job.current_cost) == "2.50"


def test_a_day_without_contact_ends_a_job() -> None:
    silent = [(second, SILENCE) for second in (35, 65, 95)]
    almost = followed(running(), *silent, (34 + DAY, SILENCE)).job
    assert (almost.status, almost.stale) == (RUNNING, True)
    move = followed(almost, (35 + DAY, SILENCE))
    assert (move.job.status, move.job.release) == (FAILED, Release.NEEDED)
    assert move.job.error_message == "The GPU cluster could not be reached for too long."
    assert (str(move.job.final_cost), len(move.charges)) == ("120.04", 1)
    assert [notice.message for notice in move.notices] == [
        "Your training job failed: The GPU cluster could not be reached for too long."
    ]


@pytest.mark.parametrize("silence", [UNREACHABLE, Unclear("timeout")])
def test_a_day_without_contact_ends_a_job_that_never_ran(silence: Sighting) -> None:
    fresh = a_job(status=INITIALIZING, submitted_at=None)
    waiting = followed(fresh, *((second, silence) for second in (5, 15, 35, 4 + DAY))).job
    assert waiting.status is INITIALIZING
    move = followed(waiting, (5 + DAY, silence))
    assert (move.job.status, str(move.job.final_cost), move.charges) == (FAILED, "0.00", ())
    assert move.job.release is (Release.NONE if silence is UNREACHABLE else Release.NEEDED)
    assert move.notices[0].message.startswith("Your training job failed to start: ")


def test_a_word_from_the_cluster_starts_the_day_anew() -> None:
    job = followed(running(), (35, SILENCE), (65, SILENCE), (95, SILENCE), (1_000, ALIVE)).job
    for second in (1_030, 1_060, 1_029 + DAY):
        job = followed(job, (second, SILENCE)).job
    assert job.status is RUNNING
    busy = followed(
        a_job(status=INITIALIZING), *((hour * 3_600, NotNow("it answered 429")) for hour in range(50))
    ).job
    assert (busy.status, busy.stale) == (INITIALIZING, False)


def test_time_in_which_we_did_not_ask_is_not_the_clusters_silence() -> None:
    back_after_three_days = [(3 * DAY + second, SILENCE) for second in (0, 30, 60, 90)]
    job = followed(running(), *back_after_three_days).job
    assert (job.status, job.stale) == (RUNNING, True)


def test_a_single_failure_ends_nothing_however_late_it_comes() -> None:
    assert followed(running(), (35, SILENCE), (35 + 5 * DAY, SILENCE)).job.status is RUNNING


def test_a_storage_that_is_away_fails_no_job_and_says_what_is_waited_for() -> None:
    away = Unseen("The bucket model-artifacts cannot be read: it is not there.")
    job = followed(running(), *((second, away) for second in (35, 65, 95, 2 * DAY))).job
    assert (job.status, job.stale, job.failures) == (RUNNING, False, 0)
    assert job.current_stage == f"Complete; waiting for the storage of its adapter ({away.reason})"
    assert job.next_action_at == after(2 * DAY) + PACING.cycle


@pytest.mark.parametrize("status", [INITIALIZING, RUNNING])
def test_refused_credentials_never_fail_a_job(status: JobStatus) -> None:
    days = followed(a_job(status=status), *((hour * 3_600.0, DENIED) for hour in range(1, 100))).job
    assert days.status is status
    # Nor does the short silence while the operator puts it right.
    assert (
        followed(days, *((100 * 3_600.0 + second, SILENCE) for second in (0, 30, 60, 90))).job.status
        is status
    )


@pytest.mark.parametrize(
    ("seconds", "ended"),
    [
        ([35, 95, 154], False),  # three, over 119 s
        ([35, 95, 155], True),  # three, over 120 s
        ([35, 500], False),  # two, whatever the time
        ([35, 36, 37, 38, 39], False),  # many, within four seconds
    ],
)
def test_only_three_404s_over_two_minutes_lose_a_job(seconds: list[float], ended: bool) -> None:
    move = followed(running(), *((second, UNKNOWN) for second in seconds))
    assert (move.job.status is FAILED) is ended
    if ended:
        assert move.job.error_message == "The GPU cluster no longer knows this job."
        assert move.job.release is Release.NEEDED  # it is stopped anyway: 404 may be the cluster's error
    else:
        assert move.job.current_stage == "The GPU cluster does not know the job; asking again"


def test_a_report_takes_404s_back_and_silence_does_not() -> None:
    found = followed(running(), (35, UNKNOWN), (95, UNKNOWN), (125, ALIVE), (155, UNKNOWN))
    assert (found.job.status, found.job.not_found_count) == (RUNNING, 1)
    assert (
        followed(running(), (35, UNKNOWN), (95, UNKNOWN), (125, SILENCE), (155, UNKNOWN)).job.status is FAILED
    )


def test_a_404_is_contact() -> None:
    told = followed(blind(), (155, UNKNOWN)).job
    assert (told.stale, told.last_contact_at) == (False, after(155))


def test_every_duration_can_be_set() -> None:
    hasty = Pacing(
        cycle=timedelta(seconds=0.2),
        stale_after=timedelta(seconds=1),
        lost_after=timedelta(seconds=3),
        lost_after_404=timedelta(seconds=2),
    )
    silent = [(5 + tenth / 5, SILENCE) for tenth in range(1, 6)]
    assert followed(running(), *silent, pacing=hasty).job.stale
    assert followed(running(), *silent, (8.2, SILENCE), pacing=hasty).job.status is FAILED
    assert (
        followed(running(), *((5 + second, UNKNOWN) for second in (0, 1, 2)), pacing=hasty).job.status
        is FAILED
    )
    assert replace(hasty, dedupes=False).poll_again() == timedelta(seconds=0.2)
