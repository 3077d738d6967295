"""How long we wait: doubling, capped, spread, and never shorter than the cluster asks for."""

from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.domain.pacing import MOST_PATIENT, STOP_BACKOFF, SUBMIT_BACKOFF, Pacing, backoff
from tests.domain.factories import JOB_ID

SECOND = timedelta(seconds=1)
FIRST, CAP = SUBMIT_BACKOFF
ids = st.uuids(version=4)
counts = st.integers(0, 10**6)
durations = st.timedeltas(timedelta(milliseconds=200), timedelta(hours=2))


@given(ids, counts)
def test_a_wait_stays_within_a_fifth_of_its_doubling(job_id: UUID, failures: int) -> None:
    exact = min(CAP, FIRST * 2 ** min(max(failures - 1, 0), 30))
    assert exact * 0.8 - SECOND / 1000 <= backoff(job_id, failures, FIRST, CAP) <= exact * 1.2 + SECOND / 1000


@given(ids, counts)
def test_the_same_job_and_count_wait_the_same(job_id: UUID, failures: int) -> None:
    assert backoff(job_id, failures, FIRST, CAP) == backoff(job_id, failures, FIRST, CAP)


@given(ids, st.integers(1, 5))
def test_waits_grow_until_the_cap(job_id: UUID, failures: int) -> None:
    assert backoff(job_id, failures, FIRST, CAP) < backoff(job_id, failures + 1, FIRST, CAP)


def test_jobs_that_failed_together_return_apart() -> None:
    waits = {backoff(UUID(int=number << 64 | number * 7 << 8), 1, FIRST, CAP) for number in range(200)}
    assert len(waits) > 100
    assert max(waits) - min(waits) > FIRST * 0.3


@given(ids, counts, st.none() | durations)
def test_no_wait_is_shorter_than_asked_for_nor_than_our_own(
    job_id: UUID, failures: int, asked: timedelta | None
) -> None:
    pacing = Pacing()
    for ours, wait in (
        (pacing.submit_again(job_id, failures), pacing.submit_again(job_id, failures, asked)),
        (pacing.stop_again(job_id, failures), pacing.stop_again(job_id, failures, asked)),
        (pacing.poll_again(), pacing.poll_again(asked)),
    ):
        assert wait == max(ours, min(asked or ours, MOST_PATIENT))


@pytest.mark.parametrize("asked", [timedelta(days=1), timedelta.max])
def test_no_cluster_puts_us_off_for_longer_than_an_hour(asked: timedelta) -> None:
    assert Pacing().poll_again(asked) == Pacing().submit_again(JOB_ID, 1, asked) == timedelta(hours=1)


@given(ids, st.integers(0, 3))
def test_quick_cycles_make_quick_first_waits(job_id: UUID, failures: int) -> None:
    quick = Pacing(cycle=SECOND / 5, starting=SECOND / 5)
    assert quick.submit_again(job_id, failures) <= SECOND
    assert quick.stop_again(job_id, failures) <= SECOND
    assert quick.poll_again() == SECOND / 5


@given(ids, counts)
def test_a_stop_is_asked_for_again_within_about_a_minute(job_id: UUID, failures: int) -> None:
    assert Pacing().stop_again(job_id, failures) <= STOP_BACKOFF[1] * 1.2 + SECOND / 1000
