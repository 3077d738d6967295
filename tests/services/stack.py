"""The whole service as a newcomer starts it: the launcher and everything it starts."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.services.process import free_port

ROOT = Path(__file__).parents[2]
_SECONDS_TO_START = 120.0


class Stack:
    """The launcher on a data folder of its own; it can be ended, killed, and started again where it was."""

    def __init__(self, data: Path, **environment: str) -> None:
        """`environment` is added to the usual one, such as CYCLE_SECONDS="1"."""
        self.data, self.port = data, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._environment = {
            **os.environ,
            "DATA_DIR": str(data),
            "PORT": str(self.port),
            "EXECUTOR_PORT": str(free_port()),
            **environment,
        }
        self._output = data.with_suffix(".out")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start everything; returns when the sign-in link has been printed."""
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "jobs.dev"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.data.parent,
                env=self._environment,
                start_new_session=True,
            )
        deadline = time.monotonic() + _SECONDS_TO_START
        while "Ctrl-C ends everything" not in self.printed:
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"the launcher did not start:\n{self.printed}\n{self.logs}")
            time.sleep(0.05)

    @property
    def printed(self) -> str:
        """What the launcher said since it was started last."""
        return self._output.read_text() if self._output.exists() else ""

    @property
    def logs(self) -> str:
        """The end of every process's log."""
        files = sorted((self.data / "logs").glob("*.log"))
        return "\n".join(f"{file.name}:\n{file.read_text()[-2000:]}" for file in files)

    @property
    def link(self) -> str:
        """The sign-in link."""
        found = re.search(r"sign in as \S+: (\S+)", self.printed)
        assert found, self.printed
        return found[1]

    @property
    def token(self) -> str:
        """The bearer token in it."""
        return self.link.partition("#token=")[2]

    @property
    def first_job(self) -> str | None:
        """The id of the job that this start made, if it did."""
        found = re.search(r"first job are there: \S+/([0-9a-f-]{36})", self.printed)
        return found[1] if found else None

    def end(self, signum: signal.Signals = signal.SIGINT) -> int:
        """Ask it to end, as Ctrl-C does; its exit code."""
        if self._process is None:
            return 0
        self._process.send_signal(signum)
        code = self._process.wait(30)
        self._process = None
        return code

    def kill(self) -> None:
        """kill -9, of the launcher alone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def processes(self) -> dict[int, str]:
        """Every process that lives on this data folder: number and command line."""
        mark = f"DATA_DIR={self.data}".encode()
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                ours = mark in (folder / "environ").read_bytes().split(b"\0")
                command = (
                    (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                )
                if (ours or str(self.data) in command) and command:
                    found[int(folder.name)] = command
        return found


@contextlib.contextmanager
def stack(**environment: str) -> Iterator[Stack]:
    """A started service for as long as the block runs; nothing of it is left afterwards."""
    with tempfile.TemporaryDirectory(prefix="lora-stack-") as folder:
        running = Stack(Path(folder) / "data", **environment)
        running.start()
        try:
            yield running
        finally:
            try:
                running.end()
            finally:
                for pid in running.processes():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
