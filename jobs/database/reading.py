"""Questions that are asked again and again: their SQL, and how their rows are read, is worked out once.

To ask Postgres, SQLAlchemy needs several times as long as Postgres needs to answer. So within a transaction the driver is
asked without it, by the text that SQLAlchemy made.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, Generic, TypeVar, cast

from sqlalchemy import ARRAY, ColumnElement, Dialect, Select, TypeDecorator, any_, bindparam

from jobs.database.engine import Transaction
from jobs.database.postgres import driver_of

T = TypeVar("T")


class Question(Generic[T]):
    """A `SELECT` with named parameters, whose rows become `T`s."""

    def __init__(self, statement: Callable[[str], Select[Any]], made: Callable[[Sequence[Any]], T]) -> None:
        """`statement` makes it for a dialect's name; `made` takes the values of a row."""
        self._statement, self._made = statement, made
        self._asked: dict[str, Select[Any]] = {}
        self._texts: dict[int, _Text] = {}

    async def all(self, tx: Transaction, **parameters: Any) -> list[T]:
        """The answer. Parameters are what the driver takes as it is: UUIDs, text, whole numbers, lists of them."""
        return list(map(self._made, await self._rows(tx, parameters)))

    async def one(self, tx: Transaction, **parameters: Any) -> T | None:
        """The only row, if there is one."""
        rows = await self.all(tx, **parameters)
        return rows[0] if rows else None

    async def _rows(self, tx: Transaction, parameters: dict[str, Any]) -> Sequence[Sequence[Any]]:
        statement = self._asked.get(tx.dialect.name)
        if statement is None:
            statement = self._asked[tx.dialect.name] = self._statement(tx.dialect.name)
        if tx.dialect.name != "postgresql":
            found: Sequence[Sequence[Any]] = (await tx.execute(statement, parameters)).all()
            return found
        text = self._texts.get(id(tx.dialect))
        if text is None:
            text = self._texts[id(tx.dialect)] = _Text(statement, tx.dialect)
        return text.read(await driver_of(tx).fetch(text.sql, *map(parameters.__getitem__, text.names)))


class _Text:
    """A statement as Postgres' driver takes it."""

    def __init__(self, statement: Select[Any], dialect: Dialect) -> None:
        self.dialect = dialect  # kept, so that no other comes to have its `id`
        compiled = statement.compile(dialect=dialect)
        self.sql = str(compiled)
        self.names: list[str] = getattr(compiled, "positiontup", None) or []
        self._readers = {
            place: reader
            for place, column in enumerate(statement.selected_columns)
            if isinstance(column.type, TypeDecorator)  # the others the driver reads by itself
            and (reader := column.type.dialect_impl(dialect).result_processor(dialect, None)) is not None
        }

    def read(self, rows: list[Any]) -> Sequence[Sequence[Any]]:
        """The rows, each column by its type."""
        if not self._readers:
            return rows
        read = [list(row) for row in rows]
        for place, reader in self._readers.items():
            for row in read:
                row[place] = reader(row[place])
        return read


def made_of(shape: type[T]) -> Callable[[Sequence[Any]], T]:
    """What makes a dataclass of a row with its fields in their order."""
    names = [field.name for field in fields(cast("Any", shape))]
    return lambda row: shape(**dict(zip(names, row, strict=True)))


def among(column: ColumnElement[Any], name: str, dialect: str) -> ColumnElement[bool]:
    """Whether `column` is one of the list that is the parameter `name`."""
    if dialect == "postgresql":
        return column == any_(bindparam(name, type_=ARRAY(column.type)))
    return column.in_(bindparam(name, expanding=True))
