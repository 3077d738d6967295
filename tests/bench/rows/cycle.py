"""The whole cycle over 10,000 running jobs, beside polling alone by the same client, and a loop of one after another."""

from contextlib import ExitStack
from functools import partial

from tests.bench.crew import Took, crew
from tests.bench.data import new_database, on_sqlite
from tests.bench.house import Bench
from tests.bench.report import Figure, Row, Table, at_least, readable
from tests.bench.rounds import alternate, middle, ratios

JOBS = 10_000
_ON_SQLITE = (1_000, JOBS)
_WHOLE, _POLLS, _LOOP = "whole cycle", "polls alone, same client", "one after another, httpx"


def measure(bench: Bench, rows: dict[str, Row]) -> list[Table]:
    """`cycle` and `loop`."""
    url = new_database(bench.postgres, jobs=JOBS)
    with ExitStack() as stack:
        cluster, _ = stack.enter_context(bench.cluster())
        ours = stack.enter_context(crew(bench, url, cluster, JOBS))
        acts = {_WHOLE: partial(ours.do, "whole")}
        if "cycle" in rows:
            acts[_POLLS] = partial(ours.do, "polls")
        if "loop" in rows:
            acts[_LOOP] = partial(ours.do, "loop")
        for count in _ON_SQLITE:
            some = new_database(bench.postgres, jobs=count)
            on_file = stack.enter_context(crew(bench, on_sqlite(some, bench.work), cluster, count))
            bench.postgres.drop_database(some)
            acts[f"{_WHOLE} on SQLite, {count:,} jobs"] = partial(on_file.do, "whole")
        found = alternate(acts, bench.rounds)
    bench.postgres.drop_database(url)
    whole = [took.rate for took in found[_WHOLE]]
    for name, theirs, bound in (("cycle", _POLLS, 0.5), ("loop", _LOOP, 25)):
        if name in rows:
            rows[name].figures = [
                Figure(ratios(whole, [took.rate for took in found[theirs]]), at_least(bound))
            ]
    table = Table(
        f"Cycle, {JOBS:,} running jobs, cluster at 0 ms, 64 calls in flight",
        ("what", "jobs a second", "worker CPU µs a job", "Postgres CPU µs a job", "SQL statements"),
    )
    table.lines += [(what, *line_of(took)) for what, took in found.items()]
    return [table]


def line_of(took: list[Took]) -> tuple[str, ...]:
    """Medians for a table: rate, both CPUs a job, statements."""
    return (
        readable(middle([one.rate for one in took])),
        f"{middle([one.own_cpu / one.jobs for one in took]) * 1e6:.0f}",
        f"{middle([one.database_cpu / one.jobs for one in took]) * 1e6:.0f}",
        f"{middle([one.statements for one in took]):.0f}",
    )
