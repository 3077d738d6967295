"""Which jobs have changed, as a process learns it: what it remembers of the others is still true, with no question asked.

Postgres tells at each commit (migration 0002), SQLite keeps a number that every commit changes. Where neither can be
trusted, the answer is "ask", and the database has the job's revision.
"""

import asyncio
import contextlib
import itertools
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol, cast
from urllib.parse import quote
from uuid import UUID, uuid4

import structlog
from sqlalchemy import bindparam, select

from jobs.database.engine import Database, sqlite_file
from jobs.database.reading import Question
from jobs.database.tables import training_jobs

CHANNEL = "lora_pipeline_jobs"  #: what the trigger of migration 0002 sends ids on
BEAT = 1.0  #: seconds between two proofs that what Postgres sends is heard
TRUST = 3.0  #: seconds that one proof is believed, unless the connection is seen to be lost
_MOST_KNOWN = 100_000  # jobs; then all count as changed, and counting begins again

logger = structlog.get_logger(__name__)


class Changes(Protocol):
    """What a process knows about changes of jobs."""

    def now(self) -> int:
        """The present, to be taken before something is read that shall be remembered."""

    def unchanged(self, job_id: UUID, since: int) -> bool | None:
        """True: nothing about the job was committed since then. False: something was. None: ask for its revision."""

    async def revision(self, job_id: UUID, user_id: str) -> int | None:
        """The revision of this user's job, from the database. Raises `DatabaseUnavailable`."""

    def note(self, job_id: UUID) -> None:
        """This process has committed something about the job: it sees its own writes at once."""

    def watching(self) -> contextlib.AbstractAsyncContextManager[None]:
        """For as long as the block runs, changes are watched."""


def changes_of(database: Database, url: str, *, beat: float = BEAT, trust: float = TRUST) -> Changes:
    """The changes of the jobs of `database`, which is at `url`."""
    if file := sqlite_file(url):
        return SqliteChanges(f"file:{quote(str(file))}?mode=ro")
    return PostgresChanges(database, url, beat=beat, trust=trust)


class PostgresChanges:
    """A connection of its own listens. That it hears is proved by its own voice at every beat, and not assumed."""

    def __init__(
        self,
        database: Database,
        url: str,
        *,
        beat: float,
        trust: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Proved every `beat` seconds; each proof is believed for `trust` seconds."""
        self._database, self._url = database, url
        self._beat, self._trust, self._clock = beat, trust, clock
        self._trusted_until = -float("inf")
        self._numbers = itertools.count(1)
        self._newest = self._all = next(self._numbers)  # when anything, and when everything, changed last
        self._changed: dict[UUID, int] = {}

    def now(self) -> int:
        """The number of the newest change."""
        return self._newest

    def unchanged(self, job_id: UUID, since: int) -> bool | None:
        """As `Changes.unchanged`; what was committed is heard within milliseconds."""
        if self._clock() >= self._trusted_until:
            return None
        return self._changed.get(job_id, self._all) <= since

    async def revision(self, job_id: UUID, user_id: str) -> int | None:
        """As `Changes.revision`."""
        return await _REVISION.one_alone(self._database, job_id=job_id, user_id=user_id)

    def note(self, job_id: UUID) -> None:
        """As `Changes.note`; also for what is heard."""
        if len(self._changed) >= _MOST_KNOWN:
            self._forget()
        self._newest = self._changed[job_id] = next(self._numbers)

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Listen, and again whenever the connection is lost."""
        listening = asyncio.create_task(self._listen_on())
        try:
            yield
        finally:
            listening.cancel()
            await asyncio.wait([listening])

    async def _listen_on(self) -> None:
        while True:
            try:
                await self._listen()
            except Exception as exc:  # noqa: BLE001 - whatever it is, the database is asked instead
                logger.warning("changes are not heard", error=f"{type(exc).__name__}: {exc}")
            finally:
                self._lose_trust()
            await asyncio.sleep(self._beat)

    async def _listen(self) -> None:
        own = Database.open(self._url, pool_size=1)
        try:
            async with own.engine.connect() as connection:
                driver = cast("Any", (await connection.get_raw_connection()).driver_connection)
                heard = asyncio.Event()
                voice = f"lora_pipeline_beat_{uuid4().hex}"
                driver.add_termination_listener(self._lose_trust)
                try:
                    await driver.add_listener(CHANNEL, self._hear)
                    await driver.add_listener(voice, lambda *_: heard.set())
                    self._forget()  # nobody knows what changed before
                    await self._prove(driver, voice, heard)
                finally:
                    driver.terminate()
        finally:
            await own.close()

    async def _prove(self, driver: Any, voice: str, heard: asyncio.Event) -> None:
        """What comes back was sent after all that was committed before: so that has been heard too."""
        while True:
            began = self._clock()
            heard.clear()
            async with asyncio.timeout(self._trust):
                await driver.execute(f"NOTIFY {voice}")
                await heard.wait()
            self._trusted_until = began + self._trust
            await asyncio.sleep(self._beat)

    def _hear(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        try:
            for job_id in str(payload).split():
                self.note(UUID(job_id))
        except ValueError:  # somebody else speaks on our channel
            self._forget()

    def _lose_trust(self, *_: object) -> None:
        self._trusted_until = -float("inf")

    def _forget(self) -> None:
        self._changed.clear()
        self._newest = self._all = next(self._numbers)


class SqliteChanges:
    """A connection of its own asks for the file's number: a few microseconds, so the loop may wait for it."""

    def __init__(self, file: str) -> None:
        """`file` is an address such as `file:/data/pipeline.db?mode=ro`."""
        self._file = file
        self._connection: sqlite3.Connection | None = None

    def now(self) -> int:
        """The number after the newest commit of anybody else's connection, which is everybody's; -1 for unknown."""
        if self._connection is None:
            return -1
        try:
            number: int = self._connection.execute("PRAGMA data_version").fetchone()[0]
        except sqlite3.Error:
            return -1
        return number

    def unchanged(self, job_id: UUID, since: int) -> bool | None:
        """As `Changes.unchanged`."""
        return True if since >= 0 and self.now() == since else None

    async def revision(self, job_id: UUID, user_id: str) -> int | None:
        """As `Changes.revision`, on the same connection: readers wait for nobody."""
        if self._connection is None:
            return None
        try:
            row = self._connection.execute(_REVISION_ON_SQLITE, (str(job_id), user_id)).fetchone()
        except sqlite3.Error:
            return None
        return row[0] if row else None

    def note(self, job_id: UUID) -> None:
        """The number has changed already."""

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Keep the connection open."""
        self._connection = sqlite3.connect(self._file, uri=True, isolation_level=None)
        try:
            yield
        finally:
            self._connection.close()
            self._connection = None


_row = training_jobs.c
_REVISION = Question(
    lambda _: select(_row.revision).where(
        _row.id == bindparam("job_id"), _row.user_id == bindparam("user_id")
    ),
    lambda row: int(row[0]),
)
_REVISION_ON_SQLITE = "SELECT revision FROM training_jobs WHERE id = ? AND user_id = ?"
