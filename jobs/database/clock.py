"""The clock by which claims, waits, money and signed URLs are counted: the database's, never that of who asks.

Postgres tells its own; for SQLite, which has none, it is `KeptClock`. A process whose machine's clock is hours off works
by it like any other; only bearer tokens are judged by the machine's own, because others issue them.
"""

import contextlib
import os
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from uuid import uuid4

Now = Callable[[], Awaitable[datetime]]  #: a clock

_GOOD_FOR = timedelta(seconds=10)
_SET = timedelta(seconds=1)  #: more than this is no drift: somebody has set the clock
_PASSING = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  #: it goes on while a laptop sleeps


def passed() -> timedelta:
    """Since the machine has booted, whatever its clock was set to."""
    return timedelta(microseconds=time.clock_gettime_ns(_PASSING) // 1000)


class SteadyClock:
    """A clock as `Now`, for those who ask often: `source` is asked now and then, in between our own says what has passed.

    It raises what `source` raises, the first time; later it goes on without.
    """

    def __init__(self, source: Now) -> None:
        self._source = source
        self._asked_at = timedelta()
        self._told: datetime | None = None

    async def __call__(self) -> datetime:
        """Now."""
        asked_at = passed()
        told, ago = self._told, asked_at - self._asked_at
        if told is None:
            self._told, self._asked_at = await self._source(), asked_at
            return self._told
        if ago >= _GOOD_FOR:
            self._told, self._asked_at = told + ago, asked_at  # for those who ask meanwhile
            with contextlib.suppress(Exception):
                self._told = await self._source()
            return self._told
        return told + ago

    def counted(self) -> datetime | None:
        """Now, by what was told a while ago; None when it is time to ask."""
        ago = passed() - self._asked_at
        return None if self._told is None or ago >= _GOOD_FOR else self._told + ago

    def learn(self, told: datetime, asked_at: timedelta) -> None:
        """What the source's clock was at when it was read for somebody, who asked when `asked_at` had `passed`.

        That costs no question. As long as our own account may be right, by what was told, it goes on.
        """
        now = passed()
        counted = told if self._told is None else self._told + (now - self._asked_at)
        self._told, self._asked_at = min(max(counted, told), told + (now - asked_at)), now


class KeptClock:
    """SQLite's clock: what this machine's said once since it booted, and what has passed since.

    A file beside the database keeps it, so it is the same for all processes, whenever they started. Setting the machine's
    clock moves nothing: no job is stuck until an hour comes again, none is billed for an hour that was left out or counts
    as lost by it. That the new time is the right one cannot be told from the inside, and `keep` follows it as soon as no
    job is unfinished (`Database.follow_machine`), or when the machine boots.
    """

    def __init__(
        self,
        database: Path,
        *,
        machine: Callable[[], datetime] = lambda: datetime.now(UTC),
        since_boot: Callable[[], timedelta] = passed,
    ) -> None:
        self._file = database.with_name(f"{database.name}.clock")
        self._machine, self._since_boot = machine, since_boot
        self._read: tuple[int, int] | None = None
        self._began: datetime | None = None

    def now(self) -> datetime | None:
        """Now; None when nothing was kept since the machine booted."""
        began = self._kept()
        return None if began is None else began + self._since_boot()

    def was_set(self) -> bool:
        """Whether the machine's clock says something else by now."""
        now = self.now()
        return now is not None and abs(self._machine() - now) > _SET

    def keep(self, not_before: datetime | None = None) -> datetime:
        """Go by what the machine's clock says now, or by `not_before` if that is later. Returns now; raises OSError."""
        now = max(self._machine(), not_before or datetime.min.replace(tzinfo=UTC))
        began = now - self._since_boot()
        new = self._file.with_name(f"{self._file.name}.{uuid4().hex}")
        try:
            new.write_text(f"{_boot()} {began.isoformat()}")
            new.replace(self._file)
        finally:
            new.unlink(missing_ok=True)
        return now

    def _kept(self) -> datetime | None:
        try:
            found = os.stat(self._file)  # noqa: PTH116 - asked for everything that happens
            if self._read != (read := (found.st_ino, found.st_mtime_ns)):
                boot, _, began = self._file.read_text().partition(" ")
                self._began = datetime.fromisoformat(began) if boot == _boot() else None
                self._read = read
        except (FileNotFoundError, ValueError):
            return None
        return self._began


@cache
def _boot() -> str:
    """This boot of the machine; where it has no name, this process: then each keeps the time anew."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return uuid4().hex
