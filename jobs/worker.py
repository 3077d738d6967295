"""The worker: arq hears the rings and keeps a cron, the pacemaker runs the passes, with Redis or without it.

`run_worker` is `python -m jobs worker`; `WorkerSettings` is for plain `arq jobs.worker.WorkerSettings`, which does the same
and ends when Redis stays away.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import timedelta
from typing import Any, NoReturn, TypeVar

import structlog
import uvloop
from arq.connections import ArqRedis, RedisSettings
from arq.cron import CronJob, cron
from arq.worker import create_worker, func
from redis.asyncio.connection import SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from jobs import meters
from jobs.bell import RING, cancel, connect, from_json, to_json
from jobs.cycle import open_cycle
from jobs.domain.errors import PipelineError
from jobs.logs import configure_logging
from jobs.pacemaker import Pacemaker, Pass
from jobs.settings import Settings

_T = TypeVar("_T")
Opening = Callable[[Settings], AbstractAsyncContextManager[Pass]]

_REDIS_ANSWERS_WITHIN = 5  # seconds, then the connection counts as lost
_RECONNECT = (0.1, 2.0)  # seconds: the first wait for Redis, doubled up to the second
_LONG_ENOUGH = 10.0  # seconds of connection after which the waits begin anew

logger = structlog.get_logger(__name__)


def run_worker(settings: Settings, opening: Opening = open_cycle) -> int:
    """Work until SIGTERM or SIGINT; the exit code: 0 when asked to end, 1 when it must not start, said on standard error.

    Once asked, no further pass begins, and the running one has seconds to end; a second signal takes them away.
    """
    configure_logging(settings.log_format)
    try:
        with meters.given_out(settings):
            uvloop.run(_until_told(settings, opening))
    except PipelineError as exc:
        print(f"worker: {exc}", file=sys.stderr)
        return 1
    return 0


async def _until_told(settings: Settings, opening: Opening) -> None:
    this, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert this is not None  # noqa: S101 - a coroutine runs in a task
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, this.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        async with opening(settings) as cycle, Pacemaker(cycle, settings.pacing.cycle) as pacemaker:
            logger.info("the worker has started", every=settings.pacing.cycle.total_seconds())
            listening = asyncio.create_task(_listen(settings, pacemaker))
            try:
                await asyncio.wait({listening})
            finally:
                await asyncio.gather(pacemaker.stop(), cancel(listening))
    logger.info("the worker has ended")


async def _listen(settings: Settings, pacemaker: Pacemaker) -> NoReturn:
    """Hear rings for ever: arq's worker ends whenever it loses Redis, and is started again."""
    clock, away, first, cap = asyncio.get_running_loop(), False, *_RECONNECT
    wait = first

    async def connected(_: dict[Any, Any]) -> None:
        nonlocal away
        if away:
            away = False
            logger.info("redis is back: rings are heard again")

    while True:
        begun = clock.time()
        try:
            await _listen_until_lost(settings, pacemaker, connected)
        except (RedisError, OSError) as exc:
            if not away:
                away = True
                logger.warning("redis is away: no rings, passes begin by the timer", error=str(exc))
        except Exception:
            logger.exception("arq's worker ended and is started again")
        wait = first if clock.time() - begun > _LONG_ENOUGH else min(cap, wait * 2)
        await asyncio.sleep(wait)


async def _listen_until_lost(
    settings: Settings, pacemaker: Pacemaker, connected: Callable[[dict[Any, Any]], Any]
) -> None:
    redis = connect(settings.redis_url, timeout=_REDIS_ANSWERS_WITHIN)
    worker = create_worker(
        dict(vars(WorkerSettings)),
        redis_pool=redis,
        ctx={"pacemaker": pacemaker},
        cron_jobs=ticks(
            settings.pacing.cycle
        ),  # new ones: arq would make up for every tick that an old one missed
        on_startup=connected,
        on_shutdown=None,
        handle_signals=False,
    )
    try:
        await worker.main()
    finally:
        await asyncio.wait({asyncio.create_task(_let_go(worker.tasks, redis))}, timeout=0.8)


