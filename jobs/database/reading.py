"""Questions that are asked again and again: their SQL, and how their rows are read, is worked out once.

To ask Postgres, SQLAlchemy needs several times as long as Postgres needs to answer. So within a transaction the driver is
asked without it, by the text that SQLAlchemy made.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from typing import Any, Generic, TypeVar, cast

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    CompoundSelect,
    Dialect,
    Select,
    TypeDecorator,
    any_,
    bindparam,
)

from jobs.database.engine import Database, Transaction
from jobs.database.packing import packed, unpacking
from jobs.database.postgres import alone, driver_of

T = TypeVar("T")
Rows = Select[Any] | CompoundSelect[Any]


class Question(Generic[T]):
    """A `SELECT` with named parameters, whose rows become `T`s."""

    def __init__(self, statement: Callable[[str], Rows], made: Callable[[Sequence[Any]], T]) -> None:
        """`statement` makes it for a dialect's name; `made` takes the values of a row."""
        self._statement, self._made = statement, made
        self._asked: dict[str, Rows] = {}
        self._texts: dict[tuple[int, bool], _Text] = {}

    async def all(self, tx: Transaction, **parameters: Any) -> list[T]:
        """The answer. Parameters are what the driver takes as it is: UUIDs, text, whole numbers, lists of them."""
        if tx.dialect.name != "postgresql":
            return list(map(self._made, (await tx.execute(self._made_for(tx.dialect), parameters)).all()))
        text = self._text(tx.dialect)
        return list(map(self._made, text.read(await text.fetch(tx, parameters))))

    async def one(self, tx: Transaction, **parameters: Any) -> T | None:
        """The only row, if there is one."""
        rows = await self.all(tx, **parameters)
        return rows[0] if rows else None

    async def one_alone(self, database: Database, *, user_id: str, **parameters: Any) -> T | None:
        """As `one`, in a read transaction of its own, of the user it asks for: on Postgres one message, not three."""
        parameters["user_id"] = user_id
        if database.connections is None:
            async with database.read(user_id) as tx:
                return await self.one(tx, **parameters)
        text = self._text(database.engine.dialect)
        rows = text.read(await database.fetch_alone(user_id, text.alone, text.given(parameters)))
        return self._made(rows[0]) if rows else None

    async def columns(self, tx: Transaction, **parameters: Any) -> list[Sequence[Any]]:
        """The answer of many rows as one sequence a column, each as long as there are rows."""
        if tx.dialect.name != "postgresql":
            statement = self._made_for(tx.dialect)
            return _turned((await tx.execute(statement, parameters)).all(), len(statement.selected_columns))
        text = self._text(tx.dialect, in_columns=True)
        [row] = await text.fetch(tx, parameters)
        return text.unpack(row)

    def _made_for(self, dialect: Dialect) -> Rows:
        if dialect.name not in self._asked:
            self._asked[dialect.name] = self._statement(dialect.name)
        return self._asked[dialect.name]

    def _text(self, dialect: Dialect, *, in_columns: bool = False) -> "_Text":
        key = id(dialect), in_columns
        text = self._texts.get(key)
        if text is None:
            text = self._texts[key] = _Text(self._made_for(dialect), dialect, in_columns=in_columns)
        return text


class _Text:
    """A statement as Postgres' driver takes it, and how the columns of its answer are read that the driver does not."""

    def __init__(self, statement: Rows, dialect: Dialect, *, in_columns: bool) -> None:
        self._dialect = dialect  # kept, so that no other comes to have its `id`
        columns = list(statement.selected_columns)
        self._readers = {
            place: reader
            for place, column in enumerate(columns)
            if isinstance(column.type, TypeDecorator)  # the others the driver reads by itself
            and (reader := column.type.dialect_impl(dialect).result_processor(dialect, None)) is not None
        }
        if in_columns:
            assert isinstance(statement, Select)  # noqa: S101 - nobody reads a union in columns
            self.unpack, statement = unpacking(statement), packed(statement)
        compiled = statement.compile(dialect=dialect)
        self._sql = str(compiled)
        self._names: list[str] = getattr(compiled, "positiontup", None) or []
        #: of the parameters those whose values stand in the statement
        self._fixed = {
            name: value if write is None else write(value)
            for name in self._names
            if not (bound := compiled.binds[name]).required
            for value, write in [
                (bound.effective_value, bound.type.dialect_impl(dialect).bind_processor(dialect))
            ]
        }

        self.alone = alone(self._sql, len(self._names))

    async def fetch(self, tx: Transaction, parameters: dict[str, Any]) -> Sequence[Sequence[Any]]:
        """The rows as the driver gives them."""
        rows: Sequence[Sequence[Any]] = await driver_of(tx).fetch(self._sql, *self.given(parameters))
        return rows

    def given(self, parameters: dict[str, Any]) -> Iterable[Any]:
        """The parameters as the driver takes them."""
        return map({**self._fixed, **parameters}.__getitem__, self._names)

    def read(self, rows: Sequence[Sequence[Any]]) -> Sequence[Sequence[Any]]:
        """The rows as they are meant."""
        if not self._readers:
            return rows
        read = list(map(list, rows))
        for place, reader in self._readers.items():
            for row in read:
                row[place] = reader(row[place])
        return read


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
