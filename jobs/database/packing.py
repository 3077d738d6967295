"""Columns of many rows as Postgres packs them, in one row: the bytes of an array a column.

The driver takes longer over the values of a hundred rows than over all else of a question; bytes it hands over as they are.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import repeat
from operator import truediv
from struct import Struct
from typing import Any

import msgspec
from sqlalchemy import Boolean, ColumnElement, Float, Integer, Select, func, literal_column, select

from jobs.database.types import UtcDateTime

_1970 = datetime(1970, 1, 1, tzinfo=UTC)
_30_YEARS: ColumnElement[Any] = literal_column("interval '946684800 seconds'")
_EXACT = 2**52  # so many microseconds, 142 years, are whole in a float of seconds


def packed(statement: Select[Any]) -> Select[Any]:
    """One row of as many columns as the statement has, each its values in their order. For Postgres.

    They are instants, whole numbers and truth values that are never null, and finite numbers, which may be.
    """
    found = statement.subquery("found")  # whose order the arrays keep
    return select(*(func.array_send(func.array_agg(_as_sent(column))) for column in found.c))


def unpacking(statement: Select[Any]) -> Callable[[Sequence[bytes | None]], list[Sequence[Any]]]:
    """What takes the columns out of that row."""
    readers = [_reader(column) for column in statement.selected_columns]
    return lambda row: [
        () if packed is None else read(packed) for read, packed in zip(readers, row, strict=True)
    ]


def _as_sent(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Postgres counts an instant from 2000. Null has no bytes in an array; NaN has, and is no finite number."""
    match column.type:
        case UtcDateTime():
            return column + _30_YEARS
        case Float():
            return func.coalesce(column, literal_column("'NaN'"))
    return column


def _reader(column: ColumnElement[Any]) -> Callable[[bytes], Sequence[Any]]:
    match column.type:
        case UtcDateTime():
            return _instants
        case Float():
            return _numbers
        case Integer():
            return lambda array: _values(array, "i")
        case Boolean():
            return lambda array: _values(array, "?")
    raise TypeError(f"{column} cannot be packed")


def _values(array: bytes, code: str) -> tuple[Any, ...]:
    return _layout(code, int.from_bytes(array[12:16])).unpack(array)


@lru_cache(maxsize=64)
def _layout(code: str, count: int) -> Struct:
    """An array of so many: a head of 20 bytes, and before each value its length, which four bytes take."""
    return Struct(">20x" + f"4x{code}" * count)


def _numbers(array: bytes) -> Sequence[float | None]:
    values = _values(array, "d")
    if (total := sum(values)) == total:
        return values
    return [None if value != value else value for value in values]


def _instants(array: bytes) -> list[datetime]:
    microseconds = _values(array, "q")
    if max(microseconds) > _EXACT or min(microseconds) < -_EXACT:  # somebody's clock is far off
        return [_1970 + timedelta(microseconds=each) for each in microseconds]
    seconds = list(map(truediv, microseconds, repeat(1_000_000)))
    return msgspec.convert(seconds, list[datetime], strict=False)
