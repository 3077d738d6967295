"""`python -m tests.worker.entry FILE`: the worker's process with a pass that writes to FILE what happens to it.

`PASS_LASTS` (seconds) holds each pass; `PASS_RAISES` is what each raises; `MUST_NOT_START` is why the worker must not.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from jobs.domain.errors import PipelineError
from jobs.settings import Settings
from jobs.worker import run_worker


class WrittenPass:
    """Adds the line `begun`, and `ended` or `cut short`."""

    def __init__(self, file: Path) -> None:
        self._file = file

    async def run(self) -> None:
        """One pass."""
        self.write("begun")
        try:
            await asyncio.sleep(float(os.environ.get("PASS_LASTS", "0")))
        except asyncio.CancelledError:
            self.write("cut short")
            raise
        self.write("ended")
        if words := os.environ.get("PASS_RAISES"):
            raise RuntimeError(words)

    def write(self, word: str) -> None:
        """Add a line at once."""
        with self._file.open("a") as file:
            file.write(f"{word}\n")


@contextlib.asynccontextmanager
async def open_written_pass(_: Settings) -> AsyncIterator[WrittenPass]:
    """The pass, and the line `closed` after everything."""
    if words := os.environ.get("MUST_NOT_START"):
        raise PipelineError(words)
    written = WrittenPass(Path(sys.argv[1]))
    try:
        yield written
    finally:
        written.write("closed")


if __name__ == "__main__":
    sys.exit(run_worker(Settings.from_env(os.environ), open_written_pass))
