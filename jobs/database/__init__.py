"""Every SQL statement. Functions take a transaction, return domain values, and leave committing to the caller."""

from jobs.database.clock import KeptClock, Now, SteadyClock
from jobs.database.engine import (
    Database,
    DatabaseUnavailable,
    Position,
    RowRefused,
    SchemaMismatch,
    Transaction,
)
from jobs.database.snapshot import Snapshot

__all__ = [
    "Database",
    "DatabaseUnavailable",
    "KeptClock",
    "Now",
    "Position",
    "RowRefused",
    "SchemaMismatch",
    "Snapshot",
    "SteadyClock",
    "Transaction",
]
