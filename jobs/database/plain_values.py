"""Values of a column as people type and read them: text in, a bound parameter; a value out, exact in JSON."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    ColumnElement,
    Date,
    DateTime,
    Double,
    Enum,
    Float,
    Integer,
    Numeric,
    String,
    Text,
    Uuid,
    cast,
    literal,
)
from sqlalchemy.types import NullType, TypeEngine

from jobs.database.inspection import DatabaseRefused
from jobs.database.types import AsJson, Id, Money, UtcDateTime, Word

_KINDS: tuple[tuple[str, tuple[type[TypeEngine[Any]], ...]], ...] = (
    ("other", (Enum,)),
    ("uuid", (Id, Uuid)),
    ("utc", (UtcDateTime,)),
    ("instant", (DateTime,)),
    ("date", (Date,)),
    ("boolean", (Boolean,)),
    ("integer", (Integer,)),
    ("float", (Float,)),
    ("number", (Money, Numeric)),
    ("json", (AsJson, JSON)),
    ("text", (Word, String)),
)


def kind_of(type_: TypeEngine[Any]) -> str:
    """What a column of this type holds, in our words."""
    kind = next((kind for kind, types in _KINDS if isinstance(type_, types)), "other")
    return "utc" if kind == "instant" and getattr(type_, "timezone", False) else kind


@dataclass(frozen=True, slots=True)
class PlainColumn:
    """A column that is there, and how its values are compared, read from text and shown."""

    name: str
    kind: str
    sqlite: bool

    def compared(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """The column so that it can be compared and sorted by value."""
        if self.sqlite and self.kind == "number":  # kept as text, or as whatever was put in
            return cast(column, Numeric())
        return cast(column, Text()) if self.kind in ("json", "other") else column

    def bound(self, value: str) -> ColumnElement[Any]:
        """The typed value as a bound parameter of the column's kind."""
        try:
            read, type_ = _READERS.get(self.kind, (sendable, Text()))
            parsed = read(value)
        except (ValueError, ArithmeticError, LookupError) as exc:
            what = _NAMES.get(self.kind, "text")
            raise DatabaseRefused(f"{self.name}: {value!r} is no {what}.") from exc
        if self.sqlite:
            if self.kind == "number":
                return cast(literal(str(parsed), Text()), Numeric())
            return literal(_as_sqlite_keeps(parsed), NullType())
        return literal(parsed.replace(tzinfo=None) if self.kind == "instant" else parsed, type_)

    def shown(self, value: Any) -> Any:
        """A value for JSON: decimals and instants as exact strings, JSON as it is kept."""
        if value is None:
            return None
        match self.kind:
            case "json":
                return _raw_json(value)
            case "utc" | "instant":
                return _shown_instant(value, utc=self.kind == "utc")
            case "boolean":
                return bool(value)
            case "number":
                return format(value, "f") if isinstance(value, Decimal) else str(value)
        if isinstance(value, float):
            return value if abs(value) < float("inf") else str(value)
        return value if isinstance(value, bool | int | list) else _text(value)


def _read_instant(value: str) -> datetime:
    instant = datetime.fromisoformat(value)
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def _read_whole(value: str) -> int:
    number = int(value)
    if not -(2**63) <= number < 2**63:
        raise ValueError(value)
    return number


def _read_number(value: str) -> Decimal:
    number = Decimal(value)
    if not number.is_finite() or abs(number.adjusted()) > 1_000:
        raise InvalidOperation(value)
    return number


def _read_truth(value: str) -> bool:
    return {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}[value.lower()]


def sendable(value: str) -> str:
    """The text itself. Raises ValueError for bytes that were no UTF-8."""
    value.encode()
    return value


_READERS: dict[str, tuple[Callable[[str], Any], TypeEngine[Any]]] = {
    "uuid": (UUID, Uuid()),
    "utc": (_read_instant, DateTime(timezone=True)),
    "instant": (_read_instant, DateTime()),
    "date": (date.fromisoformat, Date()),
    "boolean": (_read_truth, Boolean()),
    "integer": (_read_whole, BigInteger()),
    "float": (float, Double()),
    "number": (_read_number, Numeric()),
}
_NAMES = {
    "uuid": "UUID",
    "utc": "instant such as 2026-01-31T12:00:00Z",
    "instant": "instant such as 2026-01-31T12:00:00",
    "date": "date such as 2026-01-31",
    "boolean": "truth value: true or false",
    "integer": "whole number",
    "float": "number",
    "number": "number",
}


def _as_sqlite_keeps(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")
    return value if isinstance(value, str | int | float) else str(value)


def _shown_instant(value: Any, *, utc: bool) -> str:
    """ISO 8601, ending in Z where we know the zone; what SQLite keeps as text and is none stays as it is."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return str(value)
    if isinstance(value, datetime) and utc:
        aware = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return aware.replace(tzinfo=None).isoformat() + "Z"
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _raw_json(value: Any) -> Any:
    """JSON text to be put into the answer as it is, so that no number changes."""
    try:
        msgspec.json.decode(value)
    except (msgspec.DecodeError, TypeError):
        return _text(value)
    return msgspec.Raw(value.encode() if isinstance(value, str) else value)


def _text(value: Any) -> str:
    """As text that JSON can carry."""
    return "\\x" + value.hex() if isinstance(value, bytes) else str(value)
