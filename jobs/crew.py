"""Child processes that live and end together: each has its own log, and none outlives this process."""

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jobs.embedded import ends_with_parent

_TAIL_LINES = 15


class CrewError(Exception):
    """A process ended that should not have; the message names it, its exit code and its last words."""


@dataclass(frozen=True)
class Child:
    """A running process and the file with everything it says."""

    name: str
    process: asyncio.subprocess.Process
    log: Path

    def last_words(self) -> str:
        """How it ended and the end of its log."""
        lines = self.log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
        code = self.process.returncode
        how = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
        said = "\n".join(f"    {line}" for line in lines) or "    (nothing)"
        return f"{self.name} ended with {how}. The end of {self.log}:\n{said}"


class Crew:
    """Starts children, notices the first that ends by itself, and ends the rest in the order asked for."""

    def __init__(self, logs: Path, environment: Mapping[str, str]) -> None:
        """Children write to `logs`, an existing folder, and get `environment`."""
        self.first_loss: asyncio.Future[Child] = asyncio.get_running_loop().create_future()
        self._logs, self._environment = logs, dict(environment)
        self._members: dict[str, Child] = {}
        self._watches: set[asyncio.Task[None]] = set()
        self._ending = False

    async def start(self, name: str, command: Sequence[str]) -> None:
        """Start a process that is to stay."""
        child = self._members[name] = await self._spawn(name, command)
        watch = asyncio.create_task(self._watch(child))
        self._watches.add(watch)
        watch.add_done_callback(self._watches.discard)

    async def run(self, name: str, command: Sequence[str]) -> str:
        """Run a process to its end and return what it printed; raises `CrewError` when that is a failure."""
        child = await self._spawn(name, command, answers=True)
        try:
            answer, _ = await child.process.communicate()
        finally:
            if child.process.returncode is None:
                child.process.kill()
                await child.process.wait()
        if child.process.returncode:
            raise CrewError(child.last_words())
        return answer.decode().strip()

    async def end(self, order: Sequence[str], *, seconds: float) -> None:
        """End the children one after another with SIGTERM, within `seconds` in all.

        Each has half of what is left to do so before it is killed: one that hangs leaves time for the rest.
        """
        self._ending = True
        deadline = time.monotonic() + seconds
        for name in [*order, *(name for name in self._members if name not in order)]:
            if name in self._members:
                await _end(self._members.pop(name).process, max(0.0, deadline - time.monotonic()) / 2)

    def kill(self) -> None:
        """End all children at once, without asking."""
        self._ending = True
        for child in self._members.values():
            with contextlib.suppress(ProcessLookupError):
                child.process.kill()

    async def _spawn(self, name: str, command: Sequence[str], *, answers: bool = False) -> Child:
        log = self._logs / f"{name}.log"
        if log.exists():
            log.replace(log.with_suffix(".log.1"))
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE if answers else output,
                stderr=output,
                env=self._environment,
                start_new_session=True,  # Ctrl-C reaches us alone: the order of ending is ours
                preexec_fn=ends_with_parent(),
            )
        return Child(name, process, log)

    async def _watch(self, child: Child) -> None:
        await child.process.wait()
        if not self._ending and not self.first_loss.done():
            self.first_loss.set_result(child)


def python_module(module: str, *arguments: str) -> list[str]:
    """The command line that runs `module` with this Python, whatever lies in the working directory."""
    return [sys.executable, "-P", "-m", module, *arguments]


async def _end(process: asyncio.subprocess.Process, seconds: float) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), seconds)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
