"""What a report changes in a running job: progress, figures, stage, points, and the adapter at the end."""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid5

import pytest

from jobs.domain.lifecycle import JobStatus
from jobs.domain.metrics import CurrentMetrics
from jobs.domain.moves import fold
from jobs.domain.progress import told_by
from jobs.domain.sighting import ClusterStatus, Report, ReportedArtifact
from tests.domain.factories import HOUR, JOB_ID, NOON, PACING, a_job, a_point

RUNNING = JobStatus.RUNNING
LATER = NOON + HOUR + timedelta(seconds=5)  # an hour after the factory's jobs started: $5.00


def test_what_a_report_tells_is_taken_over() -> None:
    points = (a_point(1), a_point(2))
    report = Report(
        status=ClusterStatus.RUNNING,
        progress=40.0,
        current_epoch=1,
        current_step=2,
        total_steps=500,
        stage="epoch 1",
        metrics=CurrentMetrics(training_loss=0.0),
        points=points,
    )
    before = a_job(status=RUNNING, current_metrics=CurrentMetrics(training_loss=2.0, throughput=9.0))
    move = fold(before, report, LATER, PACING)
    job = move.job
    assert (job.progress, job.current_epoch, job.current_step, job.total_steps) == (40.0, 1, 2, 500)
    assert (job.current_stage, str(job.current_cost)) == ("epoch 1", "5.00")
    assert job.current_metrics == CurrentMetrics(
        training_loss=0.0, throughput=9.0
    )  # zero is a value, null is none
    assert (move.points, move.charges, move.notices) == (points, (), ())
    assert job.next_action_at == LATER + PACING.cycle


def test_zero_is_a_value_and_null_is_none() -> None:
    before = a_job(status=RUNNING, progress=5.0, current_epoch=2, current_step=7)
    zero = told_by(before, Report(current_epoch=0, current_step=0, progress=0.0), LATER)
    assert (zero.current_epoch, zero.current_step, zero.progress) == (0, 0, 5.0)
    silent = told_by(before, Report(), LATER)
    assert replace(silent, updated_at=before.updated_at) == before


def test_points_alone_tell_how_far_a_run_is_and_never_lead_back() -> None:
    before = a_job(status=RUNNING, progress=5.0, current_epoch=1, current_step=7)
    points = (a_point(8, epoch=1), a_point(9, epoch=2))
    further = told_by(before, Report(points=points), LATER)
    assert (further.current_epoch, further.current_step, further.progress) == (2, 9, 5.0)
    late = told_by(further, Report(points=points[:1]), LATER)
    assert (late.current_epoch, late.current_step) == (2, 9)
    restarted = told_by(further, Report(current_epoch=0, current_step=1, points=(a_point(1),)), LATER)
    assert (restarted.current_epoch, restarted.current_step) == (0, 1)  # its own word counts


@pytest.mark.parametrize(
    ("told", "shown"), [(0.0, 30.0), (29.9, 30.0), (None, 30.0), (30.1, 30.1), (100.0, 100.0)]
)
def test_progress_never_falls(told: float | None, shown: float) -> None:
    report = Report(status=ClusterStatus.RUNNING, progress=told)
    assert fold(a_job(status=RUNNING, progress=30.0), report, LATER, PACING).job.progress == shown


@pytest.mark.parametrize(
    ("word", "stage"),
    [
        (ClusterStatus.QUEUED, "queued on the GPU cluster"),
        (ClusterStatus.INITIALIZING, "starting on the GPU cluster"),
        (ClusterStatus.RUNNING, "training"),
        (None, "epoch 1"),
    ],
)
def test_the_clusters_status_is_the_stage_where_it_names_none(word: ClusterStatus | None, stage: str) -> None:
    move = fold(a_job(status=RUNNING, current_stage="epoch 1"), Report(status=word), LATER, PACING)
    assert (move.job.status, move.job.current_stage) == (RUNNING, stage)


def test_a_finished_run_brings_its_artifact() -> None:
    artifact = ReportedArtifact("ada/run.tar", 12_345, "ab" * 32)
    move = fold(
        a_job(status=RUNNING), Report(status=ClusterStatus.COMPLETED, artifact=artifact), LATER, PACING
    )
    assert move.artifact == artifact
    assert move.job.artifact_id == uuid5(JOB_ID, "artifact")  # the same, however often it is told
    without = fold(a_job(status=RUNNING), Report(status=ClusterStatus.COMPLETED), LATER, PACING)
    assert (without.artifact, without.job.artifact_id) == (None, None)
    early = fold(
        a_job(status=RUNNING), Report(status=ClusterStatus.RUNNING, artifact=artifact), LATER, PACING
    )
    assert (early.artifact, early.job.artifact_id) == (None, None)


@pytest.mark.parametrize("end", [ClusterStatus.COMPLETED, ClusterStatus.FAILED, ClusterStatus.CANCELLED])
def test_the_last_report_brings_its_points_too(end: ClusterStatus) -> None:
    points = (a_point(1), a_point(2))
    assert fold(a_job(status=RUNNING), Report(status=end, points=points), LATER, PACING).points == points
