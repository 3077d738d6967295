"""Status: a strict report, or nothing may be concluded."""

import asyncio
import math
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from jobs.cluster import MAX_ANSWER, Cluster
from jobs.domain.sighting import ClusterStatus, Denied, NoReport, NotFound, Report
from tests.services.scripted_cluster import (
    Answer,
    ScriptedCluster,
    breaks_off,
    hangs,
    redirects,
    resets,
    says,
    usual,
    writes,
)

NO_DOCUMENT = "it answered 200 with something that is no status document"
DIGEST = "0" * 64


async def test_a_status_document_becomes_a_report(
    cluster: Cluster, far: ScriptedCluster, job: UUID, run: str
) -> None:
    far.jobs[job].progress(50, current_step=0, total_steps=20, stage="training", metrics={"training_loss": 0})
    report = await cluster.status(run)
    assert isinstance(report, Report)
    assert (report.status, report.progress, report.current_step, report.total_steps) == ("running", 50, 0, 20)
    assert report.metrics is not None
    assert report.metrics.training_loss == 0
    assert [point.step for point in report.points] == [0]


async def test_the_end_of_a_run_is_told_with_its_instant_and_artifact(
    cluster: Cluster, far: ScriptedCluster, job: UUID, run: str
) -> None:
    artifact = {"path": "a.tar", "size_bytes": 3, "sha256": DIGEST}
    far.jobs[job].complete(finished_at="2026-01-02T03:04:05+00:00", artifact=artifact)
    report = await cluster.status(run)
    assert isinstance(report, Report)
    assert report.status is ClusterStatus.COMPLETED
    assert report.finished_at is not None
    assert report.finished_at.isoformat() == "2026-01-02T03:04:05+00:00"
    assert report.artifact is not None
    assert report.artifact.sha256 == DIGEST


async def test_polls_see_a_run_go_its_way(
    cluster: Cluster, far: ScriptedCluster, job: UUID, run: str
) -> None:
    far.jobs[job].then("queued", "initializing", "paused", {"status": 7}, "running", "failed")
    seen = [await cluster.status(run) for _ in range(7)]
    words = [report.status for report in seen if isinstance(report, Report)]
    assert words == ["queued", "initializing", None, None, "running", "failed", "failed"]


async def test_impossible_numbers_are_no_information_and_spoil_nothing_else(
    cluster: Cluster, far: ScriptedCluster, job: UUID, run: str
) -> None:
    metrics = {"training_loss": math.nan, "throughput": math.inf, "learning_rate": 0}
    far.jobs[job].progress(
        150, current_step=2**31, metrics=metrics, points=[{"step": 3, "training_loss": math.nan}]
    )
    report = await cluster.status(run)
    assert isinstance(report, Report)
    assert (report.progress, report.current_step) == (100, None)
    assert report.metrics is not None
    assert (report.metrics.training_loss, report.metrics.learning_rate) == (None, 0)
    assert [(point.step, point.training_loss, point.non_finite) for point in report.points] == [
        (3, None, True)
    ]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (says(401), Denied("it answered 401")),
        (says(403), Denied("it answered 403")),
        (says(404), NotFound()),
        (says(410), NotFound()),
        (says(404, "x" * 2_000_000), NotFound()),
        (says(429, headers={"Retry-After": "7"}), NoReport("it answered 429", timedelta(seconds=7))),
        (says(503), NoReport("it answered 503")),
        (says(500), NoReport("it answered 500")),
        (redirects("/"), NoReport("it answered 307")),
        (redirects("/", 301), NoReport("it answered 301")),
        (says(200), NoReport(NO_DOCUMENT)),
        (says(200, "null"), NoReport(NO_DOCUMENT)),
        (says(200, "[]"), NoReport(NO_DOCUMENT)),
        (says(200, "<html>"), NoReport(NO_DOCUMENT)),
        (says(200, '{"status": "compl'), NoReport(NO_DOCUMENT)),
        (says(200, '{"status": "completed"}}'), NoReport(NO_DOCUMENT)),
        (says(200, "[" * 100_000), NoReport(NO_DOCUMENT)),
        (says(200, b'{"status": "\xff"}'), NoReport(NO_DOCUMENT)),
        (says(200, '{"progress": 1e999, "status": "completed "}'), Report()),
        (breaks_off(b'{"status": "completed"}'), NoReport("the connection broke")),
        (writes(b"nonsense\r\n\r\n"), NoReport("it answered with something that is not HTTP")),
    ],
)
async def test_every_answer_to_status_proves_one_thing(
    cluster: Cluster, far: ScriptedCluster, job: UUID, run: str, answer: Answer, expected: object
) -> None:
    far.script(job, status=[answer])
    assert await cluster.status(run) == expected


