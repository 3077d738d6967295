"""What every row is given: where to keep things, how long to measure, Postgres, and ways to start what is measured."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from tests.bench.data import as_role, new_database, on_sqlite
from tests.bench.machine import AROUND, MEASURED, child_named, on
from tests.services.api import Api, api
from tests.services.postgres import PostgresServer, postgres
from tests.services.process import accepts_tcp, end, free_port, launch
from tests.services.valkey import valkey

ROOT = Path(__file__).parents[2]


@dataclass
class Bench:
    """One run of the bench; `say` tells the person at the terminal."""

    quick: bool
    cache: Path  #: parts that are set up once
    work: Path  #: of this run alone
    say: Callable[[str], None]
    stack: ExitStack = field(default_factory=ExitStack)

    @property
    def rounds(self) -> int:
        """Of everything that alternates."""
        return 3 if self.quick else 5

    @property
    def seconds(self) -> float:
        """Of one stretch of load."""
        return 2 if self.quick else 4

    @cached_property
    def postgres(self) -> PostgresServer:
        """One server for all rows, as safe as it is shipped: what is committed is on the disk."""
        with on(AROUND):
            server = self.stack.enter_context(postgres(durable=True))
            server.sql("ALTER SYSTEM SET shared_buffers = '1GB'")
            server.sql("ALTER SYSTEM SET max_wal_size = '8GB'")
            server.stop()
            server.start()
        return server

    @property
    def postgres_pid(self) -> int:
        """Its first process; the others are below it."""
        _ = self.postgres
        return child_named("postgres")

    @contextmanager
    def process(
        self,
        command: Sequence[str | Path],
        port: int,
        *,
        cores: set[int],
        environment: Mapping[str, str] | None = None,
        seconds: float = 60,
    ) -> Iterator[subprocess.Popen[bytes]]:
        """A process on `cores` for as long as the block runs, from when it answers on `port`."""
        log = self.work / f"log-{port}"
        with on(cores):
            process = launch(
                command,
                log,
                lambda: accepts_tcp(port),
                cwd=ROOT,
                env={**os.environ, **(environment or {})},
                seconds=seconds,
            )
        try:
            yield process
        finally:
            end(process, signal.SIGTERM, seconds=5)

    @property
    def many_jobs(self) -> int:
        """How many jobs of 100 points the rows about reading have: more than a stretch of load asks about."""
        return 8_000 if self.quick else 15_000

    @cached_property
    def jobs_to_read(self) -> str:
        """A database with `many_jobs` running jobs of 100 points each."""
        self.say(f"making {self.many_jobs:,} jobs of 100 points")
        return new_database(self.postgres, jobs=self.many_jobs, points=100)

    @cached_property
    def jobs_on_sqlite(self) -> str:
        """The same on SQLite."""
        url = new_database(self.postgres, jobs=self.many_jobs)
        copied = on_sqlite(url, self.work, points=100)
        self.postgres.drop_database(url)
        return copied

    @cached_property
    def redis_url(self) -> str:
        """One Valkey for all rows."""
        with on(AROUND):
            return self.stack.enter_context(valkey()).url

    @contextmanager
    def api(self, database: str) -> Iterator[Api]:
        """The API as an installation runs it, on the measured core, under its own role; but for how often one may ask."""
        environment = {
            "DATABASE_URL": as_role(database, "api_login"),
            "REDIS_URL": self.redis_url,
            "RATE_LIMIT_PER_MINUTE": str(10**9),
            "CALLBACKS_PER_MINUTE": str(10**9),
            "CONCURRENT_REQUESTS_PER_USER": "10000",
        }
        with ExitStack() as stack:
            with on(MEASURED):
                running = stack.enter_context(api(None, **environment))
            yield running

    @contextmanager
    def web_app(self, factory: str, **environment: str) -> Iterator[tuple[str, int]]:
        """An ASGI application under uvicorn as the API runs; its URL and process id."""
        port = free_port()
        options = ["--port", str(port), "--loop", "uvloop", "--http", "httptools", "--no-access-log"]
        command = [sys.executable, "-m", "uvicorn", "--factory", factory, *options, "--log-level", "warning"]
        with self.process(command, port, cores=MEASURED, environment=environment) as process:
            yield f"http://127.0.0.1:{port}", process.pid

    @contextmanager
    def cluster(self, seconds: float = 0) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
        """A stub cluster that answers after so many seconds."""
        port = free_port()
        command = [sys.executable, "-m", "tests.bench.stub", str(port), str(seconds)]
        with self.process(command, port, cores=AROUND) as process:
            yield f"http://127.0.0.1:{port}", process
