"""A job's ordinary life, from queue to books, as the rows and the user see it."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest

from jobs.buckets import ARTIFACTS, DATASETS, IMPORTS
from jobs.domain.lifecycle import JobStatus, Release
from tests.cycle.conftest import USER, Build, House
from tests.services.scripted_cluster import says


async def test_a_job_is_submitted_followed_and_paid(house: House) -> None:
    job = await house.job()
    assert (job.status, house.rings.count) == (JobStatus.QUEUED, 1)

    await house.turn(seconds=2)
    running = await house.look(job)
    assert running.status is JobStatus.RUNNING
    assert running.current_stage == "training"
    assert running.started_at == house.clock.instant
    assert running.external_job_id == house.cluster.jobs[job.id].run.external_id

    house.cluster.jobs[job.id].progress(
        40.0,
        current_epoch=1,
        current_step=2,
        metrics={"training_loss": 0.0, "gpu_utilization": 0},
        points=[{"step": 1, "epoch": 1, "training_loss": 1.5}, {"step": 2, "epoch": 1, "training_loss": 0.0}],
    )
    await house.turn(seconds=30)
    followed = await house.look(job)
    assert (followed.progress, followed.current_epoch, followed.current_step) == (40.0, 1, 2)
    assert followed.current_cost == Decimal("0.04")  # 30 s at $5 an hour
    assert followed.current_metrics is not None
    assert (followed.current_metrics.training_loss, followed.current_metrics.gpu_utilization) == (0.0, 0.0)
    assert [(point.step, point.training_loss) for point in await house.points(job)] == [(1, 1.5), (2, 0.0)]

    ended = house.clock.instant + timedelta(seconds=10)
    house.cluster.jobs[job.id].complete(finished_at=ended)
    await house.turn(seconds=3570)
    done = await house.look(job)
    assert (done.status, done.progress, done.completed_at) == (
        JobStatus.COMPLETED,
        100.0,
        house.clock.instant,
    )
    [record] = await house.books(job)
    assert (record.cost_type, record.amount, done.final_cost) == (
        "training_compute",
        Decimal("0.06"),
        Decimal("0.06"),
    )
    assert record.billing_period == ended.date()
    assert [(note.title, note.message) for note in await house.told()] == [
        ("Training Started", "Your training job has started on 2x NVIDIA A100"),
        ("Training Complete", "Your training job finished successfully. Cost: $0.06"),
    ]
    assert all(note.action_url == f"/training/jobs/{job.id}" for note in await house.told())
    await house.turn(seconds=3600)
    assert len(house.cluster.calls("submit")) == 1
    assert house.cluster.jobs[job.id].max_live == 1


async def test_points_are_kept_once_per_step_however_often_they_are_reported(house: House) -> None:
    job = await house.running()
    house.cluster.jobs[job.id].progress(
        1.0, points=[{"step": step, "training_loss": 2.0} for step in range(5)]
    )
    for _ in range(3):
        await house.turn(seconds=30)
    assert [point.step for point in await house.points(job)] == [0, 1, 2, 3, 4]


async def test_only_what_is_drawn_is_kept_of_a_job_that_ended_long_ago(build: Build) -> None:
    async with build(full_histories=timedelta(days=2)) as house:
        job = await house.running()
        losses = [{"step": step, "training_loss": 1.0 + step % 37} for step in range(1_500)]
        house.cluster.jobs[job.id].progress(99.0, points=losses)
        await house.turn(seconds=30)
        house.cluster.jobs[job.id].complete()
        await house.turn(seconds=30)
        await house.turn(seconds=86_400)
        whole = await house.points(job, last=1_500)
        assert len(whole) == 1_500
        await house.turn(seconds=86_401)
        left = await house.points(job, last=1_500)
        assert len(left) < 600
        assert {left[0], *left[-400:]} <= set(whole)
        assert {point.training_loss for point in left} == {point.training_loss for point in whole}


@pytest.mark.parametrize("bucket", [DATASETS, IMPORTS])
async def test_the_dataset_is_signed_in_the_bucket_its_row_names(house: House, bucket: str) -> None:
    dataset = await house.dataset(bucket=bucket)
    job = await house.job(dataset=dataset)
    await house.turn()
    [call] = house.cluster.calls("submit")
    sent = json.loads(call.body)
    assert sent["dataset_url"].startswith(f"http://127.0.0.1:8000/storage/{bucket}/{USER}/")
    assert sent["gpu_config"] == {"gpu_type": "NVIDIA A100", "num_gpus": 2, "cost_per_gpu_hour": 2.5}
    assert b'"cost_per_gpu_hour":2.5' in call.body
    assert call.key == sent["job_id"] == str(job.id)


async def test_only_so_many_queued_jobs_are_taken_each_pass_the_oldest_first(house: House) -> None:
    dataset = await house.dataset()
    made = []
    for _ in range(7):
        made.append(await house.job(dataset=dataset))
        house.clock.advance(1)
    await house.turn()
    statuses = [(await house.look(job)).status for job in made]
    assert statuses == [JobStatus.RUNNING] * 5 + [JobStatus.QUEUED] * 2
    await house.turn()
    assert {(await house.look(job)).status for job in made} == {JobStatus.RUNNING}


async def test_a_refused_job_fails_with_the_clusters_words_and_costs_nothing(house: House) -> None:
    job = await house.job()
    house.cluster.script(job.id, submit=[says(422, {"error": "rank is too large"})])
    await house.turn()
    failed = await house.look(job)
    assert (failed.status, failed.error_message) == (JobStatus.FAILED, "rank is too large")
    assert (failed.final_cost, await house.books(job)) == (Decimal("0.00"), [])
    assert failed.completed_at == house.clock.instant
    assert [note.message for note in await house.told()] == [
        "Your training job failed to start: rank is too large"
    ]


async def test_a_failed_run_is_paid_for(house: House) -> None:
    job = await house.running()
    house.cluster.jobs[job.id].fail("CUDA out of memory", finished_at=None)
    await house.turn(seconds=720)
    failed = await house.look(job)
    assert (failed.status, failed.error_message) == (JobStatus.FAILED, "CUDA out of memory")
    assert sum(record.amount for record in await house.books(job)) == failed.final_cost == Decimal("1.00")


async def test_an_adapter_that_is_not_there_is_not_shown(house: House) -> None:
    there, missing = await house.running(), await house.running()
    reported = {"path": "adapter.tar", "size_bytes": 7, "sha256": "0" * 64}
    await house.buckets.put(ARTIFACTS, f"{USER}/{there.id}.tar", b"adapter")
    for job in (there, missing):
        house.cluster.jobs[job.id].complete(artifact=reported)
    await house.turn(seconds=30)
    assert (await house.look(there)).artifact_id is not None
    assert (await house.look(missing)).artifact_id is None
    assert (await house.look(missing)).status is JobStatus.COMPLETED
    assert [row[0] for row in await house.sql("SELECT size_bytes FROM model_artifacts")] == [7]


async def test_nothing_left_to_do_means_no_next_look(house: House) -> None:
    job = await house.running()
    house.cluster.jobs[job.id].complete()
    await house.turn(seconds=30)
    done = await house.look(job)
    assert (done.next_action_at, done.release) == (None, Release.CONFIRMED)
    assert await house.cycle.run() is None
