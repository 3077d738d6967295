"""Copying everything from one database to another, such as from SQLite to Postgres when an installation grows.

One transaction on either side: the source is read as it was at one instant, and the target is empty or complete.
"""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from itertools import zip_longest
from typing import Any

from sqlalchemy import JSON, Column, MetaData, Table, func, insert, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncResult

from jobs.database.engine import Database, Transaction, sqlite_file
from jobs.database.inspection import DatabaseRefused, plainly, role_of
from jobs.database.migrate import check_schema
from jobs.database.tables import metadata
from jobs.database.types import AsJson

CHUNK = 1_000  #: rows in memory at a time, of each side


def _with_raw_json(table: Table) -> Table:
    """The table with its JSON as text, so that nothing is lost that the domain does not know."""
    raw = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
    columns = [
        Column(c.name, raw if isinstance(c.type, AsJson) else c.type, primary_key=c.primary_key)
        for c in table.columns
    ]
    return Table(table.name, MetaData(), *columns)


_TABLES = [
    _with_raw_json(table) for table in metadata.sorted_tables
]  # a table comes after those it refers to


async def copy(source: str, target: str, *, say: Callable[[str], object] = lambda _: None) -> dict[str, int]:
    """Copy every row and compare both sides; how many rows each table has.

    Raises `DatabaseRefused` when the target holds rows, a role may not see or write all, or a row cannot be kept there;
    `SchemaMismatch` for another version; `DatabaseUnavailable`. Nothing is copied then.
    """
    async with _opened(source) as old, _opened(target) as new:
        with plainly():
            await check_schema(old)
            await check_schema(new)
            async with old.read() as reading, new.begin() as writing:
                await _take_time(reading, reads_only=True)
                await _take_time(writing, reads_only=False)
                await _refuse_rows(writing)
                counts = {}
                for table in _TABLES:
                    counts[table.name] = await _copy_table(table, reading, writing)
                    say(f"{table.name}: {counts[table.name]} rows copied")
                for table in _TABLES:
                    await _compare(table, reading, writing)
    return counts


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[Database]:
    if (file := sqlite_file(url)) and not file.exists():
        raise DatabaseRefused(f"There is no database file {file}.")
    database = Database.open(url, pool_size=1)
    try:
        yield database
    finally:
        await database.close()


async def _take_time(tx: Transaction, *, reads_only: bool) -> None:
    """One instant for all tables, as long as it takes, and for a role that sees and writes every row."""
    if tx.dialect.name != "postgresql":
        return
    if reads_only:
        await tx.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
    for limit in ("statement_timeout", "idle_in_transaction_session_timeout"):
        await tx.execute(text(f"SET LOCAL {limit} = 0"))
    role = await role_of(tx)
    if not (role["bypasses"] or role["is_service"]):
        raise DatabaseRefused(f"The role {role['name']} does not see every row; use one of the service's.")
    if not reads_only:
        names = ", ".join(table.name for table in _TABLES)
        await tx.execute(text(f"LOCK TABLE {names} IN SHARE ROW EXCLUSIVE MODE"))


async def _refuse_rows(tx: Transaction) -> None:
    for table in _TABLES:
        if count := await tx.scalar(select(func.count()).select_from(table)):
            raise DatabaseRefused(f"The target's table {table.name} holds {count} rows; it must be empty.")


async def _copy_table(table: Table, reading: Transaction, writing: Transaction) -> int:
    copied = 0
    statement = insert(table)
    async with reading.stream(select(table)) as rows:
        async for chunk in rows.mappings().partitions(CHUNK):
            await writing.execute(statement, [dict(row) for row in chunk])
            copied += len(chunk)
    return copied


async def _compare(table: Table, reading: Transaction, writing: Transaction) -> None:
    """Raise `DatabaseRefused` at the first row that is not the same on both sides."""
    query = select(table).order_by(*table.primary_key.columns)
    async with reading.stream(query) as old, writing.stream(query) as new:
        async for left, right in _side_by_side(old, new):
            for one, other in zip_longest(left, right):
                if one == other or (one and other and _value(table, one) == _value(table, other)):
                    continue
                key = " ".join(str(value) for value in (one or other)[: len(table.primary_key.columns)])
                raise DatabaseRefused(f"{table.name} {key} differs in the copy; nothing was kept.")


async def _side_by_side(old: AsyncResult[Any], new: AsyncResult[Any]) -> AsyncIterator[tuple[Any, Any]]:
    while True:
        left, right = await old.fetchmany(CHUNK), await new.fetchmany(CHUNK)
        if not left and not right:
            return
        yield left, right


def _value(table: Table, row: Any) -> list[Any]:
    """A row for comparison; JSON by what it says, with its numbers exact, as Postgres keeps it in its own writing."""
    return [
        json.loads(value, parse_float=Decimal)
        if isinstance(column.type, JSON) and value is not None
        else value
        for column, value in zip(table.columns, row, strict=True)
    ]
