"""Postgres' connections, and transactions that are each entered by one message.

SQLAlchemy needs ten times as long to enter and leave a transaction as the driver does. So its connections are in none of
their own (AUTOCOMMIT), and the driver is told where one begins, for whom, and how it ends.
"""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any

import msgspec
from sqlalchemy import URL, NullPool
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

_SETTINGS = {
    "application_name": "lora-pipeline",
    "timezone": "UTC",
    "statement_timeout": "30s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "60s",
}
_PREPARED = {"max_cacheable_statement_size": 0}  # of any length: the longest is one that is asked most
_BEGIN = {True: "BEGIN", False: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"}
_CLAIMS = "SELECT set_config('request.jwt.claims', convert_from('\\x{}', 'UTF8'), true)"
#: One statement as a transaction of its own. The claims are made first, for what is asked cannot begin without them, and
#: end with it; would it ever begin earlier, it would find nothing.
_ALONE = """WITH caller AS MATERIALIZED (SELECT set_config('request.jwt.claims', ${place}, true) AS claims)
SELECT answer.* FROM caller CROSS JOIN LATERAL (
SELECT found.* FROM ({question}) AS found WHERE caller.claims IS NOT NULL OFFSET 0
) AS answer"""
_WAIT_SECONDS = 10
_UNDO_SECONDS = 5


class Connections:
    """An engine's connections, in no transaction (AUTOCOMMIT): the last used is the first taken, as it is.

    SQLAlchemy's pool, which looks after any driver, takes longer over one, once all are open, than a short
    transaction of it.
    """

    def __init__(self, url: URL, most: int, **arguments: Any) -> None:
        """`most` can be in use at once. Nothing is contacted."""
        self.engine = create_async_engine(
            url,
            isolation_level="AUTOCOMMIT",
            poolclass=NullPool,
            connect_args={"server_settings": _SETTINGS, "timeout": 5, "command_timeout": 60, **_PREPARED},
            **arguments,
        )
        dialect: Any = self.engine.sync_engine.dialect
        # The driver's own way with JSON gives text as SQLAlchemy's does, with no call of Python for each value.
        dialect.setup_asyncpg_json_codec = dialect.setup_asyncpg_jsonb_codec = _leave_as_it_is
        self._idle: list[AsyncConnection] = []
        self._most, self._turns = most, asyncio.Semaphore(most)

    async def take(self) -> AsyncConnection:
        """One to be given back. Raises TimeoutError when all are in use for long, and what the driver raises."""
        if self._turns.locked():
            try:
                async with asyncio.timeout(_WAIT_SECONDS):
                    await self._turns.acquire()
            except TimeoutError as exc:
                raise TimeoutError(
                    f"All {self._most} connections were in use for {_WAIT_SECONDS} seconds."
                ) from exc
        else:
            await self._turns.acquire()
        while self._idle:
            connection = self._idle.pop()
            if not driver_of(connection).is_closed():  # by the server
                return connection
        try:
            connection = await self.engine.connect()
        except BaseException:
            self._turns.release()
            raise
        _sync(connection).detach()  # it is ours, not the engine's
        return connection

    def give_back(self, connection: AsyncConnection) -> None:
        """It is in no transaction any more, or closed."""
        self._turns.release()
        sync = _sync(connection)
        if not sync.invalidated:
            sync.rollback()  # SQLAlchemy believes that one was begun
            self._idle.append(connection)

    async def fetch_alone(self, text: str, parameters: Iterable[Any], claims: Mapping[str, str]) -> Any:
        """The rows of a `SELECT` made by `alone`, under `claims`: without a message to begin and one to end."""
        connection = await self.take()
        driver = driver_of(connection)
        try:
            rows = await driver.fetch(text, *parameters, msgspec.json.encode(claims).decode())
        except BaseException:
            await asyncio.shield(self.undo(connection, driver))
            raise
        self.give_back(connection)
        return rows

    async def undo(self, connection: AsyncConnection, driver: Any) -> None:
        """End what may be broken and give it back; a connection that cannot even do that is given up."""
        try:
            await driver.execute("ROLLBACK", timeout=_UNDO_SECONDS)
        except Exception:  # noqa: BLE001 - what is to be told is why the transaction failed
            driver.terminate()
        if connection.invalidated:  # SQLAlchemy has let go of what was cut short
            driver.terminate()
        self.give_back(connection)

    async def close(self) -> None:
        """Close those that are not in use."""
        while self._idle:
            await self._idle.pop().close()
        await self.engine.dispose()


class PostgresTransaction(AbstractAsyncContextManager[AsyncConnection]):
    """A transaction under `claims`, as `security.py` goes by them; committed at the end of the block, undone when it raises.

    One that does not write sees one instant.
    """

    __slots__ = ("_claims", "_connection", "_connections", "_driver", "_write")

    def __init__(self, connections: Connections, claims: Mapping[str, str], *, write: bool) -> None:
        self._connections, self._claims, self._write = connections, claims, write

    async def __aenter__(self) -> AsyncConnection:
        self._connection = await self._connections.take()
        self._driver = driver_of(self._connection)
        try:
            await self._driver.execute(_opening(self._claims, write=self._write))
        except BaseException:
            await asyncio.shield(self._connections.undo(self._connection, self._driver))
            raise
        return self._connection

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if exc is not None:
            await asyncio.shield(self._connections.undo(self._connection, self._driver))
            return
        try:
            if await self._driver.execute("COMMIT") != "COMMIT" and self._write:
                raise RuntimeError(
                    "A statement of the transaction failed, and its block went on: nothing is kept."
                )
        except BaseException:
            await asyncio.shield(self._connections.undo(self._connection, self._driver))
            raise
        self._connections.give_back(self._connection)


def alone(question: str, parameters: int) -> str:
    """The text of a `SELECT` with so many parameters for `Connections.fetch_alone`."""
    return _ALONE.format(question=question, place=parameters + 1)


def driver_of(connection: AsyncConnection) -> Any:
    """Postgres' own connection."""
    return _sync(connection).connection.dbapi_connection.driver_connection


async def _leave_as_it_is(_: object) -> None:
    pass


def _opening(claims: Mapping[str, str], *, write: bool) -> str:
    """In hexadecimal nobody's name can end the literal that it is in."""
    if not claims:
        return _BEGIN[write]
    return f"{_BEGIN[write]}; {_CLAIMS.format(msgspec.json.encode(claims).hex())}"


def _sync(connection: AsyncConnection) -> Any:
    """SQLAlchemy's own view of it, for what needs not be waited for."""
    return connection.sync_connection
