"""How much one caller may ask of this process: so often a minute, and so much at once; everybody else is not to notice.

A caller may use a minute's allowance in one burst; it comes back evenly. What is too much at once waits its turn for a
while, unread. Each process counts for itself, unless the allowance is one that they share.
"""

import asyncio
import contextlib
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from server.replies import Refused
from server.shared_allowance import SharedAllowance

_MINUTE = 60.0
_MANY = 10_000  # callers known at a time before idle ones are forgotten


@dataclass(slots=True)
class _Caller:
    """`full_at` is when the whole allowance is there again; the later, the less is left."""

    full_at: float
    running: int = 0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)


class Quota:
    """The same limits for each caller."""

    def __init__(
        self,
        per_minute: int,
        at_once: int,
        *,
        waiting: int = 100,
        patience: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
        shared: SharedAllowance | None = None,
    ) -> None:
        """`waiting` is how many may wait for a turn, `patience` for how many seconds."""
        self._shared = shared
        self._per_minute, self._at_once = per_minute, at_once
        self._waiting, self._patience, self._clock = waiting, patience, clock
        self._callers: dict[str, _Caller] = {}
        self._forget_at = _MANY

    def turn(self, who: str) -> "_Turn":
        """One request of `who`, for as long as the `async with` block runs; it raises `Refused` (429, Retry-After)."""
        return _Turn(self, who)

    def passes(self, who: str) -> bool:
        """Count a request of `who` that is over as soon as it has come; False: it is not counted, ask for a `turn`."""
        now = self._clock()
        caller = self._known(who, now)
        if (
            self._shared
            or caller.running >= self._at_once
            or (full_at := self._full_at(caller, now)) > now + _MINUTE
        ):
            return False
        caller.full_at = full_at
        return True

    async def enter(self, who: str) -> _Caller:
        """Count a request and wait for its turn; give what comes back to `leave`."""
        caller = await self._counted_by_all(who) if self._shared else self._counted(who)
        if caller.running < self._at_once:
            caller.running += 1
        else:
            await self._wait(caller)
        return caller

    @staticmethod
    def leave(caller: _Caller) -> None:
        """The next who waits takes over; its place is free when there is none."""
        while caller.waiting:
            turn = caller.waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        caller.running -= 1

    async def _counted_by_all(self, who: str) -> _Caller:
        assert self._shared is not None  # noqa: S101 - for the type checker: the caller looked
        over = await self._shared.overdrawn(who, step=_MINUTE / self._per_minute, most=_MINUTE)
        if over is None:
            return self._counted(who)
        if over > 0:
            raise self._overdrawn(over)
        return self._known(who, self._clock())

    def _counted(self, who: str) -> _Caller:
        now = self._clock()
        caller = self._known(who, now)
        full_at = self._full_at(caller, now)
        if full_at - now > _MINUTE:
            raise self._overdrawn(full_at - now - _MINUTE)
        caller.full_at = full_at
        return caller

    def _full_at(self, caller: _Caller, now: float) -> float:
        """When the whole allowance of `caller` is there again, if one more request is counted."""
        return max(caller.full_at, now) + _MINUTE / self._per_minute

    def _known(self, who: str, now: float) -> _Caller:
        caller = self._callers.get(who)
        if caller is None:
            self._forget(now)
            caller = self._callers[who] = _Caller(now)
        return caller

    def _overdrawn(self, over: float) -> Refused:
        seconds = math.ceil(over)
        sentence = f"This is more than {self._per_minute:,} a minute. Go on in {seconds} s."
        return Refused(429, "RATE_LIMITED", sentence, {"Retry-After": str(seconds)})

    async def _wait(self, caller: _Caller) -> None:
        """Until somebody who leaves hands its place on."""
        if len(caller.waiting) >= self._waiting:
            raise self._crowded()
        turn = asyncio.get_running_loop().create_future()
        caller.waiting.append(turn)
        try:
            async with asyncio.timeout(self._patience):
                await turn
        except (TimeoutError, asyncio.CancelledError) as exc:
            if turn.done() and not turn.cancelled():  # its turn came in the same instant
                self.leave(caller)
            with contextlib.suppress(ValueError):
                caller.waiting.remove(turn)
            if isinstance(exc, TimeoutError):
                raise self._crowded() from exc
            raise

    def _crowded(self) -> Refused:
        sentence = f"More than {self._at_once} at once, and many waiting. Let some end first."
        return Refused(429, "TOO_MANY_AT_ONCE", sentence, {"Retry-After": "1"})

    def _forget(self, now: float) -> None:
        """Keep only callers who are here or have used something up; looked at ever more rarely the more there are."""
        if len(self._callers) >= self._forget_at:
            self._callers = {
                who: caller for who, caller in self._callers.items() if caller.running or caller.full_at > now
            }
            self._forget_at = max(_MANY, 2 * len(self._callers))


class Room:
    """For so many bytes of requests, of all callers together, at once: what does not fit is refused, unread."""

    def __init__(self, most: int) -> None:
        self._free = most

    def held(self, size: int) -> "_Held":
        """Room for one request of `size` bytes, while the `with` block runs; it raises `Refused` (429, Retry-After)."""
        return _Held(self, size)

    def take(self, size: int) -> None:
        """Take so much; what is taken is to be given back."""
        if size > self._free:
            raise Refused(
                429, "TOO_MANY_AT_ONCE", "There is too much to do. Come again.", {"Retry-After": "1"}
            )
        self._free -= size

    def give_back(self, size: int) -> None:
        """It is free again."""
        self._free += size


class _Turn:
    """`async with`, without what a generator costs on every request."""

    __slots__ = ("_caller", "_quota", "_who")

    def __init__(self, quota: Quota, who: str) -> None:
        self._quota, self._who = quota, who

    async def __aenter__(self) -> None:
        self._caller = await self._quota.enter(self._who)

    async def __aexit__(self, *_: object) -> None:
        self._quota.leave(self._caller)


class _Held:
    """`with`, likewise."""

    __slots__ = ("_room", "_size")

    def __init__(self, room: Room, size: int) -> None:
        self._room, self._size = room, size

    def __enter__(self) -> None:
        self._room.take(self._size)

    def __exit__(self, *_: object) -> None:
        self._room.give_back(self._size)
