"""One door to the database: transactions for a user or for the service, on SQLite and on Postgres."""

import asyncio
import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, cast
from urllib.parse import unquote, urlsplit
from uuid import UUID

import asyncpg
from sqlalchemy import URL, make_url, text
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from jobs.database import sqlite
from jobs.database.clock import KeptClock, Now, SteadyClock
from jobs.database.postgres import Connections, PostgresTransaction
from jobs.domain.errors import PipelineError

Transaction = AsyncConnection
Position = tuple[datetime, UUID]  #: where a page goes on: `created_at` and `id` of the last row seen


class DatabaseUnavailable(PipelineError):
    """The database gave no answer or cannot write: nothing was changed, ask again later."""


class RowRefused(PipelineError):
    """A constraint of the database refused a row: nothing was changed, and asking again will not help."""


class SchemaMismatch(PipelineError):
    """The database is of another schema version; the sentence says what to run."""


class Database:
    """Transactions. Each is one connection of the pool for as long as its block runs: keep the network out of it."""

    def __init__(self, engine: AsyncEngine, connections: Connections | None, size: int) -> None:
        self.engine, self.connections = engine, connections
        self.dialect: Literal["sqlite", "postgresql"] = "postgresql" if connections else "sqlite"
        # SQLite has one writer at a time; waiting here is cheaper than in its busy loop.
        self._writer = asyncio.Lock() if self.dialect == "sqlite" else None
        self.kept_clock = KeptClock(self.file) if self.file else None
        self._shared = asyncio.Semaphore(max(1, size - 1))

    @classmethod
    def open(cls, url: str, *, pool_size: int = 10) -> "Database":
        """The database at `url` (`sqlite:///file` or `postgresql://…`). Nothing is contacted."""
        common: dict[str, Any] = {
            "json_serializer": _as_it_is,
            "json_deserializer": _as_it_is,
            "hide_parameters": True,  # no user's data in an error's text
        }
        if url.startswith("sqlite"):
            engine = sqlite.open_engine(
                async_url(url), pool_size=pool_size, max_overflow=0, pool_timeout=10, **common
            )
            return cls(engine, None, pool_size)
        connections = Connections(async_url(url), pool_size, **common)
        return cls(connections.engine, connections, pool_size)

    @property
    def file(self) -> Path | None:
        """SQLite's file; None for Postgres."""
        name = self.engine.url.database
        return Path(name) if self.dialect == "sqlite" and name else None

    def begin(
        self, user_id: str | None = None, *, job_ids: Collection[UUID] = ()
    ) -> AbstractAsyncContextManager[Transaction]:
        """A write transaction, committed at the end of the block, undone when it raises.

        With `user_id` Postgres lets it see and touch that user's rows alone; with `job_ids` those jobs and their points
        alone. Raises `DatabaseUnavailable`.
        """
        return _Turn(self._writer, self._transaction(_claims(user_id, job_ids), write=True))

    def read(self, user_id: str | None = None) -> AbstractAsyncContextManager[Transaction]:
        """As `begin`, but only to read: Postgres refuses to write in it."""
        return _Turn(None, self._transaction(_claims(user_id), write=False))

    def shared_read(self, user_id: str) -> AbstractAsyncContextManager[Transaction]:
        """As `read`, for `Snapshot`: these leave a connection to those of its readers who also need another transaction."""
        return _Turn(self._shared, self._transaction(_claims(user_id), write=False))

    async def fetch_alone(self, user_id: str, text: str, parameters: Iterable[Any]) -> Any:
        """On Postgres: the rows of a `postgres.alone` `SELECT`, which sees what `read` lets this user see."""
        with errors_told_apart():
            return await cast("Connections", self.connections).fetch_alone(text, parameters, _claims(user_id))

    async def now(self) -> datetime:
        """The database's clock: the one clock by which claims, waits and money are counted."""
        if self.kept_clock is not None:
            with errors_told_apart():
                return self.kept_clock.now() or await self._begin_to_keep(self.kept_clock)
        async with self.read() as tx:
            instant: datetime = await tx.scalar(text("SELECT clock_timestamp()"))
            return instant.astimezone(UTC)

    def clock(self) -> Now:
        """The same clock, for those who ask often."""
        return SteadyClock(self.now) if self.dialect == "postgresql" else self.now

    async def follow_machine(self) -> None:
        """Where the clock is kept, and nothing hangs on it: let it be what the machine's was set to meanwhile."""
        if self.kept_clock is None or not self.kept_clock.was_set():
            return
        async with self.begin() as tx:
            if await tx.scalar(_ANY_UNFINISHED) is None:
                self.kept_clock.keep()

    async def close(self) -> None:
        """Close every connection."""
        await (self.connections.close() if self.connections else self.engine.dispose())

    async def _begin_to_keep(self, clock: KeptClock) -> datetime:
        """A machine may boot with its clock behind: nothing that the rows have seen is still to come."""
        async with self.read() as tx:
            seen = await tx.scalar(_NEWEST_CHANGE)
            return clock.keep(datetime.fromisoformat(seen).replace(tzinfo=UTC) if seen else None)

    def _transaction(
        self, claims: Mapping[str, str], *, write: bool
    ) -> AbstractAsyncContextManager[Transaction]:
        if self.connections:
            return PostgresTransaction(self.connections, claims, write=write)
        return sqlite.transaction(self.engine.execution_options(immediate=write))


