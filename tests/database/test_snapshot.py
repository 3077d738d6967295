"""One instant through one connection, however many read it side by side, and a connection left for who needs another."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from jobs.database import Database, DatabaseUnavailable, Snapshot
from jobs.database.job_list import count
from tests.database.connections import connections_used
from tests.database.rows import new_job, put


@contextlib.asynccontextmanager
async def a_snapshot(database: Database) -> AsyncIterator[Snapshot]:
    snapshot = Snapshot(database, "ada")
    try:
        yield snapshot
    finally:
        await snapshot.close()


async def seen(snapshot: Snapshot) -> int:
    """How many jobs Ada has there."""
    async with snapshot.read() as tx:
        return await count(tx, "ada")


async def test_what_is_written_in_between_is_not_seen(database: Database) -> None:
    await put(database, new_job())
    async with a_snapshot(database) as snapshot, a_snapshot(database) as later:
        assert await seen(snapshot) == 1
        await put(database, new_job())
        assert [await seen(snapshot), await seen(later)] == [1, 2]


async def test_readers_side_by_side_share_one_connection(database: Database) -> None:
    with connections_used(database) as moves:
        async with a_snapshot(database) as snapshot:
            assert moves == []
            assert await asyncio.gather(*(seen(snapshot) for _ in range(20))) == [0] * 20
    assert moves == ["taken", "given back"]


async def test_a_reader_that_fails_spoils_nothing_for_the_others(database: Database) -> None:
    async def failing(snapshot: Snapshot) -> None:
        async with snapshot.read() as tx:
            await tx.execute(text("SELECT nothing"))

    async with a_snapshot(database) as snapshot:
        first, failed, last = await asyncio.gather(
            seen(snapshot), failing(snapshot), seen(snapshot), return_exceptions=True
        )
        assert (first, last) == (0, 0)
        assert isinstance(failed, DBAPIError | DatabaseUnavailable)


async def test_who_is_cancelled_while_reading_leaves_the_connection_to_others(database: Database) -> None:
    async with a_snapshot(database) as snapshot:
        reading = asyncio.Event()

        async def for_ever() -> None:
            async with snapshot.read():
                reading.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(for_ever())
        await reading.wait()
        task.cancel()
        assert await seen(snapshot) == 0
        assert task.cancelled()


async def test_after_its_end_nobody_reads(database: Database) -> None:
    async with a_snapshot(database) as snapshot:
        await seen(snapshot)
    with pytest.raises(DatabaseUnavailable):
        await seen(snapshot)
    await snapshot.close()


async def test_snapshots_leave_a_connection_to_those_who_hold_one_and_need_another(database_url: str) -> None:
    database = Database.open(database_url, pool_size=2)
    async with asyncio.timeout(20), a_snapshot(database) as first, a_snapshot(database) as second:
        await seen(first)
        waiting = asyncio.create_task(seen(second))
        async with database.read() as tx:  # as a resolver beside the snapshot's readers
            assert await count(tx, "ada") == 0
        assert not waiting.done()
        await first.close()
        assert await waiting == 0
    await database.close()
