"""What several readers see of one instant, through one connection: the first to come opens it, the owner closes it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from jobs.database.engine import Database, DatabaseUnavailable, Transaction, errors_told_apart


class Snapshot:
    """One read transaction, which readers who run side by side use in turns: a connection runs one statement at a time."""

    def __init__(self, database: Database, user_id: str) -> None:
        """Of what this user may see. Nothing is opened before the first `read`."""
        self._database, self._user_id = database, user_id
        self._turn = asyncio.Lock()
        self._open = contextlib.AsyncExitStack()
        self._tx: Transaction | None = None
        self._is_over = False

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[Transaction]:
        """The transaction, to nobody else until the block ends. Raises `DatabaseUnavailable`.

        A block that fails ends the transaction, which may be broken: who comes then begins another.
        """
        async with self._turn:
            if self._is_over:
                raise DatabaseUnavailable("Nobody waits for what is read here.")
            if self._tx is None:
                self._tx = await self._open.enter_async_context(self._database.shared_read(self._user_id))
            try:
                with errors_told_apart():
                    yield self._tx
            except BaseException:
                await self._end()
                raise

    async def close(self) -> None:
        """End it, after the one whose turn it is."""
        async with self._turn:
            self._is_over = True
            await self._end()

    async def _end(self) -> None:
        self._tx = None
        with errors_told_apart():
            await self._open.aclose()