async def _let_go(tasks: dict[str, asyncio.Task[Any]], redis: ArqRedis) -> None:
    """Cancel what waits for a pass: arq puts it back into the queue, for another worker or for later."""
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)
    await redis.aclose(close_connection_pool=True)


async def run_cycle(ctx: dict[Any, Any]) -> None:
    """A ring: a pass that begins now, or right after the running one. Done when it has ended."""
    await ctx["pacemaker"].ring()


async def tick(ctx: dict[Any, Any]) -> None:
    """arq's cron: a pass, unless the pacemaker's own timer was there first."""
    await ctx["pacemaker"].tick()


def ticks(every: timedelta) -> list[CronJob]:
    """A cron that comes every `every` where that divides a minute or an hour, and a little more often where not.

    Tick and timer make one pass, and the timer alone keeps odd periods: `Pacemaker.tick`. Not every second: arq queues a
    tick a second ahead, and `arq --burst` would never find its queue empty.
    """
    seconds = max(2, int(every.total_seconds()))
    unit, field = (1, "second") if seconds < 60 else (60, "minute")
    step = max(n for n in range(1, 61) if 60 % n == 0 and n <= seconds // unit)
    at: dict[str, Any] = {"second": 0} | {field: set(range(0, 60, step))}
    return [cron(tick, name="tick", run_at_startup=True, **at)]


async def _start(ctx: dict[Any, Any]) -> None:
    """Open what a pass needs, when plain arq starts us. Raises SystemExit with a sentence when that must not be."""
    ctx["life"] = life = AsyncExitStack()
    try:
        settings = Settings.from_env(os.environ)
        configure_logging(settings.log_format)
        life.enter_context(meters.given_out(settings))
        cycle = await life.enter_async_context(open_cycle(settings))
    except PipelineError as exc:
        raise SystemExit(f"worker: {exc}") from exc
    ctx["pacemaker"] = await life.enter_async_context(Pacemaker(cycle, settings.pacing.cycle))


async def _end(ctx: dict[Any, Any]) -> None:
    if "life" in ctx:
        await ctx["life"].aclose()


def _redis_settings(redis_url: str) -> RedisSettings:
    """How plain arq finds Redis, and outlives a restart of it. Raises ValueError for a URL that is none of Redis."""
    parts = parse_url(redis_url)
    return RedisSettings(
        host=parts.get("host", "localhost"),
        port=parts.get("port", 6379),
        unix_socket_path=parts.get("path"),
        database=parts.get("db", 0),
        username=parts.get("username"),
        password=parts.get("password"),
        ssl=parts.get("connection_class") is SSLConnection,
        conn_retries=30,
        retry_on_timeout=True,
        retry_on_error=[RedisConnectionError, RedisTimeoutError, ConnectionRefusedError],
        retry=Retry(ExponentialBackoff(cap=2, base=0.1), retries=20),
    )


def _cycle(seconds: str) -> timedelta:
    """`CYCLE_SECONDS`. Raises ValueError or OverflowError."""
    return timedelta(seconds=float(seconds))


def _early(variable: str, default: str, read: Callable[[str], _T]) -> _T:
    """A variable that arq needs before `_start` reads the settings; a wrong one is its default until `_start` names it."""
    try:
        return read(os.environ.get(variable) or default)
    except (ValueError, OverflowError):
        return read(default)


class WorkerSettings:
    """What arq reads, from this very class."""

    functions = (func(run_cycle, name=RING),)
    cron_jobs = ticks(_early("CYCLE_SECONDS", "30", _cycle))
    redis_settings = _early("REDIS_URL", "redis://127.0.0.1:6379/0", _redis_settings)
    on_startup = _start
    on_shutdown = _end
    job_serializer = to_json
    job_deserializer = from_json
    poll_delay = 0.2  # seconds, so that a ring is answered well within one
    keep_result = 0
    job_timeout = 600  # of one who waits for a pass, not of the pass
    health_check_interval = 30
