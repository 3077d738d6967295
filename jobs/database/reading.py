"""Questions that are asked again and again: their SQL, and how their rows are read, is worked out once.

To ask Postgres, SQLAlchemy needs several times as long as Postgres needs to answer. So within a transaction the driver is
asked without it, by the text that SQLAlchemy made.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, Generic, TypeVar, cast

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Dialect,
    Select,
    TypeDecorator,
    any_,
    bindparam,
)

from jobs.database.engine import Transaction
from jobs.database.packing import packed, unpacking
from jobs.database.postgres import driver_of

T = TypeVar("T")


class Question(Generic[T]):
    """A `SELECT` with named parameters, whose rows become `T`s."""

    def __init__(self, statement: Callable[[str], Select[Any]], made: Callable[[Sequence[Any]], T]) -> None:
        """`statement` makes it for a dialect's name; `made` takes the values of a row."""
        self._statement, self._made = statement, made
        self._asked: dict[str, Select[Any]] = {}
        self._texts: dict[tuple[int, bool], _Text] = {}

    async def all(self, tx: Transaction, **parameters: Any) -> list[T]:
        """The answer. Parameters are what the driver takes as it is: UUIDs, text, whole numbers, lists of them."""
        if tx.dialect.name != "postgresql":
            return list(map(self._made, (await tx.execute(self._made_for(tx), parameters)).all()))
        text = self._text(tx, in_columns=False)
        rows: Any = await text.fetch(tx, parameters)
        if text.readers:
            rows = list(map(list, rows))
            for place, reader in text.readers.items():
                for row in rows:
                    row[place] = reader(row[place])
        return list(map(self._made, rows))

    async def one(self, tx: Transaction, **parameters: Any) -> T | None:
        """The only row, if there is one."""
        rows = await self.all(tx, **parameters)
        return rows[0] if rows else None

    async def columns(self, tx: Transaction, **parameters: Any) -> list[Sequence[Any]]:
        """The answer of many rows as one sequence a column, each as long as there are rows."""
        if tx.dialect.name != "postgresql":
            statement = self._made_for(tx)
            return _turned((await tx.execute(statement, parameters)).all(), len(statement.selected_columns))
        text = self._text(tx, in_columns=True)
        [row] = await text.fetch(tx, parameters)
        return text.unpack(row)

    def _made_for(self, tx: Transaction) -> Select[Any]:
        name = tx.dialect.name
        if name not in self._asked:
            self._asked[name] = self._statement(name)
        return self._asked[name]

    def _text(self, tx: Transaction, *, in_columns: bool) -> "_Text":
        key = id(tx.dialect), in_columns
        text = self._texts.get(key)
        if text is None:
            text = self._texts[key] = _Text(self._made_for(tx), tx.dialect, in_columns=in_columns)
        return text


class _Text:
    """A statement as Postgres' driver takes it, and how the columns of its answer are read that the driver does not."""

    def __init__(self, statement: Select[Any], dialect: Dialect, *, in_columns: bool) -> None:
        self._dialect = dialect  # kept, so that no other comes to have its `id`
        columns = list(statement.selected_columns)
        self.readers = {
            place: reader
            for place, column in enumerate(columns)
            if isinstance(column.type, TypeDecorator)  # the others the driver reads by itself
            and (reader := column.type.dialect_impl(dialect).result_processor(dialect, None)) is not None
        }
        if in_columns:
            self.unpack, statement = unpacking(statement), packed(statement)
        compiled = statement.compile(dialect=dialect)
        self._sql = str(compiled)
        self._names: list[str] = getattr(compiled, "positiontup", None) or []

    async def fetch(self, tx: Transaction, parameters: dict[str, Any]) -> Sequence[Sequence[Any]]:
        """The rows as the driver gives them."""
        rows: Sequence[Sequence[Any]] = await driver_of(tx).fetch(
            self._sql, *map(parameters.__getitem__, self._names)
        )
        return rows


def _turned(rows: Sequence[Sequence[Any]], width: int) -> list[Sequence[Any]]:
    """Rows as columns, of which there are as many when there is no row."""
    return list(zip(*rows, strict=True)) if rows else [()] * width


def made_of(shape: type[T]) -> Callable[[Sequence[Any]], T]:
    """What makes a dataclass of a row with its fields in their order."""
    names = [field.name for field in fields(cast("Any", shape))]
    return lambda row: shape(**dict(zip(names, row, strict=True)))


def among(column: ColumnElement[Any], name: str, dialect: str) -> ColumnElement[bool]:
    """Whether `column` is one of the list that is the parameter `name`."""
    if dialect == "postgresql":
        return column == any_(bindparam(name, type_=ARRAY(column.type)))
    return column.in_(bindparam(name, expanding=True))
