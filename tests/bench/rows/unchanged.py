"""Jobs that have not changed: the monitor's own question beside ready bytes, what a poll weighs, how many may watch."""

import json
from collections.abc import Callable

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
    with bench.api(bench.jobs_to_read) as api:
        tokens = {number: api.token(user(number)) for number in range(1, _JOBS + 1)}
        whole = [by_get(monitor("JOB"), tokens[number], id=str(job_id(number))) for number in tokens]
        wire = Wire(api.url)
        answers = [wire.ask(request) for request in whole]
        if "bytes" in rows:
            rows["bytes"].figures = _weighed(wire, tokens[1], whole[0], answers[0])
        etags = [answer.header("etag") for answer in answers]
        known = [
            by_get(monitor("JOB"), tokens[number], etag, id=str(job_id(number)))
            for number, etag in zip(tokens, etags, strict=True)
        ]
        assert wire.ask(known[0]).status == 304
        wire.close()
        return _loaded(bench, rows, api, whole, known, answers[0])


def _loaded(
    bench: Bench, rows: dict[str, Row], api: Api, whole: list[bytes], known: list[bytes], answer: Answer
) -> list[Table]:
    body, headers = bench.work / "body", bench.work / "headers"
    body.write_bytes(answer.body)
    kept = ("content-type", "etag", "vary", "cache-control")
    headers.write_text(json.dumps({name: answer.header(name) for name in kept if answer.header(name)}))
    with bench.web_app("tests.bench.raw:create_app", BODY=str(body), HEADERS=str(headers)) as (raw, raw_pid):
        requests = keep_requests(bench.work, whole)
        targets = [
            Target("API, full answer", api.url, api.pid, requests),
            Target("API, 304", api.url, api.pid, keep_requests(bench.work, known)),
            Target("raw Starlette, the same bytes", raw, raw_pid, requests),
        ]
        found = alternate({target.name: _under_load(bench, target) for target in targets}, bench.rounds)
    full, unchanged, ready = (found[target.name] for target in targets)
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


def _weighed(wire: Wire, token: str, request: bytes, full: Answer) -> list[Figure]:
    """Everything on the wire counts, headers too."""
    etag = full.header("etag")
    again = wire.ask(request.replace(b"\r\n\r\n", f"\r\nIf-None-Match: {etag}\r\n\r\n".encode()))
    assert again.status == 304, again.head
    steps = [point["step"] for point in json.loads(full.body)["data"]["job"]["metrics"]]
    delta = wire.ask(by_get(monitor("JOB_UPDATE"), token, id=str(job_id(1)), last=1000, afterStep=steps[-2]))
    assert len(json.loads(delta.body)["data"]["job"]["metrics"]) == 1
    return [
        Figure([again.size / full.size], at_most(1 / 150)),
        Figure([delta.size / full.size], at_most(1 / 20)),
    ]
