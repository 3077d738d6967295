"""What the databases themselves refuse, whoever asks: shown with plain SQL, past all of our code."""

from dataclasses import fields, replace
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import insert, update

from jobs.database import Database, RowRefused, datasets
from jobs.database.tables import training_jobs
from jobs.domain.job import Job
from jobs.domain.lifecycle import FINAL, TRANSITIONS, JobStatus, Release
from jobs.domain.metrics import CurrentMetrics
from jobs.domain.pricing import GpuConfig
from jobs.domain.training import Hyperparameters
from tests.database.rows import a_dataset, look, new_job, put, put_one, sql
from tests.domain.factories import NOON, after

FIXED = {"id", "user_id", "dataset_id", "created_at", "hyperparameters", "gpu_config", "external_job_id"}


async def change(database: Database, job: Job, **values: Any) -> None:
    """Write columns of the job's row."""
    async with database.begin() as tx:
        await tx.execute(update(training_jobs).where(training_jobs.c.id == job.id).values(values))


async def refuses(database: Database, job: Job, words: str, **values: Any) -> None:
    """Writing these columns is refused with these words, and the row is as it was."""
    before = await look(database, job)
    with pytest.raises(RowRefused, match=words):
        await change(database, job, **values)
    assert await look(database, job) == before


def implied(status: JobStatus, job: Job) -> dict[str, Any]:
    """Everything a job of that status has, but for what a row keeps."""
    target = new_job(status, id=job.id)
    values = {field.name: getattr(target, field.name) for field in fields(Job) if field.name not in FIXED}
    return values | ({} if job.external_job_id else {"external_job_id": target.external_job_id})


async def test_a_status_changes_only_as_the_table_says(database: Database) -> None:
    for old in JobStatus:
        legal = set(TRANSITIONS[old].values()) - {old}
        for new in set(JobStatus) - {old}:
            job = await put_one(database, old)
            if new in legal:
                await change(database, job, **implied(new, job))
                assert (await look(database, job)).status is new
            else:
                await refuses(
                    database,
                    job,
                    "cannot change its status in this way|stays as it ended",
                    **implied(new, job),
                )


async def test_an_unknown_status_or_release_is_refused(database: Database) -> None:
    job = await put_one(database)
    for statement in ("status = 'paused'", "status = 'QUEUED'", "release = 'maybe'", "status = NULL"):
        with pytest.raises(RowRefused):
            await sql(database, f"UPDATE training_jobs SET {statement}")
    assert await look(database, job) == job


@pytest.mark.parametrize("status", FINAL)
async def test_a_job_that_has_ended_stays_as_it_ended(database: Database, status: JobStatus) -> None:
    job = await put_one(database, status)
    changes: dict[str, Any] = {
        "completed_at": after(9_999),
        "started_at": after(6),
        "error_message": "another",
        "progress": 3.0,
        "current_stage": "training",
        "current_epoch": 2,
        "current_step": 7,
        "total_steps": 9,
        "current_metrics": CurrentMetrics(training_loss=1.0),
        "artifact_id": uuid4(),
        "current_cost": Decimal("0.01"),
        "final_cost": Decimal("5.00"),
        "release": Release.NONE,
    }
    for column, value in changes.items():
        await refuses(database, job, "stays as it ended", **{column: value})
    await refuses(database, job, "stays as it ended", release=Release.NEEDED, next_action_at=NOON)


async def test_the_machinery_may_still_note_what_it_knows_of_an_ended_job(database: Database) -> None:
    job = await put_one(database, JobStatus.CANCELLED, release=Release.NEEDED)
    noted: dict[str, Any] = {
        "failures": 3,
        "next_action_at": after(5_000),
        "claim_token": uuid4(),
        "revision": 9,
    }
    await change(database, job, **noted)
    assert await look(database, job) == replace(job, **noted)


async def test_the_final_cost_changes_only_when_the_release_is_confirmed(database: Database) -> None:
    job = await put_one(database, JobStatus.CANCELLED, release=Release.NEEDED)
    await refuses(database, job, "stays as it ended", final_cost=Decimal("6.00"))
    await change(
        database,
        job,
        final_cost=Decimal("6.00"),
        release=Release.CONFIRMED,
        released_at=after(4_000),
        next_action_at=None,
    )
    freed = await look(database, job)
    assert (freed.final_cost, freed.release) == (Decimal("6.00"), Release.CONFIRMED)
    for cost in (Decimal("7.00"), None):
        await refuses(database, job, "stays as it ended|final_has_a_cost", final_cost=cost)
    await refuses(database, job, "stays as it ended", release=Release.NEEDED, next_action_at=after(5_000))


async def test_owner_price_and_wishes_never_change(database: Database) -> None:
    job = await put_one(database, JobStatus.RUNNING)
    other = await put_one(database, user_id="bob", dataset_id=uuid4())
    changes: dict[str, Any] = {
        "id": uuid4(),
        "user_id": "bob",
        "dataset_id": other.dataset_id,
        "created_at": after(-1),
        "gpu_config": GpuConfig("NVIDIA A100", 2, Decimal("2.49")),
        "hyperparameters": Hyperparameters(num_epochs=4),
    }
    for column, value in changes.items():
        await refuses(database, job, "keeps its id, owner, dataset, price and wishes", **{column: value})


async def test_an_external_id_is_learnt_once(database: Database) -> None:
    job = await put_one(database, JobStatus.INITIALIZING)
    await change(database, job, external_job_id="run-1")
    for name in ("run-2", None):
        await refuses(database, job, "keeps the external id", external_job_id=name)
    await change(database, job, external_job_id="run-1", failures=1)


