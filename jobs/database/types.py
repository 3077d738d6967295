"""Column types that mean the same in both databases, and read well in both for people with a SQL prompt."""

import struct
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec
from sqlalchemy import JSON, DateTime, Dialect, LargeBinary, Numeric, String, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator, TypeEngine

from jobs.domain.thinning import MARKS, Parts, Peaks

T = TypeVar("T")
W = TypeVar("W", bound=StrEnum)
_ENCODER = msgspec.json.Encoder(decimal_format="number")


def encode_json(value: object) -> str:
    """JSON text with decimals as exact numbers."""
    return _ENCODER.encode(value).decode()


class Id(TypeDecorator[UUID]):
    """A UUID: Postgres' own, in SQLite the usual 36 characters."""

    impl = Uuid
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Postgres has a type for it."""
        return dialect.type_descriptor(Uuid() if dialect.name == "postgresql" else String(36))

    def process_bind_param(self, value: UUID | None, dialect: Dialect) -> Any:
        """SQLite takes text."""
        return value if value is None or dialect.name == "postgresql" else str(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        """Postgres' driver gives UUIDs: no row waits for us to look at them."""
        return None if dialect.name == "postgresql" else super().result_processor(dialect, coltype)

    def process_result_value(self, value: Any, dialect: Dialect) -> UUID | None:
        """SQLite gives text."""
        return None if value is None else UUID(value)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware instant in UTC; a naive one is a bug and refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Postgres takes it as it is; SQLite keeps no zone, so everything in it is UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        utc = value.astimezone(UTC)
        return utc if dialect.name == "postgresql" else utc.replace(tzinfo=None)

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        """Postgres' driver gives instants in UTC."""
        return None if dialect.name == "postgresql" else super().result_processor(dialect, coltype)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """SQLite's are in UTC and do not say so."""
        return None if value is None else value.replace(tzinfo=UTC)


class Money(TypeDecorator[Decimal]):
    """Exact dollars and cents: NUMERIC in Postgres; in SQLite, whose NUMERIC is a float, text like `12.30`."""

    impl = Numeric(14, 2)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Text where numbers are floats."""
        return dialect.type_descriptor(Numeric(14, 2) if dialect.name == "postgresql" else String(16))

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        """More than two places would be rounded silently, so they are refused."""
        if value is None:
            return None
        cents = value.quantize(Decimal("0.01"))
        if cents != value:
            raise ValueError(f"{value} dollars is no whole number of cents")
        return cents if dialect.name == "postgresql" else str(cents)

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        """Postgres' driver gives exact decimals."""
        return None if dialect.name == "postgresql" else super().result_processor(dialect, coltype)

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        """SQLite gives text."""
        return None if value is None else Decimal(value)


class AsJson(TypeDecorator[T], Generic[T]):
    """A value as a JSON object with its numbers exact; read back as `shape`, a dataclass or a builtin type."""

    impl = JSON
    cache_ok = True

    def __init__(self, shape: type[T]) -> None:
        self.shape = shape
        self._decoder = msgspec.json.Decoder(shape)
        super().__init__()

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Both keep `null` as SQL's NULL. The engine's own JSON coding is switched off (`engine.py`)."""
        json = JSONB(none_as_null=True) if dialect.name == "postgresql" else JSON(none_as_null=True)
        return dialect.type_descriptor(json)

    def process_bind_param(self, value: T | None, dialect: Dialect) -> Any:
        """JSON text."""
        return None if value is None else encode_json(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        """The value that was put in, of JSON text: rows have three of them, and wait for no more than that."""
        decode = self._decoder.decode
        return lambda value: None if value is None else decode(value)


class Word(TypeDecorator[W], Generic[W]):
    """A word of a fixed vocabulary; a check constraint of the table holds it too."""

    impl = String(32)
    cache_ok = True

    def __init__(self, vocabulary: type[W]) -> None:
        self.vocabulary = vocabulary
        self._words: dict[str | None, W | None] = {None: None, **{word.value: word for word in vocabulary}}
        super().__init__()

    def process_bind_param(self, value: W | None, dialect: Dialect) -> str | None:
        """Its text."""
        return None if value is None else value.value

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        """The word."""
        return self._words.__getitem__


class PackedParts(TypeDecorator[Parts]):
    """The parts of a roll-up, 24 bytes for each mark of each: as JSON they took ten times as long to read."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Parts | None, dialect: Dialect) -> bytes | None:
        """A part without points is one whose marks are all none."""
        if value is None:
            return None
        return b"".join(_PEAKS.pack(*(peaks or _NO_PEAKS)) for marks in value for peaks in marks or _NO_MARKS)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> Parts | None:
        """The parts."""
        if value is None:
            return None
        peaks = [None if each == _NO_PEAKS else Peaks._make(each) for each in _PEAKS.iter_unpack(value)]
        parts = (tuple(peaks[at : at + MARKS]) for at in range(0, len(peaks), MARKS))
        return tuple(marks if any(marks) else None for marks in parts)


_PEAKS = struct.Struct("<didi")
_NO_PEAKS = (0.0, -1, 0.0, -1)
_NO_MARKS = (None,) * MARKS