async def test_a_number_of_5000_digits_is_no_information(
    cluster: Cluster, far: ScriptedCluster, job: UUID, run: str
) -> None:
    far.script(job, status=[says(200, '{"progress": %s}' % ("9" * 5_000))])
    assert await cluster.status(run) in (
        NoReport(NO_DOCUMENT),
        Report(),
    )  # as Python's own limit is set or not


@pytest.mark.parametrize("answer", [hangs(), usual(drip=0.05)], ids=["no word", "byte by byte"])
async def test_one_deadline_covers_the_whole_call(
    hasty: Cluster, far: ScriptedCluster, job: UUID, run: str, answer: Answer
) -> None:
    far.script(job, status=[answer])
    assert await hasty.status(run) == NoReport("no answer within 0.6 s")


async def test_a_cluster_that_is_down_says_nothing_about_the_run(
    cluster: Cluster, far: ScriptedCluster, run: str
) -> None:
    await far.go_down()
    assert await cluster.status(run) == NoReport("connection refused")
    await far.come_back()
    assert isinstance(await cluster.status(run), Report)


async def test_a_poll_that_is_cut_off_may_be_asked_once_more_at_once_and_no_oftener(
    cluster: Cluster, far: ScriptedCluster, job: UUID, run: str
) -> None:
    far.script(job, status=[resets(), usual(), resets(), resets()])
    assert isinstance(await cluster.status(run), Report)
    assert await cluster.status(run) == NoReport("the connection broke")
    assert len(far.calls("status")) == 4


async def test_an_answer_about_another_job_is_no_information(
    cluster: Cluster, far: ScriptedCluster, job: UUID, run: str
) -> None:
    another = NoReport("it answered about another job")
    far.jobs[job].progress(external_job_id="ext-99")
    assert await cluster.status(run) == another
    far.jobs[job].progress(external_job_id=run, job_id=str(uuid4()))
    assert await cluster.status(run, job_id=job) == another
    for name in (str(job), run):  # some clusters call their own id `job_id`
        far.jobs[job].progress(job_id=name)
        assert isinstance(await cluster.status(run, job_id=job), Report)


async def test_a_document_with_many_points_is_read_whole(
    cluster: Cluster, far: ScriptedCluster, job: UUID, run: str
) -> None:
    points = [{"step": step, "epoch": 1, "training_loss": 0.123456} for step in range(2_000)]
    far.jobs[job].progress(points=points)
    report = await cluster.status(run)
    assert isinstance(report, Report)
    assert len(report.points) == 2_000
    assert far.journal[-1].sent > MAX_ANSWER


async def test_an_odd_id_stays_one_segment_of_the_path(cluster: Cluster, far: ScriptedCluster) -> None:
    odd = "a/../b?x=1#f%2e\r\nX: y"
    assert await cluster.status(odd) == NotFound()
    assert [(call.verb, call.external_id) for call in far.journal] == [("status", odd)]
    assert "X" not in far.journal[0].headers


async def test_a_hundred_calls_are_in_flight_together_and_a_stop_passes_them(
    cluster: Cluster, far: ScriptedCluster, job: UUID, run: str
) -> None:
    far.always(status=hangs())
    polls = [asyncio.create_task(cluster.status(run)) for _ in range(100)]
    await far.called("status", 100)
    stop = asyncio.create_task(cluster.stop(run))
    await far.called("cancel")
    for task in (*polls, stop):
        task.cancel()
    ended = await asyncio.gather(*polls, stop, return_exceptions=True)
    assert {type(outcome) for outcome in ended} == {
        asyncio.CancelledError
    }  # a worker that ends is not held up
