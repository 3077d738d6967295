"""Workers and APIs that can be killed, and everything round them: a database, a storage, a bell, a user, and eyes."""

import asyncio
import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from sqlalchemy import text

from jobs.bell import Bell
from jobs.buckets import DATASETS, LocalBuckets
from jobs.callback_url import CallbackUrls
from jobs.commands import Commands
from jobs.database import Database, DatabaseUnavailable
from jobs.domain.dataset import Dataset
from jobs.domain.pacing import Pacing
from jobs.domain.training import TrainingWish
from jobs.embedded import ends_with_parent
from tests.cycle.conftest import LINE, PUBLIC_URL, SECRET, USER, catalog
from tests.invariants import (
    ORDER,
    ClusterJob,
    Row,
    Snapshot,
    flaws,
    flaws_at_rest,
    flaws_between,
    flaws_of_journal,
    snapshot,
)
from tests.services.process import accepts_tcp, free_port
from tests.services.scripted_cluster import KEY, RemoteCluster
from tests.services.scripted_cluster.remote import View
from tests.worker.passes import until

CYCLE, CLAIM, CALL = 0.2, 1.0, 0.5  # seconds
_ROOT = Path(__file__).parents[2]
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Worker:
    """A process that works, or an API."""

    pid: int
    log: Path
    url: str = ""  #: of an API

    @property
    def lives(self) -> bool:
        """Whether it has not ended."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def send(self, signum: signal.Signals) -> None:
        """A signal; one that is dead already does not mind."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signum)


class Nursery:
    """Makes workers and APIs quickly: `tests.kills.nursery` in a process of its own."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.kills.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=_ROOT,
            preexec_fn=ends_with_parent(),  # noqa: PLW1509 - it takes no lock
        )

    def fork(self, program: str, environ: dict[str, str], log: Path, dies_at: int | None) -> int:
        """The id of a new `worker` or `server`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {"program": program, "environ": environ, "log": str(log), "dies_at": dies_at}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """End it; the kernel ends its children."""
        self._process.communicate()


