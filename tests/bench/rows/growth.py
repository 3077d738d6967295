"""How the cycle grows with the number of running jobs: statements, processor time, memory."""

from jobs.cycle import CHUNK
from tests.bench.data import new_database
from tests.bench.house import Bench
from tests.bench.report import Figure, Row, Table, at_most
from tests.bench.rounds import middle
from tests.bench.rows.cycle import line_of, run

_COUNTS = (1_000, 10_000, 50_000)


def measure(bench: Bench, rows: dict[str, Row]) -> list[Table]:
    """`growth`."""
    passes = {}
    with bench.cluster() as (cluster, _):
        for count in _COUNTS:
            bench.say(f"{count:,} running jobs")
            url = new_database(bench.postgres, jobs=count)
            passes[count] = run(bench, url, cluster, count, ("whole",), rounds=2 if bench.quick else 4)
            bench.postgres.drop_database(url)
    most = passes[_COUNTS[-1]]
    statements = {
        count: middle([took.statements for took in passes[count].took["whole"]]) for count in _COUNTS
    }
    more_chunks = (50_000 - 10_000) / CHUNK  # what a pass needs whatever it does counts for nothing
    cpu = {count: middle([took.cpu_per_job for took in passes[count].took["whole"]]) for count in _COUNTS}
    rows["growth"].figures = [
        Figure([(statements[50_000] - statements[10_000]) / more_chunks], at_most(3)),
        Figure([cpu[50_000] / cpu[10_000]], at_most(1.25)),
        Figure([most.memory / passes[1_000].memory], at_most(1.5)),
    ]
    table = Table(
        f"Growth of the cycle, one worker, {CHUNK} jobs a chunk",
        (
            "running jobs",
            "jobs a second",
            "worker CPU µs a job",
            "Postgres CPU µs a job",
            "SQL statements",
            "memory MiB",
        ),
    )
    for count in _COUNTS:
        table.lines.append(
            (f"{count:,}", *line_of(passes[count].took["whole"]), f"{passes[count].memory:.0f}")
        )
    return [table]
