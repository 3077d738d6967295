"""Every SQL statement. Functions take a transaction, return domain values, and leave committing to the caller."""

from jobs.database.engine import Database, DatabaseUnavailable, Position, SchemaMismatch, Transaction

__all__ = ["Database", "DatabaseUnavailable", "Position", "SchemaMismatch", "Transaction"]
