"""Every SQL statement. Functions take a transaction, return domain values, and leave committing to the caller."""

from jobs.database.clock import SteadyClock
from jobs.database.engine import (
    Database,
    DatabaseUnavailable,
    Now,
    Position,
    RowRefused,
    SchemaMismatch,
    Transaction,
)
from jobs.database.snapshot import Snapshot

__all__ = [
    "Database",
    "DatabaseUnavailable",
    "Now",
    "Position",
    "RowRefused",
    "SchemaMismatch",
    "Snapshot",
    "SteadyClock",
    "Transaction",
]
