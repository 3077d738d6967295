"""What a trainer may say at its job's own address, and that nobody else learns or changes anything there."""

import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from jobs.callback_url import CallbackUrls
from jobs.database import metrics
from jobs.domain.job import Job
from jobs.domain.lifecycle import JobStatus
from server.callbacks import MOST_BYTES, callback_route
from server.health import Meters
from server.middleware import Edge
from server.quotas import Quota, Room
from server.replies import http_exception
from tests.server.house import House
from tests.server.web import listening

NOT_HERE = (404, {"error": "There is nothing at this address."})


@pytest.fixture
def meters() -> Meters:
    return Meters()


@pytest.fixture
async def http(house: House, meters: Meters) -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(
        routes=[
            callback_route(
                house.commands,
                clock=house.database.now,
                meters=meters,
                quota=Quota(10_000, 4),
                room=Room(MOST_BYTES),
            )
        ],
        middleware=[Middleware(Edge, meters=meters)],
        exception_handlers={HTTPException: http_exception},
    )
    async with listening(app) as url, httpx.AsyncClient(base_url=url) as client:
        yield client


def address(house: House, job: Job) -> str:
    """Where the job's trainer reports."""
    url = urlsplit(CallbackUrls(house.settings.public_url, house.settings.secret_key).url(job))
    return f"{url.path}?{url.query}"


def point(step: int, **more: Any) -> dict[str, Any]:
    """What was measured at one step."""
    return {"step": step, "training_loss": 1 / step, "timestamp": "2026-11-23T10:00:00Z", **more}


async def steps(house: House, job: Job) -> list[int]:
    """The steps that are stored."""
    async with house.database.read() as tx:
        return [stored.step for stored in await metrics.newest(tx, job.id, last=1_000)]


async def test_points_and_progress_are_there_at_once_and_the_worker_looks(
    house: House, http: httpx.AsyncClient
) -> None:
    job = await house.running()
    document = {"status": "running", "progress": 55, "current_step": 150, "points": [point(140), point(150)]}
    answer = await http.post(address(house, job), json=document)
    assert (answer.status_code, answer.json()) == (202, {"status": "taken"})
    assert await steps(house, job) == [120, 140, 150]
    told = await house.look(job.id)
    assert (told.progress, told.current_step, told.status) == (55.0, 150, JobStatus.RUNNING)


async def test_points_alone_are_enough(house: House, http: httpx.AsyncClient) -> None:
    job = await house.running()
    assert (await http.post(address(house, job), json={"points": [point(130)]})).status_code == 202
    assert await steps(house, job) == [120, 130]


async def test_single_bad_points_are_dropped_and_the_others_taken(
    house: House, http: httpx.AsyncClient
) -> None:
    job = await house.running()
    points = [point(130), {"step": -1}, {"step": "x"}, 5, None, {"step": 2**31}, [], point(131)]
    body = json.dumps({"points": [*points, {"step": 132, "training_loss": float("nan")}]})
    assert (await http.post(address(house, job), content=body)).status_code == 202
    assert await steps(house, job) == [120, 130, 131, 132]


async def test_a_report_ends_no_job_and_moves_no_money(house: House, http: httpx.AsyncClient) -> None:
    job = await house.running()
    claim = {"status": "completed", "progress": 100, "final_cost": 0, "finished_at": "2026-11-23T09:01:00Z"}
    assert (await http.post(address(house, job), json=claim)).status_code == 202
    told = await house.look(job.id)
    assert (told.status, told.final_cost, told.completed_at) == (JobStatus.RUNNING, None, None)


async def test_the_trainer_of_a_job_that_has_ended_is_told_to_stop(
    house: House, http: httpx.AsyncClient
) -> None:
    for job in (await house.completed(), await house.cancelled()):
        before = await steps(house, job)
        answer = await http.post(address(house, job), json={"points": [point(999)]})
        assert (answer.status_code, answer.json()) == (
            410,
            {"error": "This job has ended; stop its training."},
        )
        assert await steps(house, job) == before


