"""The service without its processes: real database, real HTTP to a scripted cluster, and a clock that tests wind."""

import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from jobs.buckets import DATASETS, Buckets, LocalBuckets, StorageUnavailable
from jobs.callback_url import CallbackUrls
from jobs.cluster import open_cluster
from jobs.commands import Commands
from jobs.cycle import Cycle
from jobs.database import Database, costs, jobs, metrics, notifications
from jobs.domain.dataset import Dataset
from jobs.domain.job import Job
from jobs.domain.metrics import Point
from jobs.domain.pacing import Pacing
from jobs.domain.pricing import GpuType, read_catalog
from jobs.domain.records import CostRecord, Notification
from jobs.domain.training import TrainingWish
from tests.services.scripted_cluster import KEY, ScriptedCluster, scripted_cluster

USER = "ada"
PUBLIC_URL = "http://127.0.0.1:8000"
SECRET = b"a master key for tests, 32 bytes or more"
LINE = b'{"prompt": "a", "completion": "b"}\n'


def catalog() -> tuple[GpuType, ...]:
    """The shipped GPU types."""
    return read_catalog((Path(__file__).parents[2] / "jobs" / "gpu_catalog.json").read_text())


@dataclass
class Clock:
    """The database's clock, as far as commands and cycles know: it stands still until it is wound."""

    instant: datetime = field(default_factory=lambda: datetime(2026, 3, 1, 9, 0, tzinfo=UTC))

    async def now(self) -> datetime:
        """Now."""
        return self.instant

    def advance(self, seconds: float) -> None:
        """Time goes by."""
        self.instant += timedelta(seconds=seconds)


class Folder(LocalBuckets):
    """Local buckets that nobody can look into while they are away."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, PUBLIC_URL, SECRET)
        self.is_away = False

    async def size(self, bucket: str, path: str) -> int | None:
        """As the local buckets, or as a disk that fails."""
        if self.is_away:
            raise StorageUnavailable("The storage folder cannot be used: Input/output error.")
        return await super().size(bucket, path)


@dataclass
class Rings:
    """Counts the rings."""

    count: int = 0

    async def ring(self) -> None:
        """One more."""
        self.count += 1


@dataclass
class House:
    """One database, one storage, one clock, one cluster, and as many workers as asked for."""

    database: Database
    buckets: Buckets
    clock: Clock
    rings: Rings
    cluster: ScriptedCluster
    commands: Commands
    pacing: Pacing
    worker: Callable[[], Coroutine[Any, Any, Cycle]]
    cycle: Cycle = field(init=False)

    async def dataset(self, user_id: str = USER, *, pairs: int = 400, bucket: str = DATASETS) -> Dataset:
        """A dataset that is ready, with its file in `bucket`."""
        path = f"{user_id}/{pairs}-pairs.jsonl"
        await self.buckets.put(bucket, path, LINE * pairs)
        return await self.commands.datasets.import_dataset(user_id, name="Pairs", bucket=bucket, path=path)

    async def job(self, user_id: str = USER, *, dataset: Dataset | None = None, **wish: Any) -> Job:
        """A queued job on two A100 at $2.50 per hour each, unless asked for otherwise."""
        dataset = dataset or await self.dataset(user_id)
        wish = {"preset_id": "mistral-7b-quick", "num_gpus": 2, **wish}
        return await self.commands.create_job(user_id, TrainingWish(dataset_id=dataset.id, **wish))

    async def running(self, **wish: Any) -> Job:
        """A job that the cluster has accepted."""
        job = await self.job(**wish)
        await self.turn()
        return await self.look(job)

    async def turn(self, *, seconds: float = 0, cycle: Cycle | None = None) -> None:
        """Let time go by, then do a pass and wait for all its answers."""
        self.clock.advance(seconds)
        worker = cycle or self.cycle
        await worker.run()
        await worker.settle()

    async def look(self, job: Job | UUID) -> Job:
        """The job as it stands now."""
        async with self.database.read() as tx:
            found = await jobs.find(tx, job if isinstance(job, UUID) else job.id)
        assert found is not None
        return found

    async def points(self, job: Job, last: int = 1000) -> list[Point]:
        """Its points, ascending."""
        async with self.database.read() as tx:
            return list(await metrics.newest(tx, job.id, last=last))

    async def books(self, job: Job) -> list[CostRecord]:
        """Its cost records, newest first."""
        async with self.database.read() as tx:
            return (await costs.records(tx, [job.id])).get(job.id, [])

    async def told(self, user_id: str = USER) -> list[Notification]:
        """What the user was told, oldest first."""
        async with self.database.read() as tx:
            return (await notifications.page(tx, user_id, limit=100))[::-1]

    async def sql(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        """Rows, as the service."""
        async with self.database.begin() as tx:
            result = await tx.execute(text(statement), values)
            return [tuple(row) for row in result] if result.returns_rows else []


@contextlib.asynccontextmanager
async def furnished(
    database: Database,
    storage: Path | Buckets,
    *,
    clock: Clock | None = None,
    dedupes: bool = True,
    submit_limit: int = 5,
    timeout: float = 10.0,
    full_histories: timedelta | None = None,
    **pacing: Any,
) -> AsyncIterator[House]:
    """A house round `database`, its files in `storage`, a folder or buckets; `timeout` of a call in seconds.

    `pacing` is as `Pacing` takes it.
    """
    clock, rings = clock or Clock(), Rings()
    paced = Pacing(dedupes=dedupes, **pacing)
    buckets = Folder(storage) if isinstance(storage, Path) else storage
    urls = CallbackUrls(PUBLIC_URL, SECRET)
    commands = Commands(
        database,
        buckets,
        rings,
        catalog=catalog(),
        callback_urls=urls,
        max_dataset_bytes=10_000_000,
        pacing=paced,
        now=clock.now,
    )
    deadline = timedelta(seconds=timeout)
    async with contextlib.AsyncExitStack() as stack:
        far = await stack.enter_async_context(scripted_cluster(dedupes=dedupes))
        far.clock = lambda: clock.instant

        async def worker() -> Cycle:
            cluster = await stack.enter_async_context(open_cluster(far.url, KEY, deadline, now=clock.now))
            cycle = Cycle(
                database,
                cluster,
                buckets,
                urls,
                pacing=paced,
                submit_limit=submit_limit,
                call_timeout=deadline,
                full_histories=full_histories,
                now=clock.now,
            )
            stack.push_async_callback(cycle.close)
            return cycle

        house = House(database, buckets, clock, rings, far, commands, paced, worker)
        house.cycle = await worker()
        yield house
        assert far.complaints == []


Build = Callable[..., contextlib.AbstractAsyncContextManager[House]]


@pytest.fixture
def build(database: Database, tmp_path: Path) -> Build:
    """Makes a house: `async with build(dedupes=False, submit_limit=3) as house`."""
    return partial(furnished, database, tmp_path / "storage")


@pytest.fixture
async def house(build: Build) -> AsyncIterator[House]:
    """A house with the default durations."""
    async with build() as made:
        yield made


@pytest.fixture
async def impatient(build: Build) -> AsyncIterator[House]:
    """The same, for which a call that hangs is over soon."""
    async with build(timeout=1) as made:
        yield made
