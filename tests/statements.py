"""What a database is asked."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import asyncpg
from sqlalchemy import event

from jobs.database import Database


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """What is asked inside the block, but for what begins a transaction."""
    seen: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        if not statement.startswith(("BEGIN", "SELECT set_config")):
            seen.append(statement)

    async def fetch(driver: Any, statement: str, *parameters: Any) -> Any:
        seen.append(statement)
        return await asked(driver, statement, *parameters)

    asked = asyncpg.Connection.fetch  # what goes past SQLAlchemy (`reading.py`)
    event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    try:
        with patch.object(asyncpg.Connection, "fetch", fetch):
            yield seen
    finally:
        event.remove(database.engine.sync_engine, "before_cursor_execute", note)
