"""When a pass begins: by the timer, when the next job is due, and at once when woken; never two at a time."""

import asyncio
import contextlib
from datetime import timedelta
from types import TracebackType
from typing import Protocol, Self

import structlog

from jobs import meters
from jobs.domain.errors import PipelineError

_PATIENCE = timedelta(seconds=6)  # for the last pass; the whole worker has ten seconds to end
_AS_GOOD_AS_DUE = 0.9
_LEAST = timedelta(
    seconds=0.25
)  # between passes that nobody asked for: what is due in so short a time is one pass

logger = structlog.get_logger(__name__)


class Pass(Protocol):
    """What is run again and again."""

    async def run(self) -> timedelta | None:
        """One pass; how long until there is more to do, None when nothing is known of.

        It may raise, and may be cancelled at any point: the next one makes up for it.
        """


class Pacemaker:
    """Runs passes one after another while its `async with` block lasts; the first begins at once.

    Whatever is asked for during a pass is one pass after it, however often it was asked for and however many ticks of the
    timer went by.
    """

    def __init__(self, cycle: Pass, every: timedelta, *, patience: timedelta = _PATIENCE) -> None:
        """`every` is the longest time between the beginnings of two passes; `patience` what the last one is given to end."""
        self._cycle = cycle
        self._every = every.total_seconds()
        self._patience = patience.total_seconds()
        self._woken = asyncio.Event()
        self._latest = asyncio.Event()  # set when the pass that began last has ended
        self._coming = asyncio.Event()  # set when the pass that begins next has ended
        self._due = 0.0  # on the loop's clock
        self._stopping = False
        self._pass: asyncio.Task[timedelta | None] | None = None
        self._heart: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._heart = asyncio.create_task(self._beat())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def wake(self) -> None:
        """Begin a pass now, or as soon as the running one has ended."""
        self._woken.set()

    async def ring(self) -> None:
        """Wake, and return when a pass that began after this call has ended.

        Returns at once when another call waits for that pass already: one who waits is enough, and a crowd would fill
        arq's places while a pass lasts.
        """
        if self._woken.is_set() and not self._stopping:
            return
        coming = self._coming
        self.wake()
        await coming.wait()

    async def tick(self) -> None:
        """As `ring` when a pass is as good as due; else return when the latest pass has ended: it will do."""
        if self._due - asyncio.get_running_loop().time() < self._every * (1 - _AS_GOOD_AS_DUE):
            await self.ring()
        else:
            await self._latest.wait()

    async def stop(self) -> None:
        """Begin no further pass and let the running one end; it is cancelled when its time is over."""
        self._stopping = True
        self.wake()
        heart, self._heart = self._heart, None
        if heart is None:
            return
        try:
            await asyncio.wait({heart}, timeout=self._patience)
        finally:  # also when somebody has lost even this patience, and cancels us
            if not heart.done():
                logger.warning("a pass is cut short so that the worker can stop")
                if self._pass is not None:
                    self._pass.cancel()
                await asyncio.wait({heart}, timeout=1)

    async def _beat(self) -> None:
        clock = asyncio.get_running_loop()
        while not self._stopping:
            self._due = clock.time() + self._every
            self._latest, self._coming = self._coming, asyncio.Event()
            self._woken.clear()
            more_in = await self._run_pass()
            self._latest.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(min(self._due, clock.time() + self._rest(more_in))):
                    await self._woken.wait()
        self._coming.set()

    def _rest(self, more_in: timedelta | None) -> float:
        if more_in is None:
            return self._every
        return max(more_in.total_seconds(), min(self._every / 4, _LEAST.total_seconds()))

    async def _run_pass(self) -> timedelta | None:
        """A pass is a task of its own, so that a cancellation that escapes from it does not end the timer."""
        self._pass = asyncio.create_task(self._cycle.run())
        await asyncio.wait({self._pass})
        how = "failed"
        if self._pass.cancelled():
            how = "cut"
            if not self._stopping:
                logger.error("a pass was cancelled from within")
        elif (error := self._pass.exception()) is None:
            how = "done"
        elif isinstance(error, PipelineError):
            how = "gave_up"
            logger.warning("a pass gave up", error=str(error))
        else:
            logger.error("a pass failed", exc_info=error)
        meters.PASSES.labels(how).inc()
        return self._pass.result() if how == "done" else None
