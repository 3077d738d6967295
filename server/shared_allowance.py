"""A minute's allowance that all API processes draw on together, kept in Redis.

Redis is no reason to refuse anybody: while it is away each process counts for itself.
"""

from collections.abc import Awaitable
from typing import cast

import structlog
from redis.exceptions import RedisError

from jobs.bell import connect

_PREFIX = "lora-pipeline:allowance:"
_SECONDS = 0.25  # for Redis' answer; a request waits for it
#: The generic cell rate algorithm in Redis' own time: what is kept is when the whole allowance is there again.
_COUNT = """
local t = redis.call('TIME')
local now = t[1] + t[2] / 1000000
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now) + tonumber(ARGV[1])
local over = full - now - tonumber(ARGV[2])
if over > 0 then return tostring(over) end
redis.call('SET', KEYS[1], string.format('%.6f', full), 'PX', math.ceil((full - now) * 1000))
return '0'
"""

logger = structlog.get_logger(__name__)


class SharedAllowance:
    """Counts requests for every process that has the same `redis_url`."""

    def __init__(self, redis_url: str) -> None:
        self._redis = connect(redis_url, timeout=_SECONDS)
        self._is_away = False

    async def overdrawn(self, who: str, *, step: float, most: float) -> float | None:
        """Count one request that costs `step` seconds of allowance: by how many seconds it goes beyond `most`, 0 if it fits.

        None: Redis is away; count here.
        """
        try:
            answer = self._redis.eval(_COUNT, 1, _PREFIX + who, str(step), str(most))
            over = float(await cast("Awaitable[str]", answer))
        except (RedisError, OSError) as exc:
            if not self._is_away:
                logger.warning("Redis is away; each process counts its requests for itself", error=str(exc))
            self._is_away = True
            return None
        self._is_away = False
        return over

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose(close_connection_pool=True)