class Site:
    """One database with its workers. What is asserted of jobs holds at every moment at which `watch` looks."""

    def __init__(
        self,
        url: str,
        folder: Path,
        redis_url: str,
        cluster: RemoteCluster,
        nursery: Nursery,
        *,
        api_url: str | None = None,
    ) -> None:
        """`api_url` is the database for the API's login, where that has one of its own."""
        self._api_url = api_url or url
        self.url, self.folder, self.cluster = url, folder, cluster
        self.database = Database.open(url)
        self.buckets = LocalBuckets(folder / "storage", PUBLIC_URL, SECRET)
        self.bell = Bell(redis_url)
        self.commands = Commands(
            self.database,
            self.buckets,
            self.bell,
            catalog=catalog(),
            callback_urls=CallbackUrls(PUBLIC_URL, SECRET),
            max_dataset_bytes=10_000_000,
            pacing=Pacing(cycle=timedelta(seconds=CYCLE)),
        )
        self.environ = {
            **{name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ},
            "DATABASE_URL": url,
            "REDIS_URL": redis_url,
            "DATA_DIR": str(folder),
            "SECRET_KEY": SECRET.decode(),
            "JWT_SECRET": "j" * 32,
            "GPU_CLUSTER_API_URL": cluster.url,
            "GPU_CLUSTER_API_KEY": KEY,
            "PUBLIC_URL": PUBLIC_URL,
            "CYCLE_SECONDS": str(CYCLE),
            "CLAIM_SECONDS": str(CLAIM),
            "CLUSTER_TIMEOUT_SECONDS": str(CALL),
            "LOG_FORMAT": "json",
        }
        self.workers: list[Worker] = []
        self.apis: list[Worker] = []
        self.made: list[UUID] = []  #: jobs, in order
        self._nursery = nursery
        self._dataset: Dataset | None = None
        self._seen: Snapshot | None = None
        self._found: list[str] = []

    @property
    def is_shared(self) -> bool:
        """Whether two workers may work at the same time."""
        return self.database.dialect == "postgresql"

    async def dataset(self) -> Dataset:
        """The user's one."""
        if self._dataset is None:
            path = f"{USER}/pairs.jsonl"
            await self.buckets.put(DATASETS, path, LINE * 400)
            self._dataset = await self.commands.datasets.import_dataset(
                USER, name="Pairs", bucket=DATASETS, path=path
            )
        return self._dataset

    async def job(self) -> UUID:
        """A new one, queued."""
        wish = TrainingWish(dataset_id=(await self.dataset()).id, preset_id="laptop")
        self.made.append((await self.commands.create_job(USER, wish)).id)
        return self.made[-1]

    async def running(self) -> UUID:
        """A new one that a worker has brought to run."""
        job_id = await self.job()
        await self.until_job(job_id, status="running")
        return job_id

    def worker(self, *, dies_at: int | None = None) -> Worker:
        """A new one, of the nursery."""
        log = self._log()
        self.workers.append(Worker(self._nursery.fork("worker", self.environ, log, dies_at), log))
        return self.workers[-1]

    async def api(self, *, dies_at: int | None = None) -> Worker:
        """A new one, of the nursery, that answers."""
        log, port = self._log("api"), free_port()
        environ = {**self.environ, "DATABASE_URL": self._api_url, "PORT": str(port)}
        pid = self._nursery.fork("server", environ, log, dies_at)
        self.apis.append(Worker(pid, log, f"http://127.0.0.1:{port}"))
        await until(lambda: accepts_tcp(port))
        return self.apis[-1]

    def command(self) -> subprocess.Popen[bytes]:
        """A new one by `python -m jobs worker`, for those who want its exit code."""
        with self._log().open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "jobs", "worker"],
                env=self.environ,
                cwd=_ROOT,
                stdout=log,
                stderr=log,
                preexec_fn=ends_with_parent(),  # noqa: PLW1509 - it takes no lock
            )
        self.workers.append(Worker(process.pid, Path(log.name)))
        return process

    async def death(self, worker: Worker) -> float:
        """Wait until it is dead; when, on the monotonic clock."""
        await until(lambda: not worker.lives)
        return time.monotonic()

    async def is_settled(self) -> None:
        """Wait until Postgres has done, or undone, what the dead had asked of it."""
        busy = text("SELECT count(*) FROM pg_stat_activity WHERE usename = 'api_login' AND state <> 'idle'")
        while self.is_shared:
            async with self.database.read() as tx:
                if await tx.scalar(busy) == 0:
                    break
            await asyncio.sleep(0.01)

    async def until(self, condition: Callable[[Snapshot], bool], *, seconds: float = 60) -> Snapshot:
        """Look until `condition` holds of what is seen. Raises `TimeoutError`."""
        async with asyncio.timeout(seconds):
            while True:
                if (now := await self.look()) is not None and condition(now):
                    return now
                await asyncio.sleep(0.05)

    async def until_job(self, job_id: UUID, **columns: object) -> Row:
        """The job's row, once its `columns` have these values. Raises `TimeoutError`."""
        now = await self.until(lambda now: columns.items() <= now.jobs[job_id].items())
        return now.jobs[job_id]

    async def row(self, job_id: UUID) -> Row:
        """The job as it stands."""
        return (await self.until(lambda now: job_id in now.jobs)).jobs[job_id]

    async def look(self) -> Snapshot | None:
        """What there is now, and what is wrong with it goes on record; None while the database is away."""
        try:
            now = await snapshot(self.database)
        except DatabaseUnavailable:
            return None
        self._found += flaws(now)
        if self._seen is not None:
            self._found += flaws_between(self._seen, now)
        self._seen = now
        return now

    async def seen(self) -> Snapshot:
        """What there is now, however long the database stays away. Raises `TimeoutError` when that is too long."""
        return await self.until(lambda _: True)

    @staticmethod
    def is_over(now: Snapshot) -> bool:
        """Whether every job has ended and holds nothing."""
        return all(ORDER[job["status"]] == 3 and job["release"] != "needed" for job in now.jobs.values())

    async def end_well(self) -> Snapshot:
        """With all faults over, see every job come to its end, and nothing wrong anywhere."""
        if not any(worker.lives for worker in self.workers):
            self.worker()
        now = await self.look()
        for job_id in now.jobs if now else ():
            await self.cluster.job(job_id).then("completed")
        try:
            ended = await self.until(self.is_over)
        except TimeoutError:
            raise AssertionError(f"{self._left(await self.cluster.look())}\n{self.words()}") from None
        view = await self.cluster.look()
        self._found += self._left(view)
        ours = {str(job_id) for job_id in ended.jobs}
        self._found += flaws_of_journal(
            [call for call in view.journal if call.job_id in ours], _part(view, ours)
        )
        self._found += [
            complaint for complaint in view.complaints if any(job_id in complaint for job_id in ours)
        ]
        assert not self._found, "\n".join(self._found)
        return ended

    def words(self) -> str:
        """What the last workers and APIs said."""
        last = [*self.workers[-4:], *self.apis[-2:]]
        return "\n".join(f"{one.log.name}:\n{one.log.read_text()[-4000:]}" for one in last)

    async def close(self) -> None:
        """End everything."""
        for process in (*self.workers, *self.apis):
            process.send(signal.SIGKILL)
        await self.bell.close()
        await self.database.close()

    def _left(self, view: View) -> list[str]:
        now = self._seen
        return [] if now is None else [*flaws_at_rest(now, _part(view, {str(job_id) for job_id in now.jobs}))]

    def _log(self, program: str = "worker") -> Path:
        return self.folder / f"{program}-{next(_numbers)}.log"


@contextlib.asynccontextmanager
async def opened(
    url: str,
    folder: Path,
    redis_url: str,
    cluster: RemoteCluster,
    nursery: Nursery,
    *,
    api_url: str | None = None,
) -> AsyncIterator[Site]:
    """A site for as long as the block lasts; the cluster has no faults then."""
    site = Site(url, folder, redis_url, cluster, nursery, api_url=api_url)
    try:
        await cluster.always()
        yield site
    finally:
        await site.close()


def _part(view: View, job_ids: set[str]) -> Mapping[str, ClusterJob]:
    return {job_id: job for job_id, job in view.jobs.items() if job_id in job_ids}
