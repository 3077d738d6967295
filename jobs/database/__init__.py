"""Every SQL statement. Functions take a transaction, return domain values, and leave committing to the caller."""