async def test_an_external_id_is_one_jobs(database: Database) -> None:
    await put_one(database, JobStatus.INITIALIZING, external_job_id="run-1")
    taken = (await sql(database, "SELECT external_job_id FROM training_jobs"))[0][0]
    job = await put_one(database, JobStatus.INITIALIZING)
    await refuses(database, job, "external_job_id", external_job_id=taken)


async def test_what_a_status_implies_is_required(database: Database) -> None:
    queued, starting = await put_one(database), await put_one(database, JobStatus.INITIALIZING)
    running = await put_one(database, JobStatus.RUNNING)
    over = await put_one(database, JobStatus.COMPLETED)
    for job in (queued, starting, running):
        await refuses(database, job, "never_stuck", next_action_at=None)
        await refuses(database, job, "final_has_an_end", completed_at=NOON)
        await refuses(database, job, "final_has_a_cost", final_cost=Decimal("1.00"))
    await refuses(database, starting, "running_is_known_there", status=JobStatus.RUNNING)
    ended = {"status": JobStatus.FAILED, "completed_at": NOON, "final_cost": Decimal("0.00")}
    for missing in ("completed_at", "final_cost"):
        await refuses(database, running, "final_has_a", **(ended | {missing: None}))
    needed = {"release": Release.NEEDED, "next_action_at": None}
    await refuses(database, running, "never_stuck", **(ended | needed))
    for column, value in (("progress", 101.0), ("progress", -1.0)):
        await refuses(database, running, "progress_is_percent", **{column: value})
    for column in ("current_step", "total_steps", "current_epoch", "total_epochs"):
        await refuses(database, running, "counts_not_negative", **{column: -1})
    assert await look(database, over) == over


async def test_no_job_is_made_that_breaks_the_rules(database: Database) -> None:
    await put_one(database)
    for broken in (
        new_job(JobStatus.RUNNING, id=uuid4(), next_action_at=None),
        replace(new_job(JobStatus.RUNNING), external_job_id=None),
        replace(new_job(JobStatus.COMPLETED), final_cost=None),
        replace(new_job(), progress=float("inf")),
        replace(new_job(), completed_at=NOON),
    ):
        values = {field.name: getattr(broken, field.name) for field in fields(Job)}
        with pytest.raises(RowRefused):
            async with database.begin() as tx:
                await tx.execute(insert(training_jobs).values(values))
    assert await sql(database, "SELECT count(*) FROM training_jobs") == [(1,)]


async def test_progress_is_a_number(database: Database) -> None:
    job = await put_one(database, JobStatus.RUNNING)
    for value in (float("nan"), float("inf")):
        with pytest.raises(RowRefused):
            await change(database, job, progress=value)


async def test_one_notification_of_a_type_and_one_line_of_a_kind_per_job(database: Database) -> None:
    job = await put_one(database, JobStatus.FAILED)
    at, text_id = "'2026-03-14 13:00:00+00'", "'{}'"
    note = f"INSERT INTO notifications (id, user_id, job_id, type, title, message, priority, action_url, metadata, created_at) VALUES ({text_id}, 'ada', '{job.id}', 'job_failed', 't', 'm', 'high', '/', '{{}}', {at})"  # noqa: E501
    line = f"INSERT INTO cost_records (id, user_id, job_id, cost_type, amount, details, billing_period, recorded_at) VALUES ({text_id}, 'ada', '{job.id}', 'training_compute', '1.00', '{{}}', '2026-03-14', {at})"  # noqa: E501
    for statement, other in (
        (note, ("job_failed", "job_started")),
        (line, ("training_compute", "release_overrun")),
    ):
        await _plainly(database, statement.replace("{}", str(uuid4()), 1))
        with pytest.raises(RowRefused):
            await _plainly(database, statement.replace("{}", str(uuid4()), 1))
        await _plainly(database, statement.replace("{}", str(uuid4()), 1).replace(*other))
    with pytest.raises(RowRefused, match="cost_type_known"):
        await _plainly(database, line.replace("{}", str(uuid4()), 1).replace("training_compute", "tip"))
    with pytest.raises(RowRefused, match="priority_known"):
        await _plainly(database, note.replace("{}", str(uuid4()), 1).replace("high", "urgent"))


async def test_a_dataset_says_what_it_is(database: Database) -> None:
    dataset = a_dataset()
    async with database.begin() as tx:
        await datasets.insert_dataset(tx, dataset)
    for statement, constraint in (
        ("training_ready = (1 = 0)", "ready_means_ready"),
        ("status = 'invalid', training_ready = (1 = 0)", "invalid_says_why"),
        ("error_message = 'why'", "invalid_says_why"),
        ("status = 'done'", "status_known|ready_means_ready"),
        ("storage_bucket = 'secrets'", "bucket_known"),
        ("total_tokens = -1", "not_negative"),
        ("storage_path = 'bob/pairs.jsonl'", "path_is_the_owners"),
        ("storage_path = 'adam/pairs.jsonl'", "path_is_the_owners"),
        ("storage_path = 'ada'", "path_is_the_owners"),
    ):
        with pytest.raises(RowRefused, match=constraint):
            await sql(database, f"UPDATE datasets SET {statement}")
    async with database.read() as tx:
        assert await datasets.find(tx, dataset.id) == dataset


async def test_what_belongs_to_a_job_needs_the_job(database: Database) -> None:
    await put(database, new_job())
    with pytest.raises(RowRefused):
        await sql(database, "DELETE FROM datasets")  # a job's dataset stays as long as the job
    job = replace(new_job(), dataset_id=uuid4())
    values = {field.name: getattr(job, field.name) for field in fields(Job)}
    with pytest.raises(RowRefused):
        async with database.begin() as tx:
            await tx.execute(insert(training_jobs).values(values))


async def _plainly(database: Database, statement: str) -> None:
    async with database.begin() as tx:
        await tx.exec_driver_sql(statement)
