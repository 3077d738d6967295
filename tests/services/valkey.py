"""A real Valkey, on a loopback port or a unix socket; it can be killed and comes back empty."""

import contextlib
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import redis

from jobs.embedded import valkey_command
from tests.services.process import end, free_port, launch


class ValkeyServer:
    """A server whose `url` stays the same however often it dies."""

    def __init__(self, work: Path, *, unix_socket: bool) -> None:
        """Keep the log, and the socket if asked for, in `work`, an empty folder."""
        self._work = work
        self._socket = work / "valkey.sock" if unix_socket else None
        self._port = 0 if unix_socket else free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"unix://{self._socket}" if unix_socket else f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Start, empty, under the same URL; returns when it answers."""
        command = valkey_command(socket=self._socket, port=self._port)
        self._process = launch(command, self._work / "log", self._answers, cwd=self._work)

    def kill(self) -> None:
        """End it as kill -9 does: connections break and everything in it is lost."""
        if self._process is not None:
            end(self._process, signal.SIGKILL)
            self._process = None

    def restart_empty(self) -> None:
        """Kill it and start it again with nothing in it."""
        self.kill()
        self.start()

    def flush(self) -> None:
        """Forget every key, connections stay."""
        with redis.Redis.from_url(self.url) as client:
            client.flushall()

    def _answers(self) -> bool:
        with contextlib.suppress(redis.ConnectionError), redis.Redis.from_url(self.url) as client:
            return bool(client.ping())
        return False


@contextlib.contextmanager
def valkey(*, unix_socket: bool = False) -> Iterator[ValkeyServer]:
    """A server of its own for as long as the block runs; ready in hundredths of a second."""
    work = Path(tempfile.mkdtemp(prefix="lora-valkey-"))
    server = ValkeyServer(work, unix_socket=unix_socket)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(work, ignore_errors=True)
