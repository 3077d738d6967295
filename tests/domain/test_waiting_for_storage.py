"""A run that is over while nobody can look for its adapter: the job waits, and the wait costs nothing."""

from datetime import datetime, timedelta

import pytest

from jobs.domain.job import Job
from jobs.domain.lifecycle import JobStatus, Release
from jobs.domain.moves import RELEASE_OVERRUN, TRAINING_COMPUTE, Move, cancel, fold
from jobs.domain.sighting import ClusterStatus, NoReport, NotFound, Report, Sighting, Stopped, Unseen
from tests.domain.factories import EXTERNAL_ID, PACING, a_job, after

RUNNING, COMPLETED, FAILED = JobStatus.RUNNING, JobStatus.COMPLETED, JobStatus.FAILED
START = after(5)
A_DAY = 86_400


def minutes(count: float) -> datetime:
    """So many past the start. Twelve cost a dollar."""
    return START + timedelta(minutes=count)


def over(status: ClusterStatus = ClusterStatus.COMPLETED, finished_at: datetime | None = None) -> Report:
    return Report(status=status, finished_at=finished_at)


AWAY, SILENCE, UNKNOWN = Unseen("no bucket"), NoReport("timeout"), NotFound()
RUNS = Report(status=ClusterStatus.RUNNING)
Seen = tuple[float, Sighting, str]  # minutes past the start, and the cost that is shown from then on

LIVES: dict[str, tuple[JobStatus, list[Seen]]] = {
    "it comes back": (COMPLETED, [(12, AWAY, "1.00"), (24, AWAY, "1.00"), (36, over(), "1.00")]),
    "it had been followed": (
        COMPLETED,
        [(6, RUNS, "0.50"), (12, AWAY, "1.00"), (24, over(), "1.00")],
    ),
    "the cluster says when, in the end": (
        COMPLETED,
        [(12, AWAY, "1.00"), (24, AWAY, "1.00"), (36, over(finished_at=minutes(6)), "0.50")],
    ),
    "the cluster says when, meanwhile": (
        COMPLETED,
        [(12, Unseen("no bucket", minutes(6)), "0.50"), (24, AWAY, "0.50"), (36, over(), "0.50")],
    ),
    "the cluster says when, late": (  # what was shown never falls before the end
        COMPLETED,
        [(12, AWAY, "1.00"), (24, Unseen("no bucket", minutes(6)), "1.00"), (36, over(), "0.50")],
    ),
    "the cluster says that it ended after it was seen": (
        COMPLETED,
        [(12, AWAY, "1.00"), (36, over(finished_at=minutes(24)), "1.00")],
    ),
    "the cluster says when, and that cannot be": (
        COMPLETED,
        [(12, Unseen("no bucket", minutes(-1)), "1.00"), (36, over(finished_at=minutes(37)), "1.00")],
    ),
    "the cluster thinks better of it": (
        FAILED,
        [(12, AWAY, "1.00"), (36, over(ClusterStatus.FAILED), "1.00")],
    ),
    "nothing is heard for a while": (
        COMPLETED,
        [(12, AWAY, "1.00"), (24, SILENCE, "1.00"), (25, Report(), "1.00"), (36, over(), "1.00")],
    ),
    "nothing is heard any more": (
        FAILED,
        [(12, AWAY, "1.00"), *((24 + n * A_DAY / 120, SILENCE, "1.00") for n in range(3))],
    ),
    "the run is forgotten": (FAILED, [(12, AWAY, "1.00"), *((24 + n, UNKNOWN, "1.00") for n in range(3))]),
    # The cluster has lied, once at least. What it says now counts: GPUs are held, and a bill has no gaps.
    "it runs after all": (
        COMPLETED,
        [(12, AWAY, "1.00"), (24, RUNS, "2.00"), (36, over(), "3.00")],
    ),
    "it runs after all, and is over again": (
        COMPLETED,
        [(12, AWAY, "1.00"), (24, RUNS, "2.00"), (30, AWAY, "2.50"), (36, over(), "2.50")],
    ),
}


def waiting(job: Job, seen: list[Seen]) -> Move:
    """The last move of a job that meets these sightings; the cost that is shown is asserted after each."""
    move = Move(job)
    for at, sighting, dollars in seen:
        assert not move.job.status.is_final
        move = fold(move.job, sighting, minutes(at), PACING)
        assert str(move.job.current_cost) == dollars, (at, sighting)
    return move


@pytest.mark.parametrize("life", LIVES)
def test_a_run_costs_until_it_was_first_seen_complete(life: str) -> None:
    status, seen = LIVES[life]
    move = waiting(a_job(status=RUNNING), seen)
    dollars = seen[-1][2]
    assert (move.job.status, str(move.job.final_cost)) == (status, dollars)
    assert [(charge.cost_type, str(charge.amount)) for charge in move.charges] == [
        (TRAINING_COMPUTE, dollars)
    ]
    assert move.charges[0].duration_hours * 5 == move.charges[0].amount
    assert move.job.completed_at == minutes(seen[-1][0])


def test_an_acceptance_that_was_only_stored_may_be_followed_by_the_wait() -> None:
    known = a_job(status=JobStatus.INITIALIZING, external_job_id=EXTERNAL_ID, accepted_at=START)
    assert waiting(known, [(12, AWAY, "1.00"), (24, over(), "1.00")]).job.status is COMPLETED


@pytest.mark.parametrize("stopped", [Stopped(), Stopped(minutes(18)), Stopped(minutes(6))])
def test_a_cancel_ends_the_wait_and_costs_no_more_than_the_run(stopped: Stopped) -> None:
    waits = waiting(a_job(status=RUNNING), [(12, AWAY, "1.00"), (24, AWAY, "1.00")]).job
    move = cancel(waits, minutes(36))
    assert (str(move.job.final_cost), move.job.completed_at) == ("1.00", minutes(36))
    assert move.job.release is Release.NEEDED  # as ever: who has seen the run end is a worker
    freed = fold(move.job, stopped, minutes(48), PACING)
    assert (freed.job.release, freed.charges, str(freed.job.final_cost)) == (Release.CONFIRMED, (), "1.00")


def test_a_cancel_of_a_run_that_went_on_after_all_is_billed_like_any() -> None:
    runs = waiting(a_job(status=RUNNING), [(12, AWAY, "1.00"), (24, RUNS, "2.00")]).job
    move = cancel(runs, minutes(36))
    freed = fold(move.job, Stopped(), minutes(48), PACING)
    books = [(charge.cost_type, str(charge.amount)) for charge in (*move.charges, *freed.charges)]
    assert books == [(TRAINING_COMPUTE, "3.00"), (RELEASE_OVERRUN, "1.00")]