class _Turn(AbstractAsyncContextManager[Transaction]):
    """A transaction once it is its turn, whose errors are told apart.

    A class: as a generator of contextlib it takes longer than what it does.
    """

    __slots__ = ("_lock", "_transaction")

    def __init__(
        self,
        lock: asyncio.Lock | asyncio.Semaphore | None,
        transaction: AbstractAsyncContextManager[Transaction],
    ) -> None:
        self._lock, self._transaction = lock, transaction

    async def __aenter__(self) -> Transaction:
        if self._lock:
            await self._lock.acquire()
        try:
            return await self._transaction.__aenter__()
        except BaseException as exc:
            self._release()
            if told := told_apart(exc):
                raise told from exc
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self._transaction.__aexit__(kind, exc, traceback)
        except BaseException as failed:
            if told := told_apart(failed):
                raise told from failed
            raise
        finally:
            self._release()
        if exc is not None and (told := told_apart(exc)):
            raise told from exc

    def _release(self) -> None:
        if self._lock:
            self._lock.release()


def _claims(user_id: str | None, job_ids: Collection[UUID] = ()) -> dict[str, str]:
    """What `security.py` goes by."""
    if user_id is not None:
        return {"sub": user_id}
    return {"jobs": ",".join(map(str, job_ids))} if job_ids else {}


@contextlib.contextmanager
def errors_told_apart() -> Iterator[None]:
    """Raise `DatabaseUnavailable` or `RowRefused` for what the drivers raise in the block, where it is one of them."""
    try:
        yield
    except Exception as exc:
        if told := told_apart(exc):
            raise told from exc
        raise


def told_apart(exc: BaseException) -> DatabaseUnavailable | RowRefused | None:
    """What an error of the drivers means; None for another."""
    match exc:
        case (
            OperationalError() | InterfaceError() | PoolTimeout() | OSError() | asyncpg.InternalClientError()
        ):
            # The last is what who writes hears while the server's farewell has come, and its hanging up not yet.
            return DatabaseUnavailable(f"The database cannot be used now: {_first_line(exc)}")
        case IntegrityError() | asyncpg.IntegrityConstraintViolationError():
            return RowRefused(_first_line(exc))
        case DBAPIError() | asyncpg.PostgresError() | asyncpg.InterfaceError() if _is_outage(exc):
            return DatabaseUnavailable(f"The database cannot be used now: {_first_line(exc)}")
    return None


_NEWEST_CHANGE = text("SELECT max(updated_at) FROM training_jobs")
_ANY_UNFINISHED = text("SELECT 1 FROM training_jobs WHERE next_action_at IS NOT NULL LIMIT 1")


def async_url(url: str) -> URL:
    """`url` with the driver that the engine uses."""
    if url.startswith("sqlite"):
        return make_url(url).set(drivername="sqlite+aiosqlite")
    return make_url(url).set(drivername="postgresql+asyncpg")


def sqlite_file(url: str) -> Path | None:
    """The file of a SQLite URL; None for Postgres."""
    return Path(unquote(urlsplit(url).path)[1:]) if url.startswith("sqlite") else None


def _as_it_is(text_: str) -> str:
    """JSON is coded by the column types alone."""
    return text_


def _is_outage(exc: Exception) -> bool:
    """By SQLSTATE: the server goes away (08, 57P), lets us not in (28, 3D), is full (53) or read-only (25006), or has
    undone us for another (40).

    By SQLite's name: its file is none, or broken.
    """
    if isinstance(exc, asyncpg.InterfaceError) or getattr(exc, "connection_invalidated", False):
        return True
    cause = getattr(exc, "orig", exc)
    state = getattr(cause, "sqlstate", None) or ""
    broken = getattr(cause, "sqlite_errorname", "").startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))
    return (
        broken
        or state[:2] in {"08", "28", "3D", "40", "53"}
        or state[:3] == "57P"
        or state in {"57014", "55P03", "25006"}
    )


def _first_line(exc: BaseException) -> str:
    cause = getattr(exc, "orig", None) or exc
    return (str(cause).partition("\n")[0] or type(cause).__name__)[:300]
