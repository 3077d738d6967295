"""Money at the end of a job, and the GPUs that must be proven free after it."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.domain.job import Job
from jobs.domain.lifecycle import JobStatus, Release, Step, next_step
from jobs.domain.moves import RELEASE_OVERRUN, TRAINING_COMPUTE, Move, cancel, fold, park
from jobs.domain.notices import NoticeType, Priority
from jobs.domain.pacing import Pacing
from jobs.domain.pricing import ZERO, cost
from jobs.domain.sighting import (
    Accepted,
    ClusterStatus,
    Denied,
    NoReport,
    NotNow,
    Refused,
    Report,
    Sighting,
    StillHeld,
    Stopped,
    Unclear,
)
from tests.domain.factories import EXTERNAL_ID, HOUR, JOB_ID, NOON, PACING, a_job, after

INITIALIZING, RUNNING, CANCELLED, FAILED = (
    *(JobStatus.INITIALIZING, JobStatus.RUNNING, JobStatus.CANCELLED, JobStatus.FAILED),
)
START = after(5)
LATER = START + HOUR
ENDINGS = [ClusterStatus.COMPLETED, ClusterStatus.FAILED, ClusterStatus.CANCELLED]
STILL_HELD = StillHeld("it answered 500")


def amounts(move: Move) -> list[tuple[str, str]]:
    return [(charge.cost_type, str(charge.amount)) for charge in move.charges]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    ("finished_at", "dollars"),
    [
        (None, "5.00"),
        (START + HOUR / 2, "2.50"),
        (START, "0.00"),
        (LATER, "5.00"),
        (START - timedelta(seconds=1), "5.00"),  # before it started: not plausible
        (LATER + timedelta(seconds=1), "5.00"),  # not yet: not plausible
    ],
)
def test_the_bill_ends_when_the_cluster_says_if_that_can_be(
    ending: ClusterStatus, finished_at: datetime | None, dollars: str
) -> None:
    move = fold(a_job(status=RUNNING), Report(status=ending, finished_at=finished_at), LATER, PACING)
    assert amounts(move) == [(TRAINING_COMPUTE, dollars)]
    assert str(move.job.final_cost) == str(move.job.current_cost) == dollars
    assert (move.job.completed_at, move.job.release, move.job.released_at) == (
        LATER,
        Release.CONFIRMED,
        LATER,
    )


@pytest.mark.parametrize(
    ("seconds", "dollars"),
    [(3.599, "0.00"), (3.6, "0.01"), (10.799, "0.01"), (10.8, "0.02"), (3_603.6, "5.01")],
)
def test_a_bill_is_rounded_half_up_once(seconds: float, dollars: str) -> None:
    move = cancel(a_job(status=RUNNING), START + timedelta(seconds=seconds))  # $5.00 an hour: a cent in 7.2 s
    assert str(move.job.final_cost) == dollars


def test_a_charge_says_what_for_how_long_and_when() -> None:
    (charge,) = cancel(a_job(status=RUNNING), START + HOUR / 3).charges
    assert (charge.duration_hours, charge.recorded_at) == (Decimal("0.333333"), START + HOUR / 3)


def test_a_clock_that_goes_back_costs_nothing_and_takes_nothing_back() -> None:
    assert str(cancel(a_job(status=RUNNING), START - HOUR).job.final_cost) == "0.00"
    costly = a_job(status=RUNNING, current_cost=Decimal("7.77"))
    told = fold(costly, Report(status=ClusterStatus.RUNNING), LATER, PACING)
    assert told.job.current_cost == Decimal("7.77")


spans = st.timedeltas(timedelta(0), timedelta(days=30))


@given(spans, spans, st.none() | spans)
def test_the_final_cost_is_the_sum_of_the_books(
    ran: timedelta, held: timedelta, told: timedelta | None
) -> None:
    ended = cancel(a_job(status=RUNNING), START + ran)
    finished_at = None if told is None else START + told
    freed = fold(ended.job, Stopped(finished_at), START + ran + held, PACING)
    books = [*ended.charges, *freed.charges]
    assert freed.job.final_cost == sum((charge.amount for charge in books), ZERO)
    assert ended.job.final_cost == cost(ended.job.gpu_config, ran)
    assert [charge.cost_type for charge in books] in ([TRAINING_COMPUTE], [TRAINING_COMPUTE, RELEASE_OVERRUN])
    assert (
        freed.job.current_cost == ended.job.current_cost
    )  # the one change of a final row beside its release


@pytest.mark.parametrize(
    ("finished_at", "books"),
    [
        (None, [(RELEASE_OVERRUN, "1.25")]),
        (LATER + HOUR / 8, [(RELEASE_OVERRUN, "0.63")]),  # 62.5 cents
        (LATER, []),
        (LATER - HOUR, []),  # it had ended by itself before
        (LATER + HOUR, [(RELEASE_OVERRUN, "1.25")]),  # later than we saw it stopped: not plausible
    ],
)
def test_gpu_time_after_a_cancel_is_its_own_line(
    finished_at: datetime | None, books: list[tuple[str, str]]
) -> None:
    cancelled = cancel(a_job(status=RUNNING), LATER).job
    move = fold(cancelled, Stopped(finished_at), LATER + HOUR / 4, PACING)
    assert amounts(move) == books
    assert move.job.final_cost == Decimal("5.00") + sum((Decimal(amount) for _, amount in books), ZERO)
    assert (move.job.release, move.job.released_at, move.job.next_action_at) == (
        *(Release.CONFIRMED, LATER + HOUR / 4, None),
    )
    assert (move.job.status, move.job.completed_at, move.notices) == (CANCELLED, LATER, ())


def test_a_run_that_started_behind_a_cancel_costs_from_when_we_learnt_of_it() -> None:
    cancelled = cancel(a_job(status=INITIALIZING), after(60)).job
    assert (next_step(cancelled), str(cancelled.final_cost)) == (Step.SUBMIT, "0.00")
    learnt = fold(cancelled, Accepted("run-1"), after(90), PACING)
    assert (learnt.job.external_job_id, learnt.job.next_action_at, learnt.notices) == ("run-1", after(90), ())
    assert (learnt.job.status, learnt.job.started_at, next_step(learnt.job)) == (CANCELLED, None, Step.STOP)
    freed = fold(learnt.job, Stopped(), after(90) + HOUR, PACING)
    assert (amounts(freed), str(freed.job.final_cost)) == ([(RELEASE_OVERRUN, "5.00")], "5.00")


def test_a_cancelled_job_that_the_cluster_refuses_holds_nothing() -> None:
    move = fold(
        cancel(a_job(status=INITIALIZING), LATER).job, Refused("No such model."), LATER + HOUR, PACING
    )
    assert (move.job.status, move.job.release, move.job.error_message) == (CANCELLED, Release.CONFIRMED, None)
    assert (str(move.job.final_cost), move.charges, move.notices) == ("0.00", (), ())


def test_a_lost_jobs_release_is_not_billed() -> None:
    lost = a_job(status=FAILED, release=Release.NEEDED)
    move = fold(lost, Stopped(), LATER + HOUR, PACING)
    assert (move.job.release, move.charges, move.job.final_cost) == (Release.CONFIRMED, (), lost.final_cost)


@pytest.mark.parametrize(
    "sighting",
    [STILL_HELD, Denied("it answered 401"), Unclear("timeout"), NotNow("refused"), NoReport("timeout")],
)
def test_a_release_is_asked_for_until_it_is_proven(sighting: Sighting) -> None:
    job = cancel(a_job(status=RUNNING), LATER).job
    for times in range(1, 40):
        at = LATER + times * timedelta(minutes=1)
        job = fold(job, sighting, at, PACING).job
        assert (job.release, job.failures, job.releasing_since) == (Release.NEEDED, times, LATER)
        assert job.next_action_at is not None
        assert timedelta(seconds=1) <= job.next_action_at - at <= timedelta(seconds=72)
    assert next_step(job) is Step.STOP


def test_a_slow_release_is_told() -> None:
    job = cancel(a_job(status=RUNNING), LATER).job
    early = fold(job, STILL_HELD, LATER + timedelta(seconds=299), PACING)
    assert early.notices == ()
    (notice,) = fold(job, STILL_HELD, LATER + timedelta(seconds=300), PACING).notices
    assert (notice.type, notice.priority) == (NoticeType.RELEASE_SLOW, Priority.HIGH)
    assert "2x NVIDIA A100 may still be running at $5.00 per hour" in notice.message
    hasty = Pacing(release_alert=timedelta(seconds=1))
    assert fold(job, STILL_HELD, LATER + timedelta(seconds=1), hasty).notices


UNSURE = Pacing(dedupes=False)


def test_without_deduplication_an_unclear_submit_waits_for_a_person() -> None:
    fresh = a_job(status=INITIALIZING, submitted_at=None)
    move = fold(fresh, Unclear("timeout"), after(60), UNSURE)
    stage = "Waiting for the operator: the GPU cluster may have taken the job or not (timeout)"
    assert (move.job.status, move.job.current_stage, move.job.submitted_at) == (
        INITIALIZING,
        stage,
        after(60),
    )
    (notice,) = move.notices
    assert (notice.type, notice.priority) == (NoticeType.SUBMIT_PARKED, Priority.HIGH)
    assert f"python -m jobs resolve {JOB_ID}" in notice.message
    assert next_step(move.job, dedupes=False) is Step.PARK
    assert move.job.next_action_at == after(360)


def test_without_deduplication_what_surely_did_not_arrive_is_sent_again() -> None:
    fresh = a_job(status=INITIALIZING, submitted_at=None)
    for sighting in (NotNow("it answered 503"), Denied("it answered 401")):
        assert next_step(fold(fresh, sighting, after(60), UNSURE).job, dedupes=False) is Step.SUBMIT


@pytest.mark.parametrize("status", [INITIALIZING, CANCELLED])
def test_a_parked_job_is_looked_at_again_and_asked_nothing(status: JobStatus) -> None:
    facts: dict[str, Any] = {"external_job_id": None, "submitted_at": NOON}
    job = a_job(status=status, release=Release.NEEDED if status is CANCELLED else Release.NONE, **facts)
    move = park(job, "timeout", LATER)
    assert next_step(move.job, dedupes=False) is Step.PARK
    assert move.job.next_action_at == LATER + timedelta(minutes=5)
    assert (move.job.current_stage is None) is (status is CANCELLED)  # a job that has ended waits for nothing
    told = replace(move.job, current_stage=None, next_action_at=job.next_action_at, updated_at=job.updated_at)
    assert told == replace(job, current_stage=None)


def test_an_id_that_was_learnt_late_ends_the_parking() -> None:
    parked: Job = replace(a_job(status=INITIALIZING), external_job_id=EXTERNAL_ID, accepted_at=after(9))
    assert next_step(parked, dedupes=False) is Step.POLL
