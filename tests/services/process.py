"""Starting and ending a server process; a server that does not come up shows its own words."""

import contextlib
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jobs.embedded import ends_with_parent


class ServerDidNotStartError(Exception):
    """A server ended, or was not ready in time; the message ends with its log."""


def free_port() -> int:
    """A loopback TCP port on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def accepts_tcp(port: int) -> bool:
    """Whether somebody answers on this loopback port."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def launch(
    command: Sequence[str | Path],
    log: Path,
    ready: Callable[[], bool],
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    user: Mapping[str, Any] | None = None,
    last_signal: signal.Signals = signal.SIGKILL,
    seconds: float = 30,
) -> subprocess.Popen[bytes]:
    """Start a server that gets `last_signal` when we are gone; returns once `ready()`, its words go to `log`.

    `user` holds Popen's `user`, `group` and `extra_groups`. Raises `ServerDidNotStartError`.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            cwd=cwd,
            env=env,
            preexec_fn=ends_with_parent(last_signal),  # noqa: PLW1509 - it takes no lock; after setuid, so it sticks
            **(user or {}),
        )
    _wait_until_ready(process, ready, log, seconds=seconds)
    return process


def end(process: subprocess.Popen[bytes], signum: int, *, seconds: float = 10) -> None:
    """Send `signum`, wait, and kill what has not ended by then; a process already gone is fine."""
    if process.poll() is None:
        process.send_signal(signum)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_until_ready(
    process: subprocess.Popen[bytes], ready: Callable[[], bool], log: Path, *, seconds: float
) -> None:
    """Return when `ready()` is true; raise when the process ends first or the time is over."""
    deadline = time.monotonic() + seconds
    while not ready():
        if process.poll() is not None:
            raise ServerDidNotStartError(
                f"{process.args!r} ended with {process.returncode}:\n{log.read_text()}"
            )
        if time.monotonic() > deadline:
            process.kill()
            process.wait()
            raise ServerDidNotStartError(f"{process.args!r} was not ready in {seconds} s:\n{log.read_text()}")
        time.sleep(0.01)
