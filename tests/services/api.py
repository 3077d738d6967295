"""The API as a process of its own: `python -m server` on a SQLite database, as an installation runs it."""

import contextlib
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from jobs.tokens import make_token
from tests.services.process import accepts_tcp, end, free_port, launch

SECRET = "a secret for tests, 32 bytes or more"
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Api:
    """A running API."""

    url: str
    pid: int
    data: Path  #: its DATA_DIR
    log: Path  #: what it wrote, one JSON object a line
    environment: dict[str, str]

    @property
    def port(self) -> int:
        """Where raw bytes go."""
        return int(self.url.rpartition(":")[2])

    def token(self, user: str = "ada") -> str:
        """A bearer token, good for an hour."""
        secret = self.environment["JWT_SECRET"].encode()
        return make_token(secret, user, now=datetime.now(UTC), lifetime=timedelta(hours=1))

    def signed_in(self, user: str = "ada") -> dict[str, str]:
        """The header of a user."""
        return {"Authorization": f"Bearer {self.token(user)}"}

    def memory(self, kind: str = "VmRSS") -> int:
        """Bytes of memory that the process has now, or had at most (`VmHWM`)."""
        status = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        [line] = [line for line in status if line.startswith(f"{kind}:")]
        return int(line.split()[1]) * 1024


@contextlib.contextmanager
def api(template: Path | None = None, /, **environment: str) -> Iterator[Api]:
    """An API for as long as the block runs; `template` is a migrated SQLite file to begin with."""
    with tempfile.TemporaryDirectory(prefix="lora-api-") as folder:
        data, port = Path(folder), free_port()
        if template is not None:
            shutil.copy(template, data / "pipeline.db")
        complete = {
            **{name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ},
            "DATA_DIR": str(data),
            "PORT": str(port),
            "PUBLIC_URL": f"http://127.0.0.1:{port}",
            "SECRET_KEY": SECRET,
            "JWT_SECRET": SECRET,
            "REDIS_URL": f"unix://{data}/no-redis",
            "LOG_FORMAT": "json",
            **environment,
        }
        command, log = [sys.executable, "-P", "-m", "server"], data / "api.log"
        process = launch(command, log, lambda: accepts_tcp(port), cwd=_ROOT, env=complete)
        try:
            yield Api(f"http://127.0.0.1:{port}", process.pid, data, log, complete)
        finally:
            end(process, signal.SIGTERM)
