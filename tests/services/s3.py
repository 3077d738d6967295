"""A real S3 server that checks signatures and expiry: rclone over a folder, one sub-folder a bucket."""

import contextlib
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.services.process import accepts_tcp, end, free_port, launch

_KEY, _SECRET = "test-access-key", "test-secret-key-of-no-value"


@dataclass(frozen=True)
class S3Server:
    """A running server: `root / bucket / path` is the object's file."""

    endpoint: str
    root: Path
    access_key: str = _KEY
    secret_key: str = _SECRET

    def bucket(self, name: str) -> Path:
        """Make the bucket if it is not there; its folder."""
        folder = self.root / name
        folder.mkdir(exist_ok=True)
        return folder

    def environment(self) -> dict[str, str]:
        """The usual variables that lead a client here."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": "us-east-1",
        }


@contextlib.contextmanager
def s3() -> Iterator[S3Server]:
    """A server of its own for as long as the block runs; ready in tenths of a second."""
    work = Path(tempfile.mkdtemp(prefix="lora-s3-"))
    root, port = work / "buckets", free_port()
    root.mkdir()
    command = [
        *(str(Path(sys.prefix) / "bin" / "rclone"), "serve", "s3", str(root), "--addr", f"127.0.0.1:{port}"),
        *(
            "--auth-key",
            f"{_KEY},{_SECRET}",
            "--config",
            str(work / "rclone.conf"),
            "--vfs-cache-mode",
            "off",
        ),
    ]
    try:
        process = launch(command, work / "log", lambda: accepts_tcp(port), cwd=work)
        try:
            yield S3Server(f"http://127.0.0.1:{port}", root)
        finally:
            end(process, signal.SIGTERM, seconds=2)
    finally:
        shutil.rmtree(work, ignore_errors=True)
