"""A real S3 server that checks signatures and expiry: rclone over a folder, one sub-folder a bucket."""

import contextlib
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.services.process import accepts_tcp, end, free_port, launch

_KEY, _SECRET = "test-access-key", "test-secret-key-of-no-value"


@dataclass
class S3Server:
    """A server: `root / bucket / path` is the object's file. It can be stopped, and started again where it was."""

    work: Path
    port: int = field(default_factory=free_port)
    access_key: str = _KEY
    secret_key: str = _SECRET
    _process: subprocess.Popen[bytes] | None = None

    @property
    def root(self) -> Path:
        """The folder of the buckets."""
        return self.work / "buckets"

    @property
    def endpoint(self) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self.port}"

    def bucket(self, name: str) -> Path:
        """Make the bucket if it is not there; its folder."""
        folder = self.root / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def environment(self) -> dict[str, str]:
        """The usual variables that lead a client here."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": "us-east-1",
        }

    def start(self) -> None:
        """Ready in tenths of a second."""
        self.root.mkdir(exist_ok=True)
        command = (
            *(Path(sys.prefix) / "bin" / "rclone", "serve", "s3", self.root, "--vfs-cache-mode", "off"),
            *("--addr", f"127.0.0.1:{self.port}", "--auth-key", f"{self.access_key},{self.secret_key}"),
            *("--config", self.work / "rclone.conf"),
        )
        self._process = launch(command, self.work / "log", lambda: accepts_tcp(self.port), cwd=self.work)

    def stop(self) -> None:
        """Nobody answers any more; the objects stay."""
        if self._process is not None:
            end(self._process, signal.SIGTERM, seconds=2)
            self._process = None


@contextlib.contextmanager
def s3() -> Iterator[S3Server]:
    """A server of its own for as long as the block runs."""
    server = S3Server(Path(tempfile.mkdtemp(prefix="lora-s3-")))
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(server.work, ignore_errors=True)
