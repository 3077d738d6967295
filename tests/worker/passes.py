"""A pass that says when it begins and ends, and does in between what a test wants; and waiting for conditions."""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta

_ALL = 10_000


class Passes:
    """Each `run` is noted; it ends when it is let go, raises what lies in `raises`, one a pass, and returns `more_in`."""

    def __init__(self, *, held: bool = False, more_in: timedelta | None = None) -> None:
        """With `held`, passes last until somebody calls `let_go`."""
        self.more_in = more_in
        self.begun: list[float] = []
        self.ended: list[float] = []
        self.cut_short = 0
        self.most_at_once = 0
        self.raises: list[BaseException] = []
        self._permits = asyncio.Semaphore(0 if held else _ALL)

    async def run(self) -> timedelta | None:
        """One pass."""
        self.begun.append(time.monotonic())
        self.most_at_once = max(self.most_at_once, self.running)
        try:
            await self._permits.acquire()
            await asyncio.sleep(0)
            if self.raises:
                raise self.raises.pop(0)
        except asyncio.CancelledError:
            self.cut_short += 1
            raise
        finally:
            self.ended.append(time.monotonic())
        return self.more_in

    def let_go(self, passes: int = _ALL) -> None:
        """Let so many passes end, running ones and coming ones."""
        for _ in range(passes):
            self._permits.release()

    @property
    def running(self) -> int:
        """How many have begun and not ended."""
        return len(self.begun) - len(self.ended)


async def until(condition: Callable[[], object], *, seconds: float = 30) -> None:
    """Return when `condition()` is true; fail when that takes longer than it ever should."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"this did not come true in {seconds} s"
        await asyncio.sleep(0.01)
