"""SQLite has one worker: a lock beside the file, held while the process lives. Postgres has as many as there are."""

import contextlib
import fcntl
from collections.abc import Iterator

from jobs.database.engine import sqlite_file
from jobs.domain.errors import PipelineError


class AnotherWorker(PipelineError):
    """A worker is at work on this SQLite file already."""


@contextlib.contextmanager
def only_worker(url: str) -> Iterator[None]:
    """Be the only worker of a SQLite database for the length of the block. Raises `AnotherWorker`."""
    file = sqlite_file(url)
    if file is None:
        yield
        return
    try:
        lock = file.with_name(f"{file.name}.worker-lock").open("w")
    except OSError as exc:
        raise AnotherWorker(f"{file.parent} cannot be written: {exc.strerror}.") from exc
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise AnotherWorker(
                f"Another worker is at work on {file}. SQLite takes one; for more, use Postgres (DATABASE_URL)."
            ) from exc
        yield
