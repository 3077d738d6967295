"""A worker's process under test, and its passes read from the file they write to."""

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.worker.passes import until

_SETTINGS = {"SECRET_KEY": "s" * 32, "JWT_SECRET": "j" * 32, "LOG_FORMAT": "json"}


class Process:
    """A running worker."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        """Start it; `environment` comes on top of ours."""
        self._passes, self._log = folder / "passes", folder / "log"
        with self._log.open("wb") as log:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "tests.worker.entry", self._passes],
                stdout=log,
                stderr=log,
                env=os.environ | _SETTINGS | {"DATA_DIR": str(folder)} | environment,
            )

    @property
    def words(self) -> list[str]:
        """What its passes wrote so far."""
        return self._passes.read_text().splitlines() if self._passes.exists() else []

    @property
    def log(self) -> str:
        """What it said so far."""
        return self._log.read_text()

    async def until(self, word: str, count: int) -> None:
        """Wait for so many of a word; fail when the process ends before."""
        await until(lambda: self.words.count(word) >= count or self.popen.poll() is not None)
        assert self.popen.poll() is None, self.log

    async def exit_code(self) -> int:
        """Wait for the end."""
        return await asyncio.to_thread(self.popen.wait, 60)


@contextlib.contextmanager
def worker(redis_url: str, *, every: float = 3600, **more: str) -> Iterator[Process]:
    """A worker for as long as the block lasts; `every` is CYCLE_SECONDS, `more` are further variables."""
    with tempfile.TemporaryDirectory(prefix="lora-worker-") as folder:
        process = Process(Path(folder), {"REDIS_URL": redis_url, "CYCLE_SECONDS": str(every)} | more)
        try:
            yield process
        finally:
            process.popen.kill()
            process.popen.wait()
