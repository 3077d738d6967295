"""A job that has changed since it was last asked about: nothing of the answer is known. Beside three peers."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from tests.bench import parts
from tests.bench.data import touch, user
from tests.bench.documents import JOB, POSTGRAPHILE_JOB, by_post
from tests.bench.house import Bench
from tests.bench.load import Load, Target, keep_requests, need_wrk, put_load, request
from tests.bench.report import Figure, PartMissing, Row, Table, at_least
from tests.bench.rounds import alternate, ratios
from tests.bench.tables import load_table
from tests.bench.wire import Wire
from tests.services.api import SECRET, Api

_RUNS = 60  #: of MLflow: it takes long to fill
_POINTS = 100
_BOUNDS = {"postgraphile": 1.2, "natural": 20.0, "mlflow": 50.0}


def measure(bench: Bench, rows: dict[str, Row]) -> list[Table]:
    """`postgraphile`, `natural` and `mlflow`."""
    need_wrk()
    with ExitStack() as stack:
        api = stack.enter_context(bench.api(bench.jobs_to_read))
        peers = {"postgraphile": _postgraphile, "natural": _natural, "mlflow": _mlflow}
        targets = {
            "api": _api(bench, api, "API"),
            "sqlite": _api(bench, stack.enter_context(bench.api(bench.jobs_on_sqlite)), "API on SQLite"),
        }
        for name, row in rows.items():
            try:
                peer = stack.enter_context(peers[name](bench, api))
                _under_load(bench, peer)  # warm
                targets[name] = peer
            except (PartMissing, RuntimeError) as exc:
                row.missing = str(exc)
        acts = {name: partial(_under_load, bench, target) for name, target in targets.items()}
        for name, url in (("api", bench.jobs_to_read), ("sqlite", bench.jobs_on_sqlite)):
            acts[name]()
            acts[name] = partial(_of_changed_jobs, bench, targets[name], url)
        found = alternate(acts, bench.rounds)
    ours = [load.rate for load in found["api"]]
    for name, row in rows.items():
        if name in found:
            row.figures = [Figure(ratios(ours, [load.rate for load in found[name]]), at_least(_BOUNDS[name]))]
    title = f"Changed jobs: {_POINTS} points of 9 fields, costs, dataset; 16 connections, MLflow 4"
    return [load_table(title, {targets[name].name: loads for name, loads in found.items()})]


def _of_changed_jobs(bench: Bench, target: Target, url: str) -> Load:
    touch(url)
    load = _under_load(bench, target)
    if load.requests > bench.many_jobs:
        raise RuntimeError(f"{bench.many_jobs:,} jobs are too few: some were asked about twice")
    return load


def _under_load(bench: Bench, target: Target) -> Load:
    return put_load(target, seconds=bench.seconds, database_pid=bench.postgres_pid)


def _api(bench: Bench, api: Api, name: str) -> Target:
    tokens = [api.token(user(number)) for number in range(100)]
    requests = [by_post(JOB, number, tokens[number % 100]) for number in range(1, bench.many_jobs + 1)]
    return Target(name, api.url, api.pid, keep_requests(bench.work, requests))


@contextmanager
def _natural(bench: Bench, api: Api) -> Iterator[Target]:
    with bench.web_app(
        "tests.bench.natural:create_app", NATURAL_DATABASE=bench.jobs_to_read, JWT_SECRET=SECRET
    ) as (url, pid):
        tokens = [api.token(user(number)) for number in range(100)]
        requests = [by_post(JOB, number, tokens[number % 100]) for number in range(1, 1001)]
        ours, theirs = _answer(api.url, requests[0]), _answer(url, requests[0])
        if _alike(ours) != _alike(theirs):
            raise PartMissing("the natural build answers something else than the API")
        yield Target("natural: Strawberry + ORM", url, pid, keep_requests(bench.work, requests))


@contextmanager
def _postgraphile(bench: Bench, _: Api) -> Iterator[Target]:
    with parts.postgraphile(bench, bench.jobs_to_read) as (url, pid):
        requests = [by_post(POSTGRAPHILE_JOB, number) for number in range(1, 1001)]
        answer = _answer(url, requests[0])
        if "errors" in answer:
            raise PartMissing(f"PostGraphile answers: {answer['errors'][0]['message']}")
        assert len(answer["data"]["trainingJobByRowId"]["metricsPointsByJobId"]["nodes"]) == _POINTS
        yield Target("PostGraphile v5", url, pid, keep_requests(bench.work, requests))


@contextmanager
def _mlflow(bench: Bench, _: Api) -> Iterator[Target]:
    database = bench.postgres.fresh_database()
    with parts.mlflow(bench, database) as (url, pid):
        bench.say(f"filling MLflow with {_RUNS} runs of {_POINTS} points")
        runs = parts.fill_mlflow(url, runs=_RUNS, points=_POINTS)
        requests = [
            request("POST", "/graphql", None, parts.mlflow_question(run, points=_POINTS)) for run in runs
        ]
        answer = _answer(url, requests[0])
        if answer.get("errors"):
            raise PartMissing(f"MLflow answers: {answer['errors'][0]}")
        assert len(answer["data"]["trainingLoss"]["metrics"]) == _POINTS
        file = keep_requests(bench.work, requests)
        yield Target("MLflow, 7 series of 100 points", url, pid, file, connections=4, least_seconds=4)


def _answer(url: str, question: bytes) -> dict[str, Any]:
    wire = Wire(url)
    answer: dict[str, Any] = json.loads(wire.ask(question).body)
    wire.close()
    return answer


def _alike(answer: Any) -> Any:
    """The same whether `…Z` or `…+00:00`, `4.17` or `"4.17"`, `1` or `1.0`."""
    match answer:
        case dict():
            return {name: _alike(value) for name, value in answer.items()}
        case list():
            return [_alike(value) for value in answer]
        case str():
            return answer.replace("+00:00", "Z")
        case _:
            return answer
