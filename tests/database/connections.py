"""Which connections a database takes and gives back."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection

from jobs.database import Database


@contextmanager
def connections_used(database: Database) -> Iterator[list[str]]:
    """In the block: `taken` and `given back`, in their order."""
    moves: list[str] = []

    def take(*_: object) -> None:
        moves.append("taken")

    def give_back(*_: object) -> None:
        moves.append("given back")

    with pytest.MonkeyPatch.context() as patch:
        if connections := database.connections:
            taking, giving_back = connections.take, connections.give_back

            async def taken() -> AsyncConnection:
                take()
                return await taking()

            def given_back(connection: AsyncConnection) -> None:
                give_back()
                giving_back(connection)

            patch.setattr(connections, "take", taken)
            patch.setattr(connections, "give_back", given_back)
            yield moves
            return
        pool = database.engine.sync_engine.pool
        for name, hear in (("checkout", take), ("checkin", give_back)):
            event.listen(pool, name, hear)
        yield moves
        for name, hear in (("checkout", take), ("checkin", give_back)):
            event.remove(pool, name, hear)
