"""A table asked by the operator: columns, comparisons and values as typed, checked and bound before they are sent."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, ColumnElement, MetaData, Table, Text, cast, inspect, literal, select, text
from sqlalchemy.engine import Connection
from sqlalchemy.sql.elements import quoted_name
from sqlalchemy.types import NullType

from jobs.database.engine import Transaction
from jobs.database.inspection import DatabaseRefused, existing
from jobs.database.plain_values import PlainColumn, kind_of, sendable
from jobs.database.tables import metadata

OPERATORS = ("eq", "ne", "lt", "le", "gt", "ge", "like", "in", "is")
MOST_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Condition:
    """A comparison as typed; `operator` is one of `OPERATORS`."""

    column: str
    operator: str
    value: str


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of one table; no `columns` means all that this role may read."""

    table: str
    columns: Sequence[str] = ()
    conditions: Sequence[Condition] = ()
    order: Sequence[str] = ()  #: `column` or `column.desc`
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows ready for JSON, exact; `more`: there are rows beyond the limit."""

    columns: list[str]
    rows: list[dict[str, Any]]
    more: bool


async def ask(tx: Transaction, question: Question) -> Answer:
    """Put the question. Raises `DatabaseRefused` for a name that is not there and a value that its column cannot hold."""
    return await tx.run_sync(_ask, question)


def _ask(connection: Connection, question: Question) -> Answer:
    there = _columns(connection, existing(inspect(connection), question.table))
    names = list(question.columns) or _readable(connection, question.table, list(there))
    chosen = [_named(there, name) for name in names]
    table = Table(
        quoted_name(question.table, quote=True),
        MetaData(),
        *(Column(quoted_name(name, quote=True), NullType()) for name in there),
    )
    query = (
        select(*(table.c[column.name] for column in chosen))
        .where(*(_condition(table, _named(there, c.column), c) for c in question.conditions))
        .order_by(*(_order(table, there, wish) for wish in question.order))
        .limit(question.limit + 1)
    )
    found = connection.execute(query).all()
    rows = [
        {column.name: column.shown(value) for column, value in zip(chosen, row, strict=True)}
        for row in found[: question.limit]
    ]
    return Answer([column.name for column in chosen], rows, more=len(found) > question.limit)


def _columns(connection: Connection, table: str) -> dict[str, PlainColumn]:
    """By name; of our own tables the models know best what SQLite keeps as text."""
    ours = {c.name: c for c in metadata.tables[table].columns} if table in metadata.tables else {}
    sqlite = connection.dialect.name == "sqlite"
    return {
        found["name"]: PlainColumn(
            found["name"],
            kind_of(ours[found["name"]].type if found["name"] in ours else found["type"]),
            sqlite,
        )
        for found in inspect(connection).get_columns(table)
    }


def _readable(connection: Connection, table: str, names: list[str]) -> list[str]:
    if connection.dialect.name == "sqlite":
        return names
    relation = connection.dialect.identifier_preparer.quote_identifier(table)
    query = text(
        """SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass(:table) AND attnum > 0
        AND NOT attisdropped AND has_column_privilege(attrelid, attnum, 'SELECT')"""
    )
    allowed = set(connection.scalars(query, {"table": relation}))
    if not allowed:
        raise DatabaseRefused(f"This role may not read {table}.")
    return [name for name in names if name in allowed]


def _named(there: dict[str, PlainColumn], name: str) -> PlainColumn:
    if name not in there:
        raise DatabaseRefused(f"There is no column {name!r}; there are {', '.join(there)}.")
    return there[name]


def _condition(table: Table, column: PlainColumn, asked: Condition) -> ColumnElement[bool]:
    plain, compared = table.c[column.name], column.compared(table.c[column.name])
    match asked.operator:
        case "is":
            words: dict[str, Callable[[], ColumnElement[bool]]] = {
                "null": lambda: plain.is_(None),
                "not null": lambda: plain.is_not(None),
                "true": lambda: compared == column.bound("true"),
                "false": lambda: compared == column.bound("false"),
            }
            if (word := asked.value.lower()) not in words:
                raise DatabaseRefused(f"is takes {', '.join(words)}, not {asked.value!r}.")
            return words[word]()
        case "like":
            return cast(plain, Text).like(literal(sendable(asked.value), Text()), escape="\\")
        case "in":
            values = next(csv.reader([asked.value], skipinitialspace=True), [])
            return compared.in_([column.bound(value) for value in values])
        case comparison:
            operator = f"__{comparison}__"
            result: ColumnElement[bool] = getattr(compared, operator)(column.bound(asked.value))
            return result


def _order(table: Table, there: dict[str, PlainColumn], wish: str) -> ColumnElement[Any]:
    """Nulls come last either way, as Postgres and SQLite differ."""
    name, falling = (
        (wish[: -len(".desc")], True) if wish not in there and wish.endswith(".desc") else (wish, False)
    )
    compared = _named(there, name).compared(table.c[_named(there, name).name])
    return (compared.desc() if falling else compared.asc()).nulls_last()
