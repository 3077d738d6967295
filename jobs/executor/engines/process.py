"""Trainers as processes of this machine, which outlive the executor unless told otherwise (Linux).

A trainer inherits a lock on its folder, taken before it starts: as long as the lock is held it lives, whoever
asks, and a second one cannot be started. The lock file holds its process id.
"""

import asyncio
import contextlib
import ctypes
import fcntl
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from jobs.executor.engines import CannotStart

_PROGRAM = Path(__file__).parent.parent.parent / "trainer"
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)

#: What a trainer may know of our environment: nothing that is secret.
_VARIABLES = frozenset(
    """PATH HOME LANG LC_ALL TZ TMPDIR SSL_CERT_FILE SSL_CERT_DIR LD_LIBRARY_PATH OMP_NUM_THREADS
    HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy
    HF_HOME HF_HUB_CACHE HF_ENDPOINT HF_HUB_OFFLINE CUDA_VISIBLE_DEVICES NVIDIA_VISIBLE_DEVICES
    CUDA_DEVICE_ORDER CUDA_HOME""".split()  # noqa: SIM905 - a list of words reads better than a list of quotes
)


class ProcessTrainer:
    """One process, known by a handle that stays its own even when its number is given away."""

    def __init__(
        self,
        handle: int,
        child: subprocess.Popen[bytes] | None,
        grace: float,
        forget: Callable[["ProcessTrainer"], None],
    ) -> None:
        """`handle` is a pidfd; `child` is set when we are its parent; `forget` is told of its end."""
        self._handle, self._child, self._grace, self._forget = handle, child, grace, forget
        self._gone = asyncio.Event()
        self._how = "unseen"
        asyncio.get_running_loop().add_reader(handle, self._on_end)

    async def ended(self) -> str:
        """Return once the process is gone; how it ended."""
        await self._gone.wait()
        return self._how

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL when it is still there after the engine's grace."""
        await self.stop_within(self._grace)

    async def stop_within(self, grace: float) -> None:
        """SIGTERM, and SIGKILL after `grace` seconds."""
        self._send(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace):
                await self._gone.wait()
        except TimeoutError:
            self._send(signal.SIGKILL)
            await self._gone.wait()

    def _send(self, signum: signal.Signals) -> None:
        if not self._gone.is_set():
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, signum)

    def _on_end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._handle)
        os.close(self._handle)
        if self._child is not None:
            code = self._child.wait()
            self._how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        self._forget(self)
        self._gone.set()


class ProcessEngine:
    """Starts and finds trainer processes."""

    def __init__(
        self,
        python: Path,
        environment: Mapping[str, str],
        *,
        end_with_parent: bool,
        grace: float = 5.0,
        grace_at_close: float = 2.0,
    ) -> None:
        """`python` has what the trainer needs; graces are seconds between SIGTERM and SIGKILL."""
        self._python = python
        self._environment = {name: value for name, value in environment.items() if name in _VARIABLES}
        self._end_with_parent = end_with_parent
        self._grace = grace
        self._grace_at_close = grace_at_close
        self._trainers: set[ProcessTrainer] = set()

    async def start(self, folder: Path) -> ProcessTrainer:
        """Start the trainer, or find the one at work. Raises `CannotStart`."""
        lock = _open_lock(folder)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(lock, 0)
            child = self._spawn(folder, lock)
        except BlockingIOError as exc:
            if found := await self.find(folder):
                return found
            raise CannotStart("Another trainer was just at work on this run.") from exc
        except (OSError, subprocess.SubprocessError) as exc:
            raise CannotStart(f"The trainer could not be started: {exc}.") from exc
        finally:
            os.close(lock)  # the trainer's copy keeps it locked
        return self._follow(os.pidfd_open(child.pid), child)

    async def find(self, folder: Path) -> ProcessTrainer | None:
        """The trainer that holds the folder's lock."""
        while _is_held(folder):
            text = (folder / "trainer.lock").read_text()
            with contextlib.suppress(ValueError, ProcessLookupError):
                handle = os.pidfd_open(int(text))
                if _is_held(folder):  # it lives, so the number was still its own
                    return self._follow(handle, None)
                os.close(handle)
            await asyncio.sleep(0.01)  # just starting or just ending
        return None

    async def close(self) -> None:
        """End the trainers, or leave them to the next executor."""
        if self._end_with_parent:
            await asyncio.gather(*(trainer.stop_within(self._grace_at_close) for trainer in self._trainers))

    def _follow(self, handle: int, child: subprocess.Popen[bytes] | None) -> ProcessTrainer:
        trainer = ProcessTrainer(handle, child, self._grace, self._trainers.discard)
        self._trainers.add(trainer)
        return trainer

    def _spawn(self, folder: Path, lock: int) -> subprocess.Popen[bytes]:
        # In the loop's own thread: the kernel watches the thread that forked, not the process.
        with (folder / "trainer.log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - a fixed command
                [self._python, "-W", "ignore", _PROGRAM, "run", folder],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                env=self._environment,
                umask=0o077,
                pass_fds=[lock],
                start_new_session=True,
                preexec_fn=_before_exec(lock, end_with_parent=self._end_with_parent),  # noqa: PLW1509 - takes no lock
            )


def _before_exec(lock: int, *, end_with_parent: bool) -> Callable[[], None]:
    """What the child does first: leave its number in the lock file, and ask the kernel to die with us."""
    parent = os.getpid()

    def first() -> None:
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        if end_with_parent:
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:  # it died before the kernel heard of our wish
                os._exit(1)

    return first


def _open_lock(folder: Path) -> int:
    return os.open(folder / "trainer.lock", os.O_RDWR | os.O_CREAT, 0o600)


def _is_held(folder: Path) -> bool:
    lock = _open_lock(folder)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False
