"""Jobs that have not changed: the monitor's own question beside ready bytes, what a poll weighs, how many may watch."""

import json
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

from tests.bench.data import job_id, user
from tests.bench.documents import by_get, monitor
from tests.bench.house import Bench
from tests.bench.load import Load, Target, keep_requests, need_wrk, put_load
from tests.bench.report import Figure, Row, Table, at_least, at_most
from tests.bench.rounds import alternate, ratios
from tests.bench.tables import load_table
from tests.bench.wire import Answer, Wire
from tests.services.api import Api

_JOBS = 1_000
_EVERY = 5  #: seconds between two polls of a viewer
_CONNECTIONS = 16


def measure(bench: Bench, rows: dict[str, Row]) -> list[Table]:
    """`unchanged`, `bytes` and `viewers`."""
    need_wrk()
    with bench.api(bench.jobs_to_read) as api, bench.api(bench.jobs_on_sqlite) as on_sqlite:
        asked = _asked(api)
        if "bytes" in rows:
            rows["bytes"].figures = _weighed(api, asked)
        return _loaded(
            bench,
            rows,
            asked,
            (
                *_targets(bench, "API", api, asked),
                *_targets(bench, "API on SQLite", on_sqlite, _asked(on_sqlite)),
            ),
        )


@dataclass(frozen=True, slots=True)
class _Asked:
    """The monitor's question about each job: as it is first asked, and by one who has the answer; the first answer."""

    whole: list[bytes]
    known: list[bytes]
    answer: Answer


def _asked(api: Api) -> _Asked:
    ids = {number: str(job_id(number)) for number in range(1, _JOBS + 1)}
    tokens = {number: api.token(user(number)) for number in ids}
    whole = [by_get(monitor("JOB"), tokens[number], id=ids[number]) for number in ids]
    with closing(Wire(api.url)) as wire:
        answers = [wire.ask(request) for request in whole]
        known = [
            by_get(monitor("JOB"), tokens[number], answer.header("etag"), id=ids[number])
            for number, answer in zip(ids, answers, strict=True)
        ]
        assert wire.ask(known[0]).status == 304
    return _Asked(whole, known, answers[0])


def _targets(bench: Bench, name: str, api: Api, asked: _Asked) -> tuple[Target, Target]:
    return (
        Target(f"{name}, full answer", api.url, api.pid, keep_requests(bench.work, asked.whole)),
        Target(f"{name}, 304", api.url, api.pid, keep_requests(bench.work, asked.known)),
    )


def _loaded(bench: Bench, rows: dict[str, Row], asked: _Asked, ours: Sequence[Target]) -> list[Table]:
    body, headers = bench.work / "body", bench.work / "headers"
    body.write_bytes(asked.answer.body)
    kept = ("content-type", "etag", "vary", "cache-control")
    told = {name: asked.answer.header(name) for name in kept if asked.answer.header(name)}
    headers.write_text(json.dumps(told))
    with bench.web_app("tests.bench.raw:create_app", BODY=str(body), HEADERS=str(headers)) as (raw, raw_pid):
        targets = [*ours, Target("raw Starlette, the same bytes", raw, raw_pid, ours[0].requests)]
        found = alternate({target.name: _under_load(bench, target) for target in targets}, bench.rounds)
    full, unchanged, ready = (found[target.name] for target in (*targets[:2], targets[-1]))
    if "unchanged" in rows:
        shares = ratios([load.rate for load in full], [load.rate for load in ready])
        rows["unchanged"].figures = [Figure(shares, at_least(0.6))]
    if "viewers" in rows:
        rows["viewers"].figures = [Figure([load.rate * _EVERY for load in unchanged], at_least(50_000))]
    title = f"Unchanged jobs: the monitor's question about {_JOBS:,} jobs in turn, {_CONNECTIONS} connections"
    return [load_table(title, found)]


def _under_load(bench: Bench, target: Target) -> Callable[[], Load]:
    return lambda: put_load(
        target, connections=_CONNECTIONS, seconds=bench.seconds, database_pid=bench.postgres_pid
    )


def _weighed(api: Api, asked: _Asked) -> list[Figure]:
    """Everything on the wire counts, headers too."""
    full = asked.answer
    newest_but_one = json.loads(full.body)["data"]["job"]["metrics"][-2]["step"]
    with closing(Wire(api.url)) as wire:
        again = wire.ask(asked.known[0])
        delta = wire.ask(
            by_get(
                monitor("JOB_UPDATE"),
                api.token(user(1)),
                id=str(job_id(1)),
                last=1000,
                afterStep=newest_but_one,
            )
        )
    assert again.status == 304, again.head
    assert len(json.loads(delta.body)["data"]["job"]["metrics"]) == 1
    return [
        Figure([again.size / full.size], at_most(1 / 150)),
        Figure([delta.size / full.size], at_most(1 / 20)),
    ]
