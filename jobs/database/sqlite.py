"""SQLite's connections and transactions: one writer at a time, and what is written is on the disk."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from typing import Any

import aiosqlite
from sqlalchemy import URL, event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

_BUSY_SECONDS = 10
_WAL_TRIES = 10  #: before the next one another has ended, and if that went well nothing is left to change


def open_engine(url: URL, **arguments: Any) -> AsyncEngine:
    """An engine whose connections keep foreign keys and write durably. Nothing is contacted."""
    engine = create_async_engine(url, connect_args={"timeout": _BUSY_SECONDS}, **arguments)

    @event.listens_for(engine.sync_engine, "connect")
    def _on_connect(connection: Any, _: object) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself: `_on_begin` does
        connection.run_async(_made_ready)

    @event.listens_for(engine.sync_engine, "begin")
    def _on_begin(connection: Any) -> None:
        # A transaction that reads first and writes later fails at once when another wrote in between.
        immediate = connection.get_execution_options().get("immediate", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    undoing: set[asyncio.Task[None]] = set()

    @event.listens_for(engine.sync_engine, "invalidate")
    def _on_invalidate(connection: Any, *_: object) -> None:
        # It is closed next, but a statement that was cut short keeps it open, and with it SQLite's one write lock, until
        # Python collects its garbage: whoever writes next would wait in vain.
        task = asyncio.get_running_loop().create_task(_undone(connection.driver_connection))
        undoing.add(task)
        task.add_done_callback(undoing.discard)

    return engine


async def _made_ready(driver: aiosqlite.Connection) -> None:
    await driver.execute("PRAGMA foreign_keys = ON")
    await driver.execute("PRAGMA synchronous = FULL")
    for left in reversed(range(_WAL_TRIES)):
        try:
            await driver.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as exc:
            # Of those who open a new file at once SQLite refuses all but one, and lets none of them wait.
            if exc.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or not left:
                raise
            await driver.executescript("BEGIN IMMEDIATE; ROLLBACK")  # waits until the one is done
        else:
            return


async def _undone(driver: Any) -> None:
    with contextlib.suppress(Exception):  # there is nothing to undo any more
        await driver.rollback()


@contextlib.asynccontextmanager
async def transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """One that takes the write lock as it begins where the engine has the option `immediate`."""
    async with engine.connect() as connection, connection.begin():
        yield connection
