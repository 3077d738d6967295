"""Transactions of Postgres, each entered by one message.

SQLAlchemy needs ten times as long to enter and leave a transaction as the driver does. So its connections are in none of
their own (AUTOCOMMIT), and the driver is told where one begins, for whom, and how it ends.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import msgspec
from sqlalchemy import URL, event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

_SETTINGS = {
    "application_name": "lora-pipeline",
    "timezone": "UTC",
    "statement_timeout": "30s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "60s",
}
_BEGIN = {True: "BEGIN", False: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"}
_CLAIMS = "SELECT set_config('request.jwt.claims', convert_from('\\x{}', 'UTF8'), true)"
_UNDO_SECONDS = 5


def postgres_engine(url: URL, **arguments: Any) -> AsyncEngine:
    """An engine whose connections are in no transaction. Nothing is contacted."""
    engine = create_async_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_reset_on_return=None,  # who began something has ended it
        connect_args={"server_settings": _SETTINGS, "timeout": 5, "command_timeout": 60},
        **arguments,
    )

    @event.listens_for(engine.sync_engine, "checkout")
    def _on_checkout(connection: Any, *_: object) -> None:
        # The driver knows when the server has hung up; to ask the server would double what a short question takes.
        if connection.driver_connection.is_closed():
            raise DisconnectionError

    return engine


@contextlib.asynccontextmanager
async def transaction(
    engine: AsyncEngine, claims: Mapping[str, str], *, write: bool
) -> AsyncIterator[AsyncConnection]:
    """A transaction under `claims`, as `security.py` goes by them; committed at the end of the block, undone when it raises.

    One that does not write sees one instant.
    """
    connection = await engine.connect()
    driver = driver_of(connection)
    try:
        await driver.execute(_opening(claims, write=write))
        yield connection
        if await driver.execute("COMMIT") != "COMMIT" and write:
            raise RuntimeError(
                "A statement of the transaction failed, and its block went on: nothing is kept."
            )
    except BaseException:
        await asyncio.shield(_undo(connection, driver))
        raise
    _give_back(connection)


def driver_of(connection: AsyncConnection) -> Any:
    """Postgres' own connection."""
    return cast("Any", connection.sync_connection).connection.driver_connection


def _opening(claims: Mapping[str, str], *, write: bool) -> str:
    """In hexadecimal nobody's name can end the literal that it is in."""
    if not claims:
        return _BEGIN[write]
    return f"{_BEGIN[write]}; {_CLAIMS.format(msgspec.json.encode(claims).hex())}"


async def _undo(connection: AsyncConnection, driver: Any) -> None:
    """End what may be broken; a connection that cannot even do that is given up."""
    try:
        await driver.execute("ROLLBACK", timeout=_UNDO_SECONDS)
    except Exception:  # noqa: BLE001 - what is to be told is why the transaction failed
        driver.terminate()
        await connection.invalidate()
    _give_back(connection)


def _give_back(connection: AsyncConnection) -> None:
    """To the pool, without SQLAlchemy's greenlets, for there is nothing to wait for."""
    cast("Any", connection.sync_connection).close()
