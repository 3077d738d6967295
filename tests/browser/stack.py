"""The whole service as a person starts it: the launcher in a process group of its own, on fresh data and free ports."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from jobs.embedded import ends_with_parent
from tests.services.process import accepts_tcp, end, free_port, launch

_READY = re.compile(r"sign in as dev: (http\S+)")
_SECONDS_TO_START = 180.0
_SECONDS_TO_END = 60.0


@dataclass(frozen=True)
class Stack:
    """A running service; `sign_in` is the address that the launcher printed for its user `dev`."""

    url: str
    sign_in: str
    environment: dict[str, str]

    def token(self, user: str) -> str:
        """A bearer token, made as the manual says."""
        command = [sys.executable, "-P", "-m", "jobs", "token", user]
        return subprocess.run(
            command, env=self.environment, check=True, capture_output=True, text=True
        ).stdout.strip()

    def sign_in_as(self, user: str) -> str:
        """The jobs page, with this user's token in the address."""
        return f"{self.url}/training/jobs#token={self.token(user)}"


@contextmanager
def running_stack(folder: Path) -> Iterator[Stack]:
    """Start everything in `folder`; at the end ask the launcher to stop, and see that it does so cleanly."""
    port = free_port()
    environment = {
        **_own_environment(folder),
        "PORT": str(port),
        "EXECUTOR_PORT": str(free_port()),
        "CYCLE_SECONDS": "1",
    }
    log = folder / "dev.log"
    with log.open("wb") as output:
        launcher = subprocess.Popen(
            [sys.executable, "-P", "-m", "jobs.dev"],
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=ends_with_parent(signal.SIGTERM),  # noqa: PLW1509 - it takes no lock
        )
    try:
        sign_in = _sign_in_address(launcher, log)
        yield Stack(f"http://127.0.0.1:{port}", sign_in, environment)
    finally:
        launcher.send_signal(signal.SIGTERM)
        try:
            code = launcher.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            os.killpg(launcher.pid, signal.SIGKILL)
            code = launcher.wait()
    assert code == 0, log.read_text()
    assert log.read_text().endswith("dev: everything has ended.\n"), log.read_text()


def _sign_in_address(launcher: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + _SECONDS_TO_START
    while not (found := _READY.search(log.read_text())):
        assert launcher.poll() is None, f"the launcher ended with {launcher.returncode}:\n{log.read_text()}"
        assert time.monotonic() < deadline, f"not ready in {_SECONDS_TO_START:.0f} s:\n{log.read_text()}"
        time.sleep(0.05)
    return found[1]


@contextmanager
def running_server(folder: Path, database_url: str = "") -> Iterator[Stack]:
    """The API and its pages alone, on a database that somebody has furnished: nothing in it moves by itself."""
    port = free_port()
    environment = {
        **_own_environment(folder),
        "PORT": str(port),
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "REDIS_URL": "redis://127.0.0.1:1/0",  # nobody there: a lost bell costs latency only
        "SECRET_KEY": "scenery-" * 4,
        "JWT_SECRET": "scenery-" * 4,
    } | ({"DATABASE_URL": database_url} if database_url else {})
    command = [sys.executable, "-P", "-m", "server"]
    server = launch(command, folder / "server.log", lambda: accepts_tcp(port), cwd=folder, env=environment)
    try:
        stack = Stack(f"http://127.0.0.1:{port}", "", environment)
        yield replace(stack, sign_in=stack.sign_in_as("dev"))
    finally:
        end(server, signal.SIGTERM)


def _own_environment(folder: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return {**kept, "DATA_DIR": str(folder / "data")}
