"""A worker at the bench, a process of its own: `python -m tests.bench.passes '{"database": …}'`.

It says that it is ready, all connections made. Then each line on its input names an act, and is answered by what that took.
"""

import asyncio
import resource
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import msgspec
import uvloop

from jobs import meters
from jobs.buckets import LocalBuckets
from jobs.callback_url import CallbackUrls
from jobs.cluster import Cluster, open_cluster
from jobs.cycle import Cycle
from jobs.database import Database
from jobs.domain.pacing import Pacing
from jobs.domain.sighting import Report
from jobs.garbage import collect_less
from tests.bench.data import job_id
from tests.bench.natural_loop import one_after_another
from tests.bench.natural_models import sessions
from tests.statements import statements

IN_FLIGHT = 64
_LOOPED = 300  #: jobs that the one-after-another loop takes: its rate does not depend on them
_CALL_TIMEOUT = timedelta(seconds=10)
_PACING = Pacing(cycle=timedelta(days=1))  #: so that a job is due when the bench says so, and not before
_NOBODY = "http://127.0.0.1:1"


class Order(msgspec.Struct, frozen=True):
    """What to work on; `owner` is the database's URL for its superuser."""

    database: str
    owner: str
    cluster: str
    jobs: int


class Did(msgspec.Struct, frozen=True):
    """An act: jobs asked about, processor seconds, SQL statements, and the most memory so far in MiB."""

    jobs: int
    cpu: float
    statements: int
    memory: float


@asynccontextmanager
async def _cycle(database: Database, cluster: Cluster) -> AsyncIterator[Cycle]:
    with tempfile.TemporaryDirectory() as folder:
        key = b"a master key of the bench, 32 bytes or more"
        cycle = Cycle(
            database,
            cluster,
            LocalBuckets(Path(folder), _NOBODY, key),
            CallbackUrls(_NOBODY, key),
            pacing=_PACING,
            submit_limit=5,
            call_timeout=_CALL_TIMEOUT,
        )
        yield cycle
        await cycle.close()


async def _ask_all(cluster: Cluster, jobs: int) -> int:
    """The same questions as a pass asks, and nothing else."""
    numbers = iter(range(1, jobs + 1))

    async def asks() -> None:
        for number in numbers:
            answer = await cluster.status(f"run-{number}", job_id=job_id(number))
            assert isinstance(answer, Report), answer

    await asyncio.gather(*(asks() for _ in range(IN_FLIGHT)))
    return jobs


async def _pass(cycle: Cycle) -> int:
    before = _answered_polls()
    await cycle.run()
    await cycle.settle()
    return _answered_polls() - before


def _answered_polls() -> int:
    labels = {"verb": "status", "outcome": "2xx"}
    return int(meters.REGISTRY.get_sample_value("lora_pipeline_cluster_call_seconds_count", labels) or 0)


async def _work(order: Order) -> None:
    database = Database.open(order.database)
    async with (
        AsyncExitStack() as stack,
        httpx.AsyncClient(timeout=10) as client,
        open_cluster(order.cluster, "key", _CALL_TIMEOUT) as cluster,
        _cycle(database, cluster) as cycle,
    ):
        asked = stack.enter_context(statements(database))
        acts: dict[str, Callable[[], Awaitable[int]]] = {
            "whole": lambda: _pass(cycle),
            "polls": lambda: _ask_all(cluster, order.jobs),
            "loop": lambda: one_after_another(sessions(order.owner), client, order.cluster, _LOOPED),
        }
        await _ask_all(cluster, 200)  # connections, caches
        collect_less()  # as a worker does
        await database.now()
        _say(b'"ready"')
        while line := await asyncio.to_thread(sys.stdin.readline):
            before = time.process_time(), len(asked)
            jobs = await acts[line.strip()]()
            cpu, sent = time.process_time() - before[0], len(asked) - before[1]
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            _say(msgspec.json.encode(Did(jobs, cpu, sent, memory)))
    await database.close()


def _say(line: bytes) -> None:
    sys.stdout.write(line.decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(_work(msgspec.json.decode(sys.argv[1], type=Order)))
