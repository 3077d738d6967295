"""Values come back as they went in, from both databases, and read well in both at a SQL prompt."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, MetaData, Table, insert, select
from sqlalchemy.exc import StatementError

from jobs.database import Database, DatabaseUnavailable, RowRefused, costs, datasets, job_list, jobs, telling
from jobs.database.claims import Claim, claim_queued
from jobs.database.types import AsJson, Id, Money, UtcDateTime
from jobs.domain.lifecycle import JobStatus
from jobs.domain.metrics import CurrentMetrics
from jobs.domain.moves import Charge
from jobs.domain.pricing import GpuConfig
from jobs.domain.training import Hyperparameters
from tests.database.rows import a_dataset, look, new_job, put, put_one, sql
from tests.domain.factories import NOON, after

APIA = timezone(timedelta(hours=13))
cents = st.decimals(Decimal(0), Decimal("999999999999.99"), places=2)
instants = st.datetimes(datetime(1971, 1, 1), datetime(2999, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
shares = st.floats(0, 1, exclude_max=True)
on_one_database = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

_notes = Table(
    "notes",
    MetaData(),
    Column("id", Id),
    Column("at", UtcDateTime),
    Column("cost", Money),
    Column("said", AsJson(dict)),
)


@on_one_database
@given(
    cost=cents, at=instants, price=st.decimals(0, 999_999, places=6), rate=st.floats(1e-300, 1), share=shares
)
async def test_a_job_comes_back_as_it_went_in(
    database: Database, cost: Decimal, at: datetime, price: Decimal, rate: float, share: float
) -> None:
    job = new_job(
        JobStatus.COMPLETED,
        gpu_config=GpuConfig("NVIDIA A100", 2, price),
        hyperparameters=Hyperparameters(learning_rate=rate, lora_dropout=share),
        current_metrics=CurrentMetrics(training_loss=0.0, gpu_utilization=share * 100),
        estimated_total_cost=cost,
        current_cost=cost,
        final_cost=cost,
        created_at=at,
        completed_at=at + timedelta(microseconds=1),
        progress=100 * share,
    )
    await put(database, job)
    stored = await look(database, job)
    assert stored == job
    assert str(stored.gpu_config.cost_per_gpu_hour) == str(price)
    assert stored.created_at.tzinfo is UTC


async def test_money_reads_as_dollars_and_cents(database: Database) -> None:
    for told, shown in (
        *(("0.00", "0.00"), ("12.30", "12.30"), ("12.3", "12.30"), ("7", "7.00")),
        *(("-0.01", "-0.01"), ("999999999999.99", "999999999999.99")),
    ):
        job = await put_one(database, estimated_total_cost=Decimal(told))
        query = "SELECT CAST(estimated_total_cost AS text) FROM training_jobs WHERE CAST(id AS text) = :id"
        assert await sql(database, query, id=str(job.id)) == [(shown,)]
        assert str((await look(database, job)).estimated_total_cost) == shown


async def test_money_by_default_is_zero_in_two_places(database: Database) -> None:
    job = new_job()
    async with database.begin() as tx:
        await datasets.insert_dataset(tx, a_dataset(job.user_id, id=job.dataset_id))
        assert await jobs.insert_job(tx, job)
    [[shown]] = await sql(database, "SELECT CAST(current_cost AS text) FROM training_jobs")
    assert shown == "0.00"


async def test_what_is_no_money_is_refused_before_it_is_sent(database: Database) -> None:
    for amount in ("0.001", "12.345", "NaN", "Infinity", "1E+30"):
        with pytest.raises(StatementError):
            await put_one(database, estimated_total_cost=Decimal(amount))
    assert await sql(database, "SELECT id FROM training_jobs") == []


async def test_a_naive_instant_is_refused(database: Database) -> None:
    with pytest.raises(StatementError, match="has no time zone"):
        await put_one(database, created_at=datetime(2026, 3, 1, 9))  # noqa: DTZ001
    assert await sql(database, "SELECT id FROM training_jobs") == []


async def test_any_zone_is_stored_as_the_same_instant(database: Database) -> None:
    here = after(60).astimezone(APIA)
    job = await put_one(database, created_at=here)
    stored = await look(database, job)
    assert stored.created_at == here
    assert stored.created_at.utcoffset() == timedelta(0)
    async with database.read() as tx:
        assert [
            found.id
            for found in await job_list.page(tx, "ada", limit=1, after=(after(61).astimezone(APIA), job.id))
        ]
        assert not await job_list.page(tx, "ada", limit=1, after=(here, job.id))


async def test_every_move_takes_instants_of_any_zone(database: Database) -> None:
    """What is compared or chosen in SQL must not depend on the zone in which it was written."""
    at, until = after(10).astimezone(APIA), after(70).astimezone(APIA)
    job = await put_one(database)
    async with database.begin() as tx:
        [claimed] = await claim_queued(tx, Claim(1, at, until, timedelta(days=1)))
        [held] = (await telling.hold(tx, [(job.id, job.user_id)])).values()
        await telling.tell(tx, [replace(held, updated_at=at)])
    told = await look(database, job)
    assert (told.submitted_at, told.next_action_at, told.updated_at) == (after(10), after(70), after(10))
    async with database.begin() as tx:
        await jobs.set_aside(tx, claimed, stack="", until=until)
        await telling.tell(tx, [replace(held, next_action_at=after(20).astimezone(APIA))])
    assert (await look(database, job)).next_action_at == after(20)
    async with database.begin() as tx:
        assert await jobs.store_external_id(tx, job.id, "run-7", at)
    assert (await look(database, job)).accepted_at == after(10)


async def test_ids_have_dashes_and_instants_read_as_utc(database: Database) -> None:
    job = await put_one(database, created_at=NOON)
    [[job_id, created_at]] = await sql(
        database, "SELECT CAST(id AS text), CAST(created_at AS text) FROM training_jobs"
    )
    assert job_id == str(job.id)
    assert created_at.startswith("2026-03-14 12:00:00")


async def test_prices_are_exact_json_numbers(database: Database) -> None:
    await put_one(database, gpu_config=GpuConfig("NVIDIA A100", 2, Decimal("2.50")))
    [[shown]] = await sql(database, "SELECT CAST(gpu_config AS text) FROM training_jobs")
    assert shown.replace(" ", "").find('"cost_per_gpu_hour":2.50') > 0


async def test_what_was_held_is_exact_in_the_books(database: Database) -> None:
    job = await put_one(database, JobStatus.COMPLETED)
    charge = Charge("training_compute", Decimal("4.99"), Decimal("0.998611"), NOON)
    async with database.begin() as tx:
        await costs.insert_records(tx, [(job, charge)])
        [record] = (await costs.records(tx, [job.id]))[job.id]
    assert (record.amount, record.details.duration_hours) == (Decimal("4.99"), Decimal("0.998611"))
    assert record.billing_period.isoformat() == "2026-03-14"
    [[details]] = await sql(database, "SELECT CAST(details AS text) FROM cost_records")
    assert '"duration_hours":0.998611' in details.replace(" ", "")


async def test_no_metrics_are_null_in_sql_and_not_the_word(database: Database) -> None:
    await put_one(database)
    assert await sql(database, "SELECT count(*) FROM training_jobs WHERE current_metrics IS NULL") == [(1,)]


async def test_text_survives_that_looks_like_something_else(database: Database) -> None:
    name = "'; DROP TABLE datasets; -- %s :name {} ☃ \U0001f43c"
    job = await put_one(database, JobStatus.FAILED, error_message=name)
    assert (await look(database, job)).error_message == name


async def test_a_row_of_every_type_may_hold_nothing(database: Database) -> None:
    async with database.begin() as tx:
        await tx.run_sync(_notes.create)
        await tx.execute(insert(_notes).values(id=None, at=None, cost=None, said=None))
        assert tuple((await tx.execute(select(_notes))).one()) == (None, None, None, None)


async def test_a_text_that_no_database_can_hold_is_an_error_and_no_outage(database: Database) -> None:
    """NUL bytes are stripped where text comes in; should one slip through, Postgres says no and nothing is stored."""
    try:
        job = await put_one(database, JobStatus.FAILED, error_message="a\0b")
    except Exception as exc:  # noqa: BLE001 - any error but the two that say something else
        assert not isinstance(exc, (DatabaseUnavailable, RowRefused))  # noqa: PT017
        assert database.dialect == "postgresql"
    else:
        assert (await look(database, job)).error_message == "a\0b"
