"""Stop: released only when that is proven."""

from datetime import timedelta
from uuid import UUID

import pytest

from jobs.cluster import Cluster
from jobs.domain.sighting import Denied, StillHeld, Stopped
from tests.services.scripted_cluster import Answer, ScriptedCluster, hangs, redirects, resets, says

ENDED = "2026-01-02T03:04:05+00:00"


def ended_at(sighting: object) -> str | None:
    """The instant of a `Stopped`."""
    assert isinstance(sighting, Stopped)
    return sighting.finished_at.isoformat() if sighting.finished_at else None


async def test_a_run_that_stops_is_seen_stopped_with_its_instant(
    cluster: Cluster, far: ScriptedCluster, job: UUID, run: str
) -> None:
    assert ended_at(await cluster.stop(run)) == far.jobs[job].run.finished_at
    assert far.live == []


async def test_an_accepted_cancel_proves_nothing_while_the_run_is_seen_running(
    cluster: Cluster, far: ScriptedCluster, job: UUID, run: str
) -> None:
    far.jobs[job].linger(3)
    for _ in range(3):
        assert await cluster.stop(run) == StillHeld("the run is still running")
        assert len(far.live) == 1
    assert isinstance(await cluster.stop(run), Stopped)
    assert far.live == []


@pytest.mark.parametrize("status", [404, 410])
async def test_a_run_that_cancel_does_not_know_is_stopped(
    cluster: Cluster, far: ScriptedCluster, job: UUID, run: str, status: int
) -> None:
    far.script(job, cancel=[says(status)])
    assert await cluster.stop(run) == Stopped()
    assert far.calls("status") == []


@pytest.mark.parametrize("status", [404, 410])
async def test_a_run_that_status_does_not_know_after_a_cancel_is_stopped(
    cluster: Cluster, far: ScriptedCluster, job: UUID, run: str, status: int
) -> None:
    far.script(job, cancel=[says(200)], status=[says(status)])
    assert await cluster.stop(run) == Stopped()


async def test_a_run_that_was_over_before_tells_since_when(
    cluster: Cluster, far: ScriptedCluster, job: UUID, run: str
) -> None:
    far.jobs[job].complete(finished_at=ENDED)
    assert ended_at(await cluster.stop(run)) == ENDED
    assert far.calls("cancel")[0].answered == "409"


@pytest.mark.parametrize("status", [says(500), says(401), resets(), says(200, {"status": "running"})])
async def test_nothing_to_stop_counts_whatever_the_status_says(
    cluster: Cluster, far: ScriptedCluster, job: UUID, run: str, status: Answer
) -> None:
    far.script(job, cancel=[says(409, headers={"Retry-After": "5"})], status=[status, status])
    assert await cluster.stop(run) == Stopped()


async def test_a_cancel_that_fails_is_asked_again_until_it_works(
    cluster: Cluster, far: ScriptedCluster, job: UUID, run: str
) -> None:
    far.script(job, cancel=[says(500)] * 5)
    for _ in range(5):
        assert await cluster.stop(run) == StillHeld("the run is still running")
    assert isinstance(await cluster.stop(run), Stopped)


@pytest.mark.parametrize("answer", [says(500), redirects("/"), resets(), says(422)])
async def test_a_status_that_is_final_proves_it_whatever_cancel_answered(
    cluster: Cluster, far: ScriptedCluster, job: UUID, run: str, answer: Answer
) -> None:
    far.jobs[job].fail("out of memory", finished_at=ENDED)
    far.script(job, cancel=[answer])
    assert ended_at(await cluster.stop(run)) == ENDED


async def test_a_cancel_that_outlasts_us_is_proven_by_the_status(
    hasty: Cluster, far: ScriptedCluster, job: UUID, run: str
) -> None:
    far.script(job, cancel=[hangs(act=True)])
    assert isinstance(await hasty.stop(run), Stopped)


@pytest.mark.parametrize(
    ("cancel", "status", "expected"),
    [
        (says(401), None, Denied("it answered 401")),
        (says(403), None, Denied("it answered 403")),
        (says(200), says(401), Denied("it answered 401")),
        (says(429, headers={"Retry-After": "9"}), None, StillHeld("it answered 429", timedelta(seconds=9))),
        (
            says(200),
            says(503, headers={"Retry-After": "9"}),
            StillHeld("it answered 503", timedelta(seconds=9)),
        ),
        (says(200), says(200, "{}"), StillHeld("it does not say whether the run has ended")),
        (
            says(200),
            says(200, {"status": "CANCELLED"}),
            StillHeld("it does not say whether the run has ended"),
        ),
        (says(200), says(200, {"status": "cancelled", "external_job_id": "ext-9"}), None),
        (says(200), says(200, "<html>"), None),
    ],
)
async def test_what_is_not_proven_is_still_held(
    cluster: Cluster,
    far: ScriptedCluster,
    job: UUID,
    run: str,
    cancel: Answer,
    status: Answer | None,
    expected: object,
) -> None:
    far.script(job, cancel=[cancel], status=[status] if status else [])
    sighting = await cluster.stop(run)
    assert isinstance(sighting, StillHeld) if expected is None else sighting == expected
    assert len(far.calls("status")) == (status is not None)


async def test_a_cluster_that_is_down_still_holds_the_run(
    cluster: Cluster, far: ScriptedCluster, run: str
) -> None:
    await far.go_down()
    assert await cluster.stop(run) == StillHeld("connection refused")
