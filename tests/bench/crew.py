"""Workers that share the jobs of a database: connected before the clock starts, begun together."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import msgspec

from tests.bench.data import as_role, left_due, make_due
from tests.bench.house import ROOT, Bench
from tests.bench.machine import CORES, MEASURED, cpu_seconds, on
from tests.bench.passes import Did, Order


@dataclass(frozen=True, slots=True)
class Took:
    """One round: jobs, wall time, processor time of the workers and of Postgres in seconds, SQL statements."""

    jobs: int
    seconds: float
    own_cpu: float
    database_cpu: float
    statements: int
    memory: float  #: the most that a worker has had so far, in MiB

    @property
    def rate(self) -> float:
        """Jobs a second."""
        return self.jobs / self.seconds

    @property
    def cpu_per_job(self) -> float:
        """Microseconds, of the workers and Postgres together."""
        return (self.own_cpu + self.database_cpu) / self.jobs * 1e6


class Crew:
    """Running workers."""

    def __init__(self, bench: Bench, url: str, jobs: int, processes: "list[subprocess.Popen[str]]") -> None:
        """They work on `jobs` jobs, all that the database at `url` has, which is its superuser's URL."""
        self._bench, self._url, self._jobs, self._processes = bench, url, jobs, processes

    def do(self, act: str) -> Took:
        """All do this, one of `whole`, `polls`, `loop`; raises `RuntimeError` when they leave a job or ask twice."""
        make_due(self._url)
        before, began = cpu_seconds(self._bench.postgres_pid), time.perf_counter()
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(f"{act}\n")
            process.stdin.flush()
        did = [msgspec.json.decode(_heard(process), type=Did) for process in self._processes]
        seconds = time.perf_counter() - began
        database_cpu = cpu_seconds(self._bench.postgres_pid) - before
        jobs = sum(each.jobs for each in did)
        if act == "whole" and (jobs, left := left_due(self._url)) != (self._jobs, 0):
            raise RuntimeError(f"of {self._jobs:,} jobs, {left:,} were left, and there were {jobs:,} polls")
        return Took(
            jobs,
            seconds,
            sum(each.cpu for each in did),
            database_cpu,
            sum(each.statements for each in did),
            max(each.memory for each in did),
        )


@contextmanager
def crew(bench: Bench, url: str, cluster: str, jobs: int, *, workers: int = 1) -> Iterator[Crew]:
    """So many workers: one is on the measured core, several are on all."""
    order = Order(as_role(url, "worker_login"), url, cluster, jobs)
    command = [sys.executable, "-m", "tests.bench.passes", msgspec.json.encode(order).decode()]
    with ExitStack() as stack:
        with on(MEASURED if workers == 1 else set(CORES)):
            pipe = subprocess.PIPE
            processes = [  # they end where their input does
                stack.enter_context(subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True))
                for _ in range(workers)
            ]
        for process in processes:
            _heard(process)
        yield Crew(bench, url, jobs, processes)


def _heard(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    if not (line := process.stdout.readline()):
        raise RuntimeError(f"a worker ended with {process.wait()}; its own words are above")
    return line
