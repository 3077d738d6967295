"""How the cycle grows with the number of running jobs, workers and the cluster's latency."""

from contextlib import ExitStack
from functools import partial

from jobs.writer import CHUNK
from tests.bench.crew import Took, crew
from tests.bench.data import new_database
from tests.bench.house import Bench
from tests.bench.report import Figure, Row, Table, at_most
from tests.bench.rounds import alternate, middle
from tests.bench.rows.cycle import line_of

_COUNTS = (1_000, 10_000, 50_000)
_MOST_QUICKLY = 10_000  #: running jobs that a quick bench goes through in the other ways than the first
_WAYS = ((1, 0), (3, 0), (1, 20), (3, 20))  #: workers, and the cluster's latency in ms; the first is SPEC's


def measure(bench: Bench, rows: dict[str, Row]) -> list[Table]:
    """`growth`."""
    found = {count: _measured(bench, count) for count in _COUNTS}
    plain = {count: ways[_WAYS[0]] for count, ways in found.items()}
    statements = {count: middle([took.statements for took in plain[count]]) for count in _COUNTS}
    more_chunks = (50_000 - 10_000) / CHUNK  # what a pass needs whatever it does counts for nothing
    cpu = {count: middle([took.cpu_per_job for took in plain[count]]) for count in _COUNTS}
    memory = {count: max(took.memory for took in plain[count]) for count in _COUNTS}
    rows["growth"].figures = [
        Figure([(statements[50_000] - statements[10_000]) / more_chunks], at_most(3)),
        Figure([cpu[50_000] / cpu[10_000]], at_most(1.25)),
        Figure([memory[50_000] / memory[1_000]], at_most(1.5)),
    ]
    table = Table(
        f"Growth of the cycle, {CHUNK} jobs a chunk; one worker has a core, several have all",
        (
            "running jobs",
            "workers",
            "cluster at",
            "jobs a second",
            "worker CPU µs a job",
            "Postgres CPU µs a job",
            "SQL statements",
            "memory MiB",
        ),
    )
    for workers, latency in _WAYS:
        for count, ways in found.items():
            if took := ways.get((workers, latency)):
                memory_of = max(each.memory for each in took)
                what = f"{count:,}", f"{workers}", f"{latency} ms"
                table.lines.append((*what, *line_of(took), f"{memory_of:.0f}"))
    return [table]


def _measured(bench: Bench, count: int) -> dict[tuple[int, int], list[Took]]:
    """All rounds of each way that is measured over so many jobs."""
    bench.say(f"{count:,} running jobs")
    url = new_database(bench.postgres, jobs=count)
    ways = _WAYS[:1] if bench.quick and count > _MOST_QUICKLY else _WAYS
    with ExitStack() as stack:
        clusters = {latency: stack.enter_context(bench.cluster(latency / 1e3))[0] for latency in (0, 20)}
        acts = {
            (workers, latency): partial(
                stack.enter_context(crew(bench, url, clusters[latency], count, workers=workers)).do, "whole"
            )
            for workers, latency in ways
        }
        rounds = 1 if bench.quick else 2
        found = alternate(acts, rounds)
        found[_WAYS[0]] += alternate({_WAYS[0]: acts[_WAYS[0]]}, rounds)[_WAYS[0]]  # those that are judged
    bench.postgres.drop_database(url)
    return found
