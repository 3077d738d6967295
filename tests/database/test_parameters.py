"""Rows that travel as parameters arrive as they were."""

import math
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Float, Integer, Text, select
from sqlalchemy.types import TypeEngine

from jobs.database import Database
from jobs.database.parameters import ColumnList, RowList
from jobs.database.types import AsJson, Id, UtcDateTime
from tests.domain.factories import after

TEXTS = ("", "NULL", "null", "a,b", "{x}", '"', "\\", '\\"', "\\n", "line\nline\t\x01", "ü 🙂", " x ", None)
KINDS: dict[str, TypeEngine[Any]] = {
    "id": Id(),
    "step": Integer(),
    "number": Float(53),
    "text": Text(),
    "json": AsJson(dict[str, Any]),
    "at": UtcDateTime(),
}


@pytest.mark.parametrize("kind", [RowList, ColumnList])
async def test_every_value_arrives_as_it_was(database: Database, kind: type[RowList]) -> None:
    rows: list[tuple[Any, ...]] = [
        (uuid4(), place, place / 7 if place % 3 else None, text, {"is": text}, after(place))
        for place, text in enumerate(TEXTS)
    ]
    rows.append((uuid4(), -1, 5e-324, None, None, None))
    listed = kind(KINDS)
    query = select(listed.table(database.dialect))
    async with database.read() as tx:
        found = await tx.execute(query, listed.parameter(database.dialect, rows))
    assert [tuple(row) for row in found] == rows


@pytest.mark.parametrize("kind", [RowList, ColumnList])
async def test_no_row_is_a_table_without_rows(database: Database, kind: type[RowList]) -> None:
    listed = kind(KINDS)
    async with database.read() as tx:
        found = await tx.execute(
            select(listed.table(database.dialect)), listed.parameter(database.dialect, [])
        )
    assert list(found) == []


async def test_a_number_that_is_none_is_no_null(database: Database) -> None:
    if database.dialect == "postgresql":
        numbers = ColumnList({"number": Float(53)})
        async with database.read() as tx:
            given = numbers.parameter("postgresql", [(math.nan,), (None,), (math.inf,)])
            found = list(await tx.scalars(select(numbers.table("postgresql")), given))
        assert math.isnan(found[0])
        assert found[1:] == [None, math.inf]
