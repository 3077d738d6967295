"""Lists: newest first, every row on exactly one page, nobody else's, and one statement each."""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import update

from jobs.database import Database, Position, Transaction, datasets, job_list, jobs, notifications
from jobs.database.job_list import JobOrder, Listed
from jobs.database.tables import training_jobs
from jobs.domain import notices
from jobs.domain.job import Job
from jobs.domain.lifecycle import ACTIVE, FINAL, JobStatus
from jobs.domain.pricing import GpuConfig
from tests.database.rows import a_dataset, new_job, put
from tests.domain.factories import NOON, TWO_A100, after
from tests.statements import statements

Fill = Callable[[Database, str], Awaitable[list[UUID]]]
NOTICES = (notices.cancelled(), notices.started(TWO_A100), notices.failed("no", ever_ran=True))
INSTANTS = (NOON, after(1), NOON, after(2), NOON, after(1), NOON)  # four at once, two at once, one alone


async def fill_jobs(database: Database, user_id: str) -> list[UUID]:
    made = [new_job(user_id=user_id, dataset_id=uuid4(), created_at=at) for at in INSTANTS]
    await put(database, *made)
    return [job.id for job in made]


async def fill_datasets(database: Database, user_id: str) -> list[UUID]:
    made = [a_dataset(user_id, created_at=at) for at in INSTANTS]
    async with database.begin() as tx:
        for dataset in made:
            await datasets.insert_dataset(tx, dataset)
    return [dataset.id for dataset in made]


async def fill_notifications(database: Database, user_id: str) -> list[UUID]:
    made = [
        new_job(JobStatus.FAILED, user_id=user_id, dataset_id=uuid4(), updated_at=at) for at in INSTANTS[:3]
    ]
    await put(database, *made)
    async with database.begin() as tx:
        for job in made:
            for notice in NOTICES:
                await notifications.insert_notices(tx, [(job, notice)])
        return [note.id for note in await notifications.page(tx, user_id, limit=100)]


LISTS: dict[str, tuple[Any, Fill]] = {
    "jobs": (job_list, fill_jobs),
    "datasets": (datasets, fill_datasets),
    "notifications": (notifications, fill_notifications),
}
each_list = pytest.mark.parametrize(("queries", "fill"), LISTS.values(), ids=LISTS)


async def all_pages(tx: Transaction, queries: Any, user_id: str, size: int) -> list[Any]:
    """Every row, read page by page as the cursor goes on."""
    found: list[Any] = []
    after_last: Position | None = None
    while page := await queries.page(tx, user_id, limit=size, after=after_last):
        assert len(page) <= size
        found += page
        after_last = (page[-1].created_at, page[-1].id)
    return found


@each_list
async def test_every_row_is_on_exactly_one_page_newest_first(
    database: Database, queries: Any, fill: Fill
) -> None:
    """Also where many were made at the same instant: the id decides, the same way on both databases."""
    ids = await fill(database, "ada")
    await fill(database, "bob")
    async with database.read() as tx:
        for size in (1, 2, 3, 100):
            found = await all_pages(tx, queries, "ada", size)
            assert [(row.created_at, row.id) for row in found] == sorted(
                ((row.created_at, row.id) for row in found), reverse=True
            )
            assert sorted(row.id for row in found) == sorted(ids)


@each_list
async def test_a_list_costs_one_statement_and_a_page_two(
    database: Database, queries: Any, fill: Fill
) -> None:
    await fill(database, "ada")
    with statements(database) as sent:
        async with database.read("ada") as tx:
            assert len(await queries.page(tx, "ada", limit=3)) == 3
    assert len(sent) == 1
    with statements(database) as sent:
        async with database.read("ada") as tx:
            page = await queries.page(tx, "ada", limit=3, after=(after(9), uuid4()))
            assert await queries.count(tx, "ada") >= len(page)
    assert len(sent) == 2


@each_list
async def test_nobody_elses_rows_are_listed_or_counted(database: Database, queries: Any, fill: Fill) -> None:
    theirs = set(await fill(database, "bob"))
    async with database.read() as tx:
        assert await queries.page(tx, "ada", limit=100) == []
        assert await queries.page(tx, "ada", limit=100, after=(after(9), max(theirs))) == []
        assert (await queries.count(tx, "ada"), await queries.count(tx, "bob")) == (0, len(theirs))


async def test_jobs_are_listed_and_counted_by_status(database: Database) -> None:
    made = [new_job(status, created_at=after(number)) for number, status in enumerate(JobStatus)]
    await put(database, *made)
    async with database.read() as tx:
        for statuses in ((), (JobStatus.RUNNING,), ACTIVE, FINAL):
            expected = [job.id for job in reversed(made) if not statuses or job.status in statuses]
            found = await job_list.page(tx, "ada", limit=100, statuses=statuses)
            assert [job.id for job in found] == expected
            assert await job_list.count(tx, "ada", statuses=statuses) == len(expected)


async def test_many_are_fetched_at_once_but_only_ones_own(database: Database) -> None:
    mine, hers = new_job(), new_job(user_id="bob", dataset_id=uuid4())
    await put(database, mine, hers)
    asked = [mine.id, hers.id, uuid4()]
    with statements(database) as sent:
        async with database.read() as tx:
            assert await jobs.get_many(tx, asked, "ada") == {mine.id: mine}
            assert set(await datasets.get_many(tx, [mine.dataset_id, hers.dataset_id], "ada")) == {
                mine.dataset_id
            }
            assert await jobs.get_many(tx, [], "ada") == {}
            assert await jobs.get(tx, hers.id, "ada") is None
            assert await datasets.get(tx, hers.dataset_id, "ada") is None
    assert len(sent) == 5


