"""The database's clock for those who ask it often: asked again now and then, in between our own says what has passed."""

import time
from datetime import datetime, timedelta

from jobs.database.engine import Now

_GOOD_FOR = 10.0  #: seconds
_PASSING = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  #: it goes on while a laptop sleeps


class SteadyClock:
    """A clock as `Now`. It raises what `source` raises."""

    def __init__(self, source: Now) -> None:
        self._source = source
        self._asked_at = 0.0
        self._told: datetime | None = None

    async def __call__(self) -> datetime:
        """Now."""
        passed = time.clock_gettime(_PASSING) - self._asked_at
        if self._told is None or passed >= _GOOD_FOR:
            asked_at = time.clock_gettime(_PASSING)
            self._told, self._asked_at = await self._source(), asked_at
            return self._told
        return self._told + timedelta(seconds=passed)
