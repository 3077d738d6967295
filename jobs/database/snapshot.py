"""What several readers see of one instant, through one connection: the first to come opens it, the owner closes it."""

import asyncio
from contextlib import AbstractAsyncContextManager
from types import TracebackType

from jobs.database.engine import Database, DatabaseUnavailable, Transaction, errors_told_apart, told_apart


class Snapshot:
    """One read transaction, which readers who run side by side use in turns: a connection runs one statement at a time."""

    def __init__(self, database: Database, user_id: str) -> None:
        """Of what this user may see. Nothing is opened before the first `read`."""
        self._database, self._user_id = database, user_id
        self._turn = asyncio.Lock()
        self._open: AbstractAsyncContextManager[Transaction] | None = None
        self._tx: Transaction | None = None
        self._is_over = False

    def read(self) -> AbstractAsyncContextManager[Transaction]:
        """The transaction, to nobody else until the block ends. Raises `DatabaseUnavailable`.

        A block that fails ends the transaction, which may be broken: who comes then begins another.
        """
        return _Turn(self)

    async def close(self) -> None:
        """End it, after the one whose turn it is."""
        async with self._turn:
            self._is_over = True
            await self._end()

    async def _take(self) -> Transaction:
        await self._turn.acquire()
        try:
            if self._tx is None:
                self._tx = await self._begin()
        except BaseException:
            self._turn.release()
            raise
        return self._tx

    async def _give_back(self, failed: BaseException | None) -> None:
        try:
            if failed is not None:
                await self._end()
                if told := told_apart(failed):
                    raise told from failed
        finally:
            self._turn.release()

    async def _begin(self) -> Transaction:
        if self._is_over:
            raise DatabaseUnavailable("Nobody waits for what is read here.")
        opening = self._database.shared_read(self._user_id)
        tx = await opening.__aenter__()
        self._open = opening
        return tx

    async def _end(self) -> None:
        opened, self._open, self._tx = self._open, None, None
        if opened is not None:
            with errors_told_apart():
                await opened.__aexit__(None, None, None)


class _Turn(AbstractAsyncContextManager[Transaction]):
    """A class, as a generator of contextlib takes more than twice as long."""

    __slots__ = ("_snapshot",)

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    async def __aenter__(self) -> Transaction:
        return await self._snapshot._take()

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._snapshot._give_back(exc)