async def test_what_was_read_is_no_longer_unread(database: Database) -> None:
    ids = await fill_notifications(database, "ada")
    theirs = await fill_notifications(database, "bob")
    async with database.begin() as tx:
        await notifications.mark_read(tx, "ada", [ids[0], theirs[0], uuid4()], after(10))
        await notifications.mark_read(tx, "ada", [ids[0], ids[1]], after(20))
    async with database.read() as tx:
        read = {note.id: note.read_at for note in await notifications.page(tx, "ada", limit=100)}
        unread = await notifications.page(tx, "ada", limit=100, unread_only=True)
        assert await notifications.count(tx, "ada", unread_only=True) == len(unread) == len(ids) - 2
        assert await notifications.count(tx, "bob", unread_only=True) == len(theirs)
    assert {ids[0]: after(10), ids[1]: after(20)}.items() <= read.items()  # the first reading counts
    assert not {ids[0], ids[1]} & {note.id for note in unread}


async def test_a_list_is_as_long_as_asked_for(database: Database) -> None:
    await put(
        database, *(new_job(gpu_config=GpuConfig("L4", 1, TWO_A100.cost_per_gpu_hour)) for _ in range(3))
    )
    async with database.read() as tx:
        assert [len(await job_list.page(tx, "ada", limit=limit)) for limit in (1, 2, 3, 4)] == [1, 2, 3, 3]


ORDERED = {  # by their numbers, the least first; of those alike the newest, which have the higher numbers, come first
    JobOrder.CREATED: [0, 1, 2, 3, 4, 5],
    JobOrder.DATASET: [5, 4, 1, 0, 3, 2],
    JobOrder.STATUS: [4, 3, 1, 5, 2, 0],
    JobOrder.PROGRESS: [4, 1, 3, 5, 2, 0],
    JobOrder.GPUS: [3, 0, 5, 4, 2, 1],
    JobOrder.COST: [4, 1, 5, 3, 2, 0],
}


async def put_differing(database: Database) -> list[Job]:
    """Six jobs whose orders are those of `ORDERED`."""
    price = TWO_A100.cost_per_gpu_hour
    kinds = [  # status, dataset's name, GPUs, progress, cost
        (JobStatus.CANCELLED, "beta", GpuConfig("A10", 1, price), 90.0, "100.00"),
        (JobStatus.INITIALIZING, "Beta", GpuConfig("L4", 10, price), 0.0, "0.00"),
        (JobStatus.FAILED, "gamma", GpuConfig("L4", 2, price), 55.5, "20.00"),
        (JobStatus.RUNNING, "beta2", GpuConfig("A10", 1, price), 1 / 3, "9.50"),
        (JobStatus.RUNNING, "ALPHA", GpuConfig("A100", 1, price), 0.0, "0.00"),
        (JobStatus.COMPLETED, "alpha", GpuConfig("A100", 1, price), 50.0, "9.50"),
    ]
    made = []
    for number, (status, name, gpus, progress, cost) in enumerate(kinds):
        amount = Decimal(cost)
        costs = {"current_cost": amount, "final_cost": amount if status.is_final else None}
        dataset = a_dataset(name=name)
        async with database.begin() as tx:
            await datasets.insert_dataset(tx, dataset)
        made.append(
            new_job(
                status,
                dataset_id=dataset.id,
                created_at=after(number),
                gpu_config=gpus,
                progress=progress,
                **costs,
            )
        )
    await put(database, *made)
    return made


@pytest.mark.parametrize("order", JobOrder)
async def test_jobs_are_listed_in_every_order_both_ways_and_page_by_page(
    database: Database, order: JobOrder
) -> None:
    made = await put_differing(database)
    numbers = {job.id: number for number, job in enumerate(made)}
    async with database.read() as tx:
        for ascending in (True, False):
            whole = await job_list.page(tx, "ada", limit=9, order=order, ascending=ascending)
            if ascending:
                assert [numbers[row.id] for row in whole] == ORDERED[order]
            keys: list[Any] = [row.created_at if order is JobOrder.CREATED else row.key for row in whole]
            assert keys == sorted(keys, reverse=not ascending)
            for size in (1, 2, 5):
                assert await ordered_pages(tx, size, order, ascending=ascending) == whole


async def ordered_pages(tx: Transaction, size: int, order: JobOrder, *, ascending: bool) -> list[Listed]:
    """Every row, read page by page as the cursor goes on."""
    found: list[Listed] = []
    at: dict[str, Any] = {}
    while rows := await job_list.page(tx, "ada", limit=size, order=order, ascending=ascending, **at):
        found += rows
        at = {"after": (rows[-1].created_at, rows[-1].id), "after_key": rows[-1].key}
    return found


async def test_a_job_that_moves_between_two_pages_hides_no_other(database: Database) -> None:
    made = await put_differing(database)
    async with database.begin() as tx:
        first = await job_list.page(tx, "ada", limit=3, order=JobOrder.PROGRESS, ascending=True)
        assert first[-1].id == made[3].id
        await tx.execute(update(training_jobs).where(training_jobs.c.id == made[3].id).values(progress=99.0))
        rest = await job_list.page(
            tx,
            "ada",
            limit=9,
            order=JobOrder.PROGRESS,
            ascending=True,
            after=(first[-1].created_at, first[-1].id),
            after_key=first[-1].key,
        )
        assert [row.id for row in rest] == [made[5].id, made[2].id, made[0].id, made[3].id]
