"""Many rows as one parameter or as one a column, so that a statement is the same for one row and for a thousand."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import ARRAY, FromClause, String, Text, bindparam, cast, column, func, select, type_coerce
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

from jobs.database.types import AsJson, Id, Money, UtcDateTime, Word, encode_json


class RowList:
    """The parameter `rows`, whose members are values of columns: each is written as its column's type is."""

    def __init__(self, columns: Mapping[str, TypeEngine[Any]]) -> None:
        self._columns = dict(columns)
        self._row: Any = msgspec.defstruct("Row", [(name, Any) for name in columns], gc=False)

    def table(self, dialect: str) -> FromClause:
        """As `as_table`, by the name `new`."""
        return as_table(dialect, "rows", self._columns, name="new")

    def parameter(self, dialect: str, rows: Iterable[Sequence[Any]]) -> dict[str, str]:
        """The rows, each with the values of all columns in their order, to be handed to the statement."""
        written = [self._row(*row) for row in rows]
        if dialect == "sqlite":
            for name, type_ in self._columns.items():
                if write := _SQLITE_WRITERS.get(type(type_)):
                    for row in written:
                        if (value := getattr(row, name)) is not None:
                            setattr(row, name, write(value))
        return {"rows": encode_json(written)}


class ColumnList(RowList):
    """As `RowList`; for Postgres one parameter a column, which it reads faster, expecting so few that it asks an index."""

    def table(self, dialect: str) -> FromClause:
        """As `as_columns`, by the name `new`."""
        return as_columns(self._columns, name="new") if dialect == "postgresql" else super().table(dialect)

    def parameter(self, dialect: str, rows: Iterable[Sequence[Any]]) -> dict[str, str]:
        """The rows, as `RowList` says."""
        if dialect != "postgresql":
            return super().parameter(dialect, rows)
        columns = list(zip(*rows, strict=True)) or [()] * len(self._columns)
        named = zip(self._columns.items(), columns, strict=True)
        return {name: as_array(values, type_) for (name, type_), values in named}


def as_table(
    dialect: str, parameter: str, columns: Mapping[str, TypeEngine[Any]], *, name: str
) -> FromClause:
    """The parameter, a JSON array of objects with these members, as a table."""
    rows = bindparam(parameter, type_=Text())
    if dialect == "postgresql":
        read = func.jsonb_to_recordset(cast(rows, JSONB))
        wanted = [column(each, type_) for each, type_ in columns.items()]
        return read.table_valued(*wanted, name=name).render_derived(with_types=True)
    each = func.json_each(rows).table_valued("value")
    return select(
        *(
            type_coerce(func.json_extract(each.c.value, f"$.{key}"), type_).label(key)
            for key, type_ in columns.items()
        )
    ).subquery(name)


def as_columns(columns: Mapping[str, TypeEngine[Any]], *, name: str) -> FromClause:
    """For Postgres: the parameters of these names, each the text of `as_array`, as a table.

    What a row costs is next to nothing then: Postgres' driver takes long over each value of an array.
    """
    arrays = (cast(bindparam(each, type_=Text()), ARRAY(type_)) for each, type_ in columns.items())
    wanted = [column(each, type_) for each, type_ in columns.items()]
    return func.unnest(*arrays).table_valued(*wanted, name=name).render_derived()


def as_array(values: Sequence[Any], type_: TypeEngine[Any]) -> str:
    """Values of a column as Postgres writes an array, which is nearly as JSON does but for what escapes mean in text."""
    if isinstance(type_, UtcDateTime) and any(each and each.tzinfo is None for each in values):
        raise ValueError("an instant has no time zone")
    if isinstance(type_, AsJson):
        values = [value if value is None else encode_json(value) for value in values]
    if isinstance(type_, AsJson | String):
        return "{" + ",".join(map(_quoted, values)) + "}"
    listed = encode_json(values)
    if listed.count("null") != values.count(None):  # so it writes NaN and infinities, which are no null
        listed = json.dumps(values)
    return "{" + listed[1:-1] + "}"


def _quoted(text: str | None) -> str:
    if text is None:
        return "null"
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _sqlite_instant(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


#: How values stand in SQLite's parameter, where JSON has nothing of the kind: as the column's own text.
_SQLITE_WRITERS: dict[type, Callable[[Any], Any]] = {
    Id: str,
    Money: str,
    Word: lambda word: word.value,
    UtcDateTime: _sqlite_instant,
    AsJson: encode_json,
}
