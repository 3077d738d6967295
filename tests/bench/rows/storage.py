"""Long histories: the newest points in a large table, and a whole curve in 500 points."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta

from jobs.database import Database, metrics
from jobs.domain.metrics import Point
from jobs.domain.thinning import thin
from tests.bench.data import add_points, as_role, job_id, new_database, on_sqlite, user
from tests.bench.house import Bench
from tests.bench.report import Figure, Row, Table, at_least, at_most, readable
from tests.bench.rounds import middle, ratios

_JOBS = 1_000
_FEW, _MANY = 200, 10_000  #: points of each job
_LONG, _MOST = 100_000, 500
_ASKED = 200  #: jobs a round
_TITLES = {
    "small": f"newest 100 of {_JOBS * _FEW:,} points",
    "large": f"newest 100 of {_JOBS * _MANY:,} points",
    "thinned": f"{_LONG:,} points in {_MOST}",
    "read": f"the same, thinned after reading all {_LONG:,}",
}


def measure(bench: Bench, rows: dict[str, Row]) -> list[Table]:
    """`storage`."""
    small = new_database(bench.postgres, jobs=_JOBS, points=_FEW)
    long = new_database(bench.postgres, jobs=1)
    bench.say(f"making {_JOBS * _MANY:,} points")
    large = new_database(bench.postgres, jobs=_JOBS)
    add_points(bench.postgres, large, jobs=_JOBS, points=_MANY)
    copied, long_copied = on_sqlite(small, bench.work), on_sqlite(long, bench.work)
    try:
        found = asyncio.run(_measured({"small": small, "large": large}, long, bench.rounds))
        on_file = asyncio.run(_measured({"small": copied}, long_copied, bench.rounds))
    finally:
        for url in (small, long, large):
            bench.postgres.drop_database(url)
    rows["storage"].figures = [
        Figure(ratios(found["large"], found["small"]), at_most(1.5)),
        Figure(ratios(found["read"], found["thinned"]), at_least(40)),
    ]
    table = Table(
        "Histories, through the service's own functions and its API role", ("what", "ms", "from … to")
    )
    for where, measured in (("", found), (", on SQLite", on_file)):
        for name, times in measured.items():
            spread = f"{readable(min(times))} … {readable(max(times))}"
            table.lines.append((_TITLES[name] + where, readable(middle(times)), spread))
    return [table]


async def _measured(urls: Mapping[str, str], long: str, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of every round: the newest points in each of `urls`, and the curve in `long`."""
    await _write_long(long)
    databases = {name: Database.open(as_role(url, "api_login")) for name, url in urls.items()}
    curve = Database.open(as_role(long, "api_login"))

    async def thinned() -> None:
        async with curve.read(user(1)) as tx:
            await metrics.thinned(tx, job_id(1), most=_MOST)

    async def read_and_thin() -> None:
        async with curve.read(user(1)) as tx:
            thin(list(await metrics.newest(tx, job_id(1), last=_LONG)), _MOST)

    found: dict[str, list[float]] = {name: [] for name in (*databases, "thinned", "read")}
    for database in databases.values():
        await _newest_of(database, range(1, _JOBS + 1))  # from the disk once
    await thinned()
    for number in range(rounds):
        for name in sorted(found, reverse=number % 2 == 1):
            if name in databases:
                found[name].append(
                    await _newest_of(databases[name], random.sample(range(1, _JOBS + 1), _ASKED))
                )
            else:
                found[name].append(await _timed(thinned if name == "thinned" else read_and_thin))
    for database in (*databases.values(), curve):
        await database.close()
    return found


async def _newest_of(database: Database, jobs: "range | list[int]") -> float:
    """The median."""

    def newest(number: int) -> Callable[[], Awaitable[None]]:
        async def ask() -> None:
            async with database.read(user(number)) as tx:
                assert len(await metrics.newest(tx, job_id(number), last=100)) == 100

        return ask

    return middle([await _timed(newest(number)) for number in jobs])


async def _timed(act: Callable[[], Awaitable[None]]) -> float:
    began = time.perf_counter()
    await act()
    return (time.perf_counter() - began) * 1e3


async def _write_long(url: str) -> None:
    """Through the service's own writing, as a trainer's batches come."""
    owner = Database.open(url)
    began = datetime.now(UTC) - timedelta(hours=1)
    for first in range(1, _LONG + 1, _MOST):
        points = [
            Point(
                step=step,
                timestamp=began + timedelta(milliseconds=step),
                training_loss=1 / step + random.random() / 10,
                validation_loss=1 / step + random.random() / 10,
                learning_rate=1e-4,
                gradient_norm=random.random(),
                throughput=3000 + random.random() * 500,
                gpu_utilization=80 + random.random() * 20,
            )
            for step in range(first, first + _MOST)
        ]
        async with owner.begin() as tx:
            await metrics.upsert(tx, job_id(1), points)
    await owner.close()
