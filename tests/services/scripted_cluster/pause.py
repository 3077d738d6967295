"""A while during which a cluster takes requests and answers none: late answers, and requests that arrive late."""

import asyncio
from collections.abc import Callable

Outcome = tuple[int, bytes]  #: status and body


class Pause:
    """Requests of this while wait for its `end`; what they ask is done at once (`act`), or only then.

    Then it is done also for those who asked and are gone: their requests were under way.
    """

    def __init__(self, *, act: bool) -> None:
        self._act = act
        self._came = asyncio.Semaphore(0)
        self._waiting: list[tuple[Callable[[], Outcome], asyncio.Future[Outcome]]] = []
        self._is_over = False

    async def asked(self, times: int) -> None:
        """Return when so many requests have come."""
        for _ in range(times):
            await self._came.acquire()

    async def outcome(self, done: Callable[[], Outcome]) -> Outcome:
        """What `done` gives, when the while is over."""
        if self._is_over:
            return done()
        self._came.release()
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        outcome = done() if self._act else None
        self._waiting.append((done if outcome is None else lambda: outcome, answer))
        return await answer

    def end(self) -> None:
        """Everything that waited is done and answered, in the order in which it came."""
        self._is_over = True
        for done, answer in self._waiting:
            outcome = done()
            if not answer.done():
                answer.set_result(outcome)
        self._waiting.clear()