async def test_a_wrong_token_and_an_unknown_job_are_answered_alike(
    house: House, http: httpx.AsyncClient
) -> None:
    mine, other = await house.running(), await house.running("bob")
    path, _, query = address(house, mine).partition("?")
    never = uuid4()
    assert (await http.post(address(house, mine), json={"points": [point(1)]})).status_code == 202
    for wrong in (
        path,
        f"{path}?token=",
        f"{path}?token=x",
        f"{path}?{query}0",
        f"{path}?{query[:-1]}",
        f"{path}?{query}&{query}",
        f"{path}?{query.upper()}",
        f"{path}?token=%00%ff",
        f"{path}?token={'a' * 20_000}",
        f"{path}?{address(house, other).partition('?')[2]}",
        f"/callbacks/training/{never}?{query}",
        f"/callbacks/training/{mine.id.hex}?{query}",
        f"/callbacks/training/{str(mine.id).upper()}?{query}",
        f"/callbacks/training/nothing?{query}",
        f"/callbacks/training/?{query}",
    ):
        for body in (b'{"points": []}', b"nonsense", b"x" * 100_000):
            answer = await http.post(wrong, content=body)
            assert (answer.status_code, answer.json()) == NOT_HERE, wrong
    gone = Job(
        id=never, user_id="ada", dataset_id=never, hyperparameters=mine.hyperparameters, gpu_config=mine.gpu_config,
        created_at=mine.created_at, updated_at=mine.created_at,
    )  # fmt: skip
    answer = await http.post(address(house, gone), json={"points": [point(1)]})
    assert (answer.status_code, answer.json()) == NOT_HERE


MALFORMED = (
    b"",
    b"nonsense",
    b"[]",
    b"5",
    b"null",
    b'"x"',
    b'{"points":',
    b"\xff\xfe",
    b"[" * 60_000,
    b'{"a":' * 10_000,
)


async def test_a_malformed_report_is_a_400(house: House, http: httpx.AsyncClient) -> None:
    job = await house.running()
    for body in MALFORMED:
        answer = await http.post(address(house, job), content=body)
        assert (answer.status_code, answer.json()) == (400, {"error": "The body is no JSON object in UTF-8."})


async def test_a_report_that_is_too_large_is_a_413(house: House, http: httpx.AsyncClient) -> None:
    job = await house.running()

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(70):
            yield b" " * 1024

    many = json.dumps({"points": [{"step": number, "epoch": 1, "training_loss": 1} for number in range(501)]})
    for body in (b" " * 65_537, pieces(), many.encode()):
        assert (await http.post(address(house, job), content=body)).status_code == 413
    assert await steps(house, job) == [120]
    most = json.dumps({"points": [{"step": number, "training_loss": 1} for number in range(1, 501)]})
    assert (await http.post(address(house, job), content=most)).status_code == 202
    assert len(await steps(house, job)) == 500


async def test_only_posts_without_a_content_encoding_are_taken(house: House, http: httpx.AsyncClient) -> None:
    job = await house.running()
    for method in ("GET", "PUT", "DELETE", "OPTIONS"):
        answer = await http.request(method, address(house, job))
        assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
        assert answer.json().keys() == {"error"}
    answer = await http.post(address(house, job), content=b"{}", headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 415


async def test_a_report_that_comes_again_changes_nothing(house: House, http: httpx.AsyncClient) -> None:
    job = await house.running()
    for _ in range(20):
        assert (await http.post(address(house, job), json={"points": [point(130)]})).status_code == 202
    assert await steps(house, job) == [120, 130]


async def test_reports_that_are_not_taken_are_counted_by_reason(
    house: House, http: httpx.AsyncClient, meters: Meters
) -> None:
    running, ended = await house.running(), await house.cancelled()
    for where, body in (
        (address(house, running), b'{"points": []}'),
        (address(house, running), b"no JSON"),
        (address(house, ended), b"{}"),
        (f"/callbacks/training/{running.id}?token=wrong", b"{}"),
        (f"/callbacks/training/{uuid4()}?token=wrong", b"{}"),
    ):
        await http.post(where, content=body)
    counted = {
        sample.labels["reason"]: sample.value
        for metric in meters.registry.collect()
        for sample in metric.samples
        if sample.name == "lora_pipeline_callback_rejects_total"
    }
    assert counted == {"bad_request": 1, "gone": 1, "not_found": 2}
