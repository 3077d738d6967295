"""What the cluster does wrong, and what becomes of the job."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from itertools import repeat

import pytest

from jobs.domain.lifecycle import JobStatus, Release
from jobs.domain.payload import read_report
from jobs.domain.training import TrainingWish
from tests.cycle.conftest import USER, Build, House
from tests.database.acts import reported
from tests.services.scripted_cluster import (
    Answer,
    bomb,
    breaks_off,
    hangs,
    huge,
    redirects,
    resets,
    says,
    usual,
)


@pytest.mark.parametrize(
    "answer",
    [
        says(500, act=True),
        says(502, act=True),
        says(504, act=True),
        resets(act=True),
        hangs(act=True),
        breaks_off(act=True),
        says(200, b"", act=True),
        says(200, "<html>", act=True),
        says(200, {"external_job_id": "../../etc"}, act=True),
        says(200, {"external_job_id": 7}, act=True),
        says(307, act=True, headers={"Location": "http://127.0.0.1:9/"}),
        bomb(2),
        huge(1_000_000),
    ],
)
async def test_an_unclear_submit_is_asked_again_with_the_same_key_and_bytes(
    impatient: House, answer: Answer
) -> None:
    job = await impatient.job()
    impatient.cluster.script(job.id, submit=[answer])
    await impatient.turn()
    unclear = await impatient.look(job)
    assert unclear.status is JobStatus.INITIALIZING
    assert (unclear.current_stage or "").startswith("Asking the GPU cluster again whether it took the job")
    await impatient.turn(seconds=60)
    assert (await impatient.look(job)).status is JobStatus.RUNNING
    calls = impatient.cluster.calls("submit")
    assert len(calls) == 2
    assert len({(call.key, call.body) for call in calls}) == 1
    assert impatient.cluster.jobs[job.id].max_live == 1


async def test_a_job_of_a_worker_that_died_before_its_submit_is_taken_up_again(build: Build) -> None:
    async with build(timeout=30) as house:
        job = await house.job()
        house.cluster.script(job.id, submit=[hangs()])
        passing = asyncio.create_task(house.turn())
        [first] = await house.cluster.called("submit")
        passing.cancel()
        await house.cycle.close()
        another = await house.worker()
        await house.turn(seconds=59, cycle=another)
        assert len(house.cluster.calls("submit")) == 1  # the claim still holds
        await house.turn(seconds=2, cycle=another)
        second = house.cluster.calls("submit")[-1]
        assert (second.key, second.body) == (first.key, first.body)
        assert (await house.look(job)).status is JobStatus.RUNNING
        assert house.cluster.jobs[job.id].max_live == 1


@pytest.mark.parametrize("status", [429, 503])
async def test_a_cluster_that_says_later_is_asked_later(house: House, status: int) -> None:
    job = await house.job()
    house.cluster.script(job.id, submit=[says(status, headers={"Retry-After": "120"})])
    await house.turn()
    waiting = await house.look(job)
    assert (waiting.status, waiting.submitted_at) == (JobStatus.INITIALIZING, None)
    assert f"says to come back later (it answered {status})" in (waiting.current_stage or "")
    await house.turn(seconds=100)
    assert len(house.cluster.calls("submit")) == 1
    await house.turn(seconds=21)
    assert (await house.look(job)).status is JobStatus.RUNNING
    assert len({call.body for call in house.cluster.calls("submit")}) == 1


async def test_jobs_wait_for_a_cluster_that_is_away_and_say_so(house: House) -> None:
    await house.cluster.go_down()
    job = await house.job()
    for _ in range(5):
        await house.turn(seconds=400)
    waiting = await house.look(job)
    assert waiting.status is JobStatus.INITIALIZING
    assert waiting.current_stage == "The GPU cluster cannot be reached (connection refused)"
    cancelled = await house.job()
    await house.turn()
    await house.commands.cancel_job(USER, cancelled.id)
    assert (await house.look(cancelled)).release is Release.NONE  # it has certainly not left us
    await house.cluster.come_back()
    await house.turn(seconds=400)
    assert (await house.look(job)).status is JobStatus.RUNNING
    assert [call.job_id for call in house.cluster.calls("submit")] == [str(job.id)]


@pytest.mark.parametrize("status", [401, 403])
async def test_credentials_that_are_refused_fail_no_job(house: House, status: int) -> None:
    queued, running = await house.job(), None
    house.cluster.always(submit=says(status))
    await house.turn()
    assert "the operator must set GPU_CLUSTER_API_KEY" in ((await house.look(queued)).current_stage or "")
    house.cluster.always()
    await house.turn(seconds=400)
    running = await house.look(queued)
    assert running.status is JobStatus.RUNNING
    house.cluster.always(status=says(status))
    for _ in range(60):
        await house.turn(seconds=3600)
    assert (await house.look(queued)).status is JobStatus.RUNNING
    house.cluster.always()
    await house.turn(seconds=60)
    assert (await house.look(queued)).stale is False


async def test_a_cluster_that_is_unreachable_makes_a_job_stale_and_it_recovers(house: House) -> None:
    job = await house.running()
    await house.cluster.go_down()
    for _ in range(4):
        await house.turn(seconds=31)
    stale = await house.look(job)
    assert (stale.status, stale.stale) == (JobStatus.RUNNING, True)
    assert stale.current_cost == Decimal("0.17")  # it still holds two GPUs: 124 s
    await house.cluster.come_back()
    await house.turn(seconds=31)
    back = await house.look(job)
    assert (back.stale, back.failures, back.contact_lost_since) == (False, 0, None)
    kept = await house.sql("SELECT kind, detail FROM job_events ORDER BY at")
    assert [tuple(row) for row in kept] == [("stale", "connection refused"), ("recovered", None)]


async def test_a_run_that_is_unknown_for_two_minutes_is_lost_and_released(house: House) -> None:
    job = await house.running()
    house.cluster.script(job.id, status=[says(404)])
    await house.turn(seconds=31)
    await house.turn(seconds=31)
    assert (await house.look(job)).not_found_count == 0  # once is nothing
    house.cluster.jobs[job.id].forget()
    for _ in range(5):
        await house.turn(seconds=31)
    lost = await house.look(job)
    assert (lost.status, lost.error_message) == (
        JobStatus.FAILED,
        "The GPU cluster no longer knows this job.",
    )
    assert len(await house.books(job)) == 1
    await house.turn(seconds=60)
    assert (await house.look(job)).release is Release.CONFIRMED


async def test_silence_for_a_day_ends_a_job_and_its_run_is_stopped_when_the_cluster_heals(
    house: House,
) -> None:
    job = await house.running()
    house.cluster.always(status=says(500))
    for _ in range(50):
        await house.turn(seconds=1800)
    lost = await house.look(job)
    assert (lost.status, lost.release) == (JobStatus.FAILED, Release.NEEDED)
    assert lost.error_message == "The GPU cluster could not be reached for too long."
    house.cluster.always()
    await house.turn(seconds=120)
    assert (await house.look(job)).release is Release.CONFIRMED
    assert house.cluster.live == []


@pytest.mark.parametrize(
    "answer",
    [
        says(
            200,
            b'{"status": "running", "progress": 50, "metrics": {"training_loss": NaN}, "current_step": 9}',
        ),
        says(
            200,
            b'{"status": "running", "progress": 50, "metrics": {"training_loss": 1e999}, "current_step": 9}',
        ),
    ],
)
async def test_a_loss_that_is_no_number_leaves_the_job_readable(house: House, answer: Answer) -> None:
    job = await house.running()
    house.cluster.script(job.id, status=[answer])
    await house.turn(seconds=30)
    seen = await house.look(job)
    assert (seen.status, seen.progress, seen.current_step) == (JobStatus.RUNNING, 50.0, 9)
    [point] = await house.points(job)
    assert (point.step, point.training_loss, point.non_finite) == (9, None, True)


@pytest.mark.parametrize(
    "answer",
    [
        says(200, b"[" * 100_000),
        says(200, b'"completed"'),
        says(200, b'{"status": "paused", "progress": "50", "metrics": [], "current_step": -1}'),
        says(200, b'{"status": "COMPLETED", "progress": null}'),
        says(200, b'{"status": "completed", "job_id": "00000000-0000-4000-8000-000000000000"}'),
        says(200, b'{"status": "comple'),
        says(204),
        hangs(),
        resets(),
        huge(),
    ],
)
async def test_an_answer_without_information_changes_nothing_for_any_job(
    impatient: House, answer: Answer
) -> None:
    job, other = await impatient.running(), await impatient.running()
    impatient.cluster.script(job.id, status=[answer])
    impatient.cluster.jobs[other.id].complete()
    await impatient.turn(seconds=30)
    assert (await impatient.look(job)).status is JobStatus.RUNNING
    assert (await impatient.look(job)).progress == 0.0
    assert (await impatient.look(other)).status is JobStatus.COMPLETED
    impatient.cluster.jobs[job.id].complete()
    await impatient.turn(seconds=30)
    assert (await impatient.look(job)).status is JobStatus.COMPLETED


async def test_a_message_with_everything_bad_in_it_is_stored_clean_and_harms_no_other(house: House) -> None:
    job, other = await house.running(), await house.running()
    house.cluster.jobs[job.id].fail("\0\ud800<script>\x1b[31m" + "x" * 1_000_000)
    house.cluster.jobs[other.id].complete()
    await house.turn(seconds=30)
    failed = await house.look(job)
    assert failed.status is JobStatus.FAILED
    assert (failed.error_message or "").startswith("<script>")
    assert len(failed.error_message or "") <= 2000
    assert (await house.look(other)).status is JobStatus.COMPLETED


async def test_an_id_that_another_job_has_is_no_answer(house: House) -> None:
    first, second = await house.running(), await house.job()
    taken = (await house.look(first)).external_job_id
    house.cluster.script(second.id, submit=[says(200, {"external_job_id": taken})])
    await house.turn()
    unclear = await house.look(second)
    assert (unclear.status, unclear.external_job_id) == (JobStatus.INITIALIZING, None)
    await house.turn(seconds=60)
    assert (await house.look(second)).status is JobStatus.RUNNING


async def test_a_row_that_cannot_be_written_harms_no_other(house: House) -> None:
    poisoned, healthy = await house.running(), await house.running()
    await house.sql("CREATE TABLE poison (id text)")
    body = "SELECT RAISE(ABORT, 'poisoned');"
    if house.database.dialect == "sqlite":
        await house.sql(
            f"CREATE TRIGGER poisoned BEFORE UPDATE ON training_jobs WHEN NEW.progress = 66 BEGIN {body} END"
        )
    else:
        await house.sql("ALTER TABLE training_jobs ADD CONSTRAINT poisoned CHECK (progress <> 66) NOT VALID")
    house.cluster.jobs[poisoned.id].progress(66.0)
    house.cluster.jobs[healthy.id].progress(50.0)
    await house.turn(seconds=30)
    assert (await house.look(healthy)).progress == 50.0
    assert (await house.look(poisoned)).progress == 0.0
    [(stack,)] = await house.sql("SELECT error_stack FROM training_jobs WHERE error_stack IS NOT NULL")
    assert "poisoned" in stack
    house.cluster.jobs[poisoned.id].progress(67.0)
    await house.turn(seconds=61)
    assert (await house.look(poisoned)).progress == 67.0


async def test_a_job_whose_turn_does_not_come_within_its_claim_is_given_back_unsent(build: Build) -> None:
    async with build(dedupes=False, submit_limit=9, timeout=5, claim=timedelta(seconds=0.4)) as house:
        hanging = [await house.job() for _ in range(9)]  # one more than are submitted at the same time
        for job in hanging:
            house.cluster.script(job.id, submit=[usual(delay=0.5)])
        await house.turn()
        unsent = {str(job.id) for job in hanging} - {
            call.job_id or "" for call in house.cluster.calls("submit")
        }
        assert len(unsent) == 1
        for _ in range(3):
            await house.turn(seconds=60)
        assert {(await house.look(job)).status for job in hanging} == {JobStatus.RUNNING}


async def test_one_hanging_answer_holds_up_nobody(build: Build) -> None:
    async with build(timeout=5) as house:
        hanging = await house.running()
        healthy = [await house.running() for _ in range(6)]
        house.cluster.script(hanging.id, status=repeat(hangs()))
        house.clock.advance(31)
        await house.cycle.run()  # without waiting for stragglers
        for job in healthy:
            assert (await house.look(job)).last_contact_at == house.clock.instant
        assert (await house.look(hanging)).last_contact_at != house.clock.instant
        created = await house.job()
        await house.cycle.run()
        assert (await house.look(created)).status is JobStatus.RUNNING
        await house.cycle.close()


async def test_without_deduplication_an_unclear_submit_is_parked(build: Build) -> None:
    async with build(dedupes=False) as house:
        job = await house.job()
        house.cluster.script(job.id, submit=[says(502, act=True)])
        for _ in range(5):
            await house.turn(seconds=600)
        parked = await house.look(job)
        assert parked.status is JobStatus.INITIALIZING
        assert (parked.current_stage or "").startswith("Waiting for the operator")
        assert len(house.cluster.calls("submit")) == 1
        assert f"python -m jobs resolve {job.id}" in (await house.told())[-1].message


async def test_a_callback_adds_points_at_once_and_moves_no_money(house: House) -> None:
    job = await house.running()
    token = house.cluster.calls("submit")[0].body.decode().split("?token=")[1].split('"')[0]
    house.rings.count = 0
    document = {
        "status": "completed",
        "progress": 30,
        "current_step": 3,
        "points": [
            {"step": 3, "training_loss": 0.5},
            {"step": "x"},
            {"step": 4, "training_loss": float("nan")},
        ],
    }
    house.clock.advance(5)
    report = read_report(document, house.clock.instant, from_callback=True)
    assert report is not None
    for _ in range(3):
        assert (await reported(house.commands, job.id, token, report)).name == "TAKEN"
    told = await house.look(job)
    assert (told.status, told.progress, told.final_cost) == (JobStatus.RUNNING, 30.0, None)
    assert [(point.step, point.training_loss) for point in await house.points(job)] == [(3, 0.5), (4, None)]
    assert house.rings.count == 1
    await house.turn()
    assert len(house.cluster.calls("status")) == 1  # the worker looks now, not at the next tick
    assert (await house.look(job)).progress == 30.0  # and progress never falls
    other = await house.running()
    assert (await reported(house.commands, other.id, token, report)).name == "UNKNOWN"
    await house.commands.cancel_job(USER, job.id)
    assert (await reported(house.commands, job.id, token, report)).name == "ENDED"


async def test_the_same_key_gives_the_same_job(house: House) -> None:
    dataset = await house.dataset()
    wish = TrainingWish(dataset_id=dataset.id, preset_id="laptop", idempotency_key="once")
    made = await asyncio.gather(*(house.commands.create_job(USER, wish) for _ in range(4)))
    assert len({job.id for job in made}) == 1
    assert (await house.sql("SELECT count(*) FROM training_jobs")) == [(1,)]


async def test_a_price_that_changes_moves_no_running_job(house: House) -> None:
    job = await house.running()
    house.clock.advance(timedelta(hours=1).total_seconds())
    cancelled = await house.commands.cancel_job(USER, job.id)
    assert job.gpu_config.cost_per_gpu_hour == Decimal("2.50")
    assert cancelled.final_cost == Decimal("5.00")


async def test_a_redirect_is_not_followed(house: House) -> None:
    job = await house.job()
    house.cluster.script(job.id, submit=[redirects(house.cluster.decoy_url)])
    await house.turn()
    assert house.cluster.decoy_calls == []
    await house.turn(seconds=60)
    assert (await house.look(job)).status is JobStatus.RUNNING
