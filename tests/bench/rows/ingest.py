"""Points that trainers report by callback: singly and a hundred at a time, beside an endpoint with an ORM session each."""

import itertools
from collections.abc import Callable
from dataclasses import replace

from jobs.callback_url import CallbackUrls
from tests.bench.data import job_id, new_database, user
from tests.bench.house import Bench
from tests.bench.load import Load, Target, keep_requests, need_wrk, put_load
from tests.bench.report import Figure, Row, Table, at_least
from tests.bench.rounds import alternate, ratios
from tests.bench.tables import load_table
from tests.domain.factories import a_job
from tests.services.api import SECRET

_JOBS = 1_000
_SINGLE, _BATCH = (1, 64), (100, 16)  #: points a request, connections
_ROOM = 20_000_000  #: steps that one stretch of load may use


def measure(bench: Bench, rows: dict[str, Row]) -> list[Table]:
    """`ingest`."""
    need_wrk()
    url = new_database(bench.postgres, jobs=_JOBS)
    ours = [
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: ".encode()
        for path in _addresses()
    ]
    theirs = [head.replace(b"/callbacks/training/", b"/points/") for head in ours]
    with (
        bench.api(url) as api,
        bench.web_app("tests.bench.natural:create_app", NATURAL_DATABASE=url) as (natural, natural_pid),
    ):
        takers = {
            "API": Target("API", api.url, api.pid, keep_requests(bench.work, ours)),
            "ORM": Target("ORM", natural, natural_pid, keep_requests(bench.work, theirs)),
        }
        firsts = itertools.count(1, _ROOM)
        found: dict[str, list[Load]] = {}
        for points, connections in (_SINGLE, _BATCH):
            acts = {
                f"{name}, {points} point{'s' if points > 1 else ''} a request, {connections} connections": _takes(
                    bench, target, points, connections, firsts
                )
                for name, target in takers.items()
            }
            before = _stored(bench, url)
            loads = alternate(acts, bench.rounds)
            _check(
                bench, url, before, points * sum(load.requests for each in loads.values() for load in each)
            )
            found |= loads
    rates = [[load.rate for load in loads] for loads in found.values()]
    rows["ingest"].figures = [
        Figure(ratios(rates[0], rates[1]), at_least(6)),
        Figure(ratios(rates[2], rates[3]), at_least(4)),
    ]
    bench.postgres.drop_database(url)
    return [load_table(f"Callbacks: new points of {_JOBS:,} jobs, answered when they are committed", found)]


def _takes(
    bench: Bench, target: Target, points: int, connections: int, firsts: "itertools.count[int]"
) -> Callable[[], Load]:
    def act() -> Load:
        settings = {"POINTS": str(points), "FIRST": str(next(firsts))}
        return put_load(
            replace(target, environment=settings),
            connections=connections,
            seconds=bench.seconds,
            database_pid=bench.postgres_pid,
        )

    return act


def _addresses() -> list[str]:
    """Path and token of each job's callback."""
    urls = CallbackUrls("http://127.0.0.1", SECRET.encode())
    jobs = [a_job(id=job_id(number), user_id=user(number)) for number in range(1, _JOBS + 1)]
    return [urls.url(job).removeprefix("http://127.0.0.1") for job in jobs]


def _stored(bench: Bench, url: str) -> int:
    return int(bench.postgres.sql("SELECT count(*) FROM metrics_points", url=url))


def _check(bench: Bench, url: str, before: int, acknowledged: int) -> None:
    """What was answered is stored."""
    stored = _stored(bench, url) - before
    assert stored >= acknowledged, f"{acknowledged:,} points were acknowledged, {stored:,} are there"
