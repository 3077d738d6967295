"""The worker's own pass over many running jobs, in a process of its own, beside what it is compared with.

`python -m tests.bench.passes '{"database": …}'` prints what every round took as one line of JSON.
"""

import asyncio
import resource
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import uvloop
from sqlalchemy import event, text

from jobs.buckets import LocalBuckets
from jobs.callback_url import CallbackUrls
from jobs.cluster import Cluster, open_cluster
from jobs.cycle import Cycle
from jobs.database import Database
from jobs.domain.pacing import Pacing
from jobs.domain.sighting import Report
from tests.bench.data import job_id
from tests.bench.machine import cpu_seconds
from tests.bench.natural_loop import one_after_another
from tests.bench.natural_models import sessions

IN_FLIGHT = 64
_LOOPED = 300  #: jobs that the one-after-another loop takes: its rate does not depend on them
_CALL_TIMEOUT = timedelta(seconds=10)
_PACING = Pacing(cycle=timedelta(days=1))  #: so that a job is due when the bench says so, and not before
_NOBODY = "http://127.0.0.1:1"


class Order(msgspec.Struct, frozen=True):
    """What to measure. `kinds` are of `whole`, `polls`, `loop`; `owner` is the database's URL for its superuser."""

    database: str
    owner: str
    cluster: str
    jobs: int
    rounds: int
    kinds: tuple[str, ...]
    postgres_pid: int
    workers: int = 1


class Took(msgspec.Struct, frozen=True):
    """One round: jobs, wall time, processor time of this process and of Postgres in seconds, SQL statements."""

    jobs: int
    seconds: float
    own_cpu: float
    database_cpu: float
    statements: int

    @property
    def rate(self) -> float:
        """Jobs a second."""
        return self.jobs / self.seconds

    @property
    def cpu_per_job(self) -> float:
        """Microseconds, of this process and Postgres together."""
        return (self.own_cpu + self.database_cpu) / self.jobs * 1e6


class Passes(msgspec.Struct, frozen=True):
    """All rounds by kind, and the most memory that the process had, in MiB."""

    took: dict[str, list[Took]]
    memory: float


@asynccontextmanager
async def _cycle(order: Order, database: Database, cluster: Cluster) -> AsyncIterator[Cycle]:
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


async def _measured(order: Order) -> Passes:
    database = Database.open(order.database)
    statements = _Statements(database)
    owner, make_session = Database.open(order.owner), sessions(order.owner)
    took: dict[str, list[Took]] = {kind: [] for kind in order.kinds}
    async with (
        httpx.AsyncClient(timeout=10) as client,
        open_cluster(order.cluster, "key", _CALL_TIMEOUT) as cluster,
        _cycle(order, database, cluster) as cycle,
    ):

        async def whole() -> int:
            await cycle.run()
            await cycle.settle()
            return order.jobs

        acts: dict[str, Callable[[], Awaitable[int]]] = {
            "whole": whole,
            "polls": lambda: _ask_all(cluster, order.jobs),
            "loop": lambda: one_after_another(make_session, client, order.cluster, _LOOPED),
        }
        await _ask_all(cluster, 200)  # connections, caches
        for number in range(order.rounds):
            for kind in order.kinds if number % 2 == 0 else order.kinds[::-1]:
                await _make_due(owner)
                took[kind].append(await _timed(acts[kind], statements, order.postgres_pid))
                if kind == "whole":
                    await _check(database)
    await database.close()
    await owner.close()
    return Passes(took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


async def _timed(act: Callable[[], Awaitable[int]], statements: "_Statements", postgres_pid: int) -> Took:
    before = statements.count, cpu_seconds(postgres_pid), time.process_time(), time.perf_counter()
    jobs = await act()
    seconds, own = time.perf_counter() - before[3], time.process_time() - before[2]
    database = cpu_seconds(postgres_pid) - before[1]
    return Took(jobs, seconds, own, database, statements.count - before[0])


async def _make_due(owner: Database) -> None:
    async with owner.begin() as tx:
        await tx.execute(text("UPDATE training_jobs SET next_action_at = now(), claim_token = NULL"))
    async with owner.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        await connection.execute(text("VACUUM ANALYZE training_jobs"))


async def _check(database: Database) -> None:
    """A pass that left something undone is no pass."""
    async with database.read() as tx:
        left = await tx.scalar(text("SELECT count(*) FROM training_jobs WHERE next_action_at <= now()"))
    assert left == 0, f"{left} jobs were left"


class _Statements:
    """Counts what is sent to the database."""

    def __init__(self, database: Database) -> None:
        self.count = 0
        event.listen(database.engine.sync_engine, "before_cursor_execute", self._one_more)

    def _one_more(self, *_: Any) -> None:
        self.count += 1


if __name__ == "__main__":
    found = uvloop.run(_measured(msgspec.json.decode(sys.argv[1], type=Order)))
    sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
