"""The bell: tells a worker over Redis that there is something to do now; a ring that is lost costs latency only.

A ring is an arq job `run_cycle`, written as JSON: pickle would let whoever can write to Redis run code in the worker.
"""

import asyncio
import json
from datetime import timedelta
from typing import Any

import structlog
from arq.connections import ArqRedis
from arq.constants import default_queue_name
from redis.asyncio import ConnectionPool
from redis.exceptions import RedisError

RING = "run_cycle"  #: the name of the arq function that a ring calls

_REST = 0.1  # seconds between two rings of one process: what comes meanwhile is one ring
_TRIES = 2
_CLOCKS_APART = timedelta(hours=12)  # a worker whose clock is behind ours would hear a ring of now only then
_MOST_UNHEARD = 100  # so many rings lie in Redis while no worker runs; the next would tell it nothing new

logger = structlog.get_logger(__name__)


class Bell:
    """Rings for the worker from within a request: never raises, never waits for Redis."""

    def __init__(self, redis_url: str) -> None:
        """Nothing is contacted yet. `redis_url` is `redis://…`, `rediss://…` or `unix://…`; raises ValueError for others."""
        self._redis = connect(redis_url, timeout=1)
        self._pending = False
        self._away = False
        self._closed = False
        self._sender: asyncio.Task[None] | None = None

    async def ring(self) -> None:
        """Make a worker act within a second; a ring not yet sent covers those that follow."""
        if self._closed:
            return
        self._pending = True
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send())

    async def close(self) -> None:
        """Give a ring that is on its way a second, then let go of Redis."""
        self._closed = True
        if self._sender is not None:
            _, late = await asyncio.wait({self._sender}, timeout=1)
            if late:
                await cancel(self._sender)
        await self._redis.aclose(close_connection_pool=True)

    async def _send(self) -> None:
        while self._pending:
            self._pending = False
            await self._send_one()
            if not self._closed:
                await asyncio.sleep(_REST)

    async def _send_one(self) -> None:
        for tries_left in reversed(range(_TRIES)):
            try:
                # Every ring has an id of its own: one that arq drops as a duplicate is lost while its twin runs.
                if await self._redis.zcard(default_queue_name) < _MOST_UNHEARD:
                    await self._redis.enqueue_job(RING, _defer_by=-_CLOCKS_APART)
            except (RedisError, OSError) as exc:
                if tries_left:
                    await asyncio.sleep(_REST)
                elif not self._away:
                    self._away = True
                    logger.warning(
                        "redis is away: the worker hears no rings and goes by its timer", error=str(exc)
                    )
            else:
                if self._away:
                    self._away = False
                    logger.info("redis is back: the worker hears rings again")
                return


def connect(redis_url: str, *, timeout: float) -> ArqRedis:
    """arq's client, which contacts nothing until used; each answer has `timeout` seconds.

    Raises ValueError for a URL that is none of Redis.
    """
    pool = ConnectionPool.from_url(redis_url, socket_connect_timeout=min(timeout, 1), socket_timeout=timeout)
    return ArqRedis(pool, job_serializer=to_json, job_deserializer=from_json)


async def cancel(task: "asyncio.Task[Any]") -> None:
    """Cancel a task that talks to Redis, and wait for its end for two seconds at most.

    Once is not enough: redis-py swallows a cancellation that comes while it connects.
    """
    for _ in range(2):
        task.cancel()
        await asyncio.wait({task}, timeout=1)


def to_json(job: dict[str, Any]) -> bytes:
    """arq's job or result as JSON; what JSON has no word for becomes its text."""
    return json.dumps(job, default=repr).encode()


def from_json(text: bytes) -> dict[str, Any]:
    """What `to_json` wrote. Raises ValueError for anything that is not a JSON object."""
    job = json.loads(text)
    if not isinstance(job, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - wrong text, not a wrong argument
    return job
