"""Lists: newest first, every row on exactly one page, nobody else's, and one statement each."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event

from jobs.database import Database, Position, Transaction, datasets, jobs, notifications
from jobs.domain import notices
from jobs.domain.lifecycle import ACTIVE, FINAL, JobStatus
from jobs.domain.pricing import GpuConfig
from tests.database.rows import a_dataset, new_job, put
from tests.domain.factories import NOON, TWO_A100, after

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
    "jobs": (jobs, fill_jobs),
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


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """What is sent inside the block, but for what begins a transaction."""
    sent: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        if not statement.startswith(("BEGIN", "SELECT set_config")):
            sent.append(statement)

    event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(database.engine.sync_engine, "before_cursor_execute", note)


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
            found = await jobs.page(tx, "ada", limit=100, statuses=statuses)
            assert [job.id for job in found] == expected
            assert await jobs.count(tx, "ada", statuses=statuses) == len(expected)


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
        assert [len(await jobs.page(tx, "ada", limit=limit)) for limit in (1, 2, 3, 4)] == [1, 2, 3, 3]
