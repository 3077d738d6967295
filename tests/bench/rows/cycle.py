"""The whole cycle over 10,000 running jobs, beside polling alone by the same client, and a loop of one after another."""

import subprocess
import sys

import msgspec

from tests.bench.data import as_role, new_database
from tests.bench.house import ROOT, Bench
from tests.bench.machine import MEASURED, on
from tests.bench.passes import Order, Passes, Took
from tests.bench.report import Figure, Row, Table, at_least, readable
from tests.bench.rounds import middle, ratios

JOBS = 10_000
_TITLES = {
    "whole": "whole cycle",
    "polls": "polls alone, same client",
    "loop": "one after another, httpx",
}


def measure(bench: Bench, rows: dict[str, Row]) -> list[Table]:
    """`cycle` and `loop`."""
    url = new_database(bench.postgres, jobs=JOBS)
    kinds = ("whole", *(kind for row, kind in (("cycle", "polls"), ("loop", "loop")) if row in rows))
    with bench.cluster() as (cluster, _):
        passes = run(bench, url, cluster, JOBS, kinds, rounds=bench.rounds)
    bench.postgres.drop_database(url)
    whole = [took.rate for took in passes.took["whole"]]
    for name, kind, bound in (("cycle", "polls", 0.5), ("loop", "loop", 25)):
        if name in rows:
            theirs = [took.rate for took in passes.took[kind]]
            rows[name].figures = [Figure(ratios(whole, theirs), at_least(bound))]
    table = Table(
        f"Cycle, {JOBS:,} running jobs, cluster at 0 ms, 64 calls in flight",
        ("what", "jobs a second", "worker CPU µs a job", "Postgres CPU µs a job", "SQL statements"),
    )
    for kind, took in passes.took.items():
        table.lines.append((_TITLES[kind], *line_of(took)))
    return [table]


def run(bench: Bench, url: str, cluster: str, jobs: int, kinds: tuple[str, ...], *, rounds: int) -> Passes:
    """Measure in a process of its own, on the measured core."""
    order = Order(as_role(url, "worker_login"), url, cluster, jobs, rounds, kinds, bench.postgres_pid)
    command = [sys.executable, "-m", "tests.bench.passes", msgspec.json.encode(order).decode()]
    with on(MEASURED):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the passes ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=Passes)


def line_of(took: list[Took]) -> tuple[str, ...]:
    """Medians for a table: rate, both CPUs a job, statements."""
    return (
        readable(middle([one.rate for one in took])),
        f"{middle([one.own_cpu / one.jobs for one in took]) * 1e6:.0f}",
        f"{middle([one.database_cpu / one.jobs for one in took]) * 1e6:.0f}",
        f"{middle([one.statements for one in took]):.0f}",
    )
