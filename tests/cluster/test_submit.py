"""Submit: what each answer, and each way of not answering, proves."""

import asyncio
import json
import socket
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from jobs.cluster import Cluster, encode_body, open_cluster
from jobs.domain.sighting import Accepted, Denied, NotNow, Refused, Unclear
from jobs.http_client import Lookup
from tests.cluster.conftest import body_of
from tests.services.scripted_cluster import (
    Answer,
    ScriptedCluster,
    breaks_off,
    hangs,
    redirects,
    resets,
    says,
    usual,
    writes,
)

NOT_AN_ID = "it answered 200 without a usable external_job_id"
BROKE = "the connection broke"


async def test_an_accepted_job_has_the_clusters_id_and_the_body_arrives_byte_for_byte(
    cluster: Cluster, far: ScriptedCluster, job: UUID
) -> None:
    assert await cluster.submit(job, body_of(job)) == Accepted("ext-1")
    [call] = far.journal
    assert call.body == body_of(job)
    assert call.key == str(job)
    assert call.headers["Authorization"] == f"Bearer {far.key}"
    assert call.headers["Content-Type"] == "application/json"
    assert call.headers["Accept-Encoding"] == "identity"
    assert far.complaints == []


def test_prices_are_exact_numbers_and_the_same_document_gives_the_same_bytes() -> None:
    document = {"cost_per_gpu_hour": Decimal("1.10"), "learning_rate": 0.0002, "none": None}
    assert encode_body(document) == b'{"cost_per_gpu_hour":1.10,"learning_rate":0.0002,"none":null}'
    assert encode_body(json.loads(encode_body({"b": 1, "a": 2}))) == b'{"b":1,"a":2}'


async def test_the_same_key_finds_the_same_run_after_a_lost_answer_and_after_a_cancel(
    cluster: Cluster, far: ScriptedCluster, job: UUID
) -> None:
    far.script(job, submit=[says(502, act=True)])
    assert await cluster.submit(job, body_of(job)) == Unclear("it answered 502")
    assert await cluster.submit(job, body_of(job)) == Accepted("ext-1")
    await cluster.stop("ext-1")
    assert await cluster.submit(job, body_of(job)) == Accepted("ext-1")
    assert far.jobs[job].max_live == 1
    assert far.live == []


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (says(201, {"external_job_id": "a.B_c:9-"}), Accepted("a.B_c:9-")),
        (says(400, {"error": "no such model"}), Refused("no such model")),
        (says(422, {"detail": "lora_rank: \x1b[31m9\x00\u202e"}), Refused("lora_rank: [31m9")),
        (says(422, "<html>"), Refused),
        (says(400, "x" * 100_000), Refused),
        (says(401), Denied("it answered 401")),
        (says(403, "x" * 100_000), Denied("it answered 403")),
        (says(429, headers={"Retry-After": "3"}), NotNow("it answered 429", timedelta(seconds=3))),
        (says(503), NotNow("it answered 503")),
        (says(500, act=True), Unclear("it answered 500")),
        (says(502, act=True), Unclear("it answered 502")),
        (says(504, act=True), Unclear("it answered 504")),
        (says(404), Unclear("it answered 404")),
        (says(409), Unclear("it answered 409")),
        (says(204), Unclear("it answered 204 without a usable external_job_id")),
        (redirects("/elsewhere"), Unclear("it answered 307")),
        (resets(act=True), Unclear(BROKE)),
        (resets(), Unclear(BROKE)),
        (breaks_off(act=True), Unclear(BROKE)),
        (writes(b"", act=True), Unclear(BROKE)),
        (writes(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), Unclear("it answered with something that is not HTTP")),
        (writes(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n"), Unclear),
        (writes(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000), Unclear(BROKE)),
    ],
)
async def test_every_answer_to_submit_proves_one_thing(
    cluster: Cluster, far: ScriptedCluster, job: UUID, answer: Answer, expected: object
) -> None:
    far.script(job, submit=[answer])
    sighting = await cluster.submit(job, body_of(job))
    assert isinstance(sighting, expected) if isinstance(expected, type) else sighting == expected
    assert len(far.calls("submit")) == 1  # nothing is sent twice by itself
    assert far.key not in repr(sighting)
    assert "127.0.0.1" not in repr(sighting)  # it is shown to people


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'"ext-1"',
        b"<html>welcome</html>",
        b'{"external_job_id": "ext-1"',
        b'{"external_job_id": "ext-1"} trailing',
        b'{"external_job_id": 7}',
        b'{"external_job_id": null}',
        b'{"external_job_id": ""}',
        b'{"external_job_id": ".."}',
        b'{"external_job_id": "../../admin"}',
        b'{"external_job_id": "ext?x=1"}',
        b'{"external_job_id": "ext\\n"}',
        b'{"external_job_id": "\\u00e9"}',
        b'{"external_job_id": "%s"}' % (b"x" * 10_000),
        b"[" * 50_000,
        b'{"n": %s}' % (b"9" * 5_000),
        b"\xff\xfe",
    ],
    ids=range(20),
)
async def test_a_2xx_without_a_usable_id_is_unclear(
    cluster: Cluster, far: ScriptedCluster, job: UUID, body: bytes
) -> None:
    far.script(job, submit=[says(200, body, act=True)])
    assert await cluster.submit(job, body_of(job)) == Unclear(NOT_AN_ID)


async def test_an_answer_about_another_job_is_unclear(
    cluster: Cluster, far: ScriptedCluster, job: UUID
) -> None:
    echoes = [
        {"job_id": str(uuid4()), "external_job_id": "ext-9"},
        {"job_id": str(job), "external_job_id": "ext-1"},
    ]
    far.script(job, submit=[says(200, echo) for echo in echoes])
    assert await cluster.submit(job, body_of(job)) == Unclear("it answered about another job")
    assert await cluster.submit(job, body_of(job)) == Accepted("ext-1")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("3", 3),
        ("0", 0),
        ("999999999", 10**8),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("1.5", None),
        ("٣", None),
    ],
)
async def test_retry_after_is_read_strictly(
    cluster: Cluster, far: ScriptedCluster, job: UUID, header: str, expected: int | None
) -> None:
    far.script(job, submit=[says(503, headers={"Retry-After": header})])
    wait = None if expected is None else timedelta(seconds=expected)
    assert await cluster.submit(job, body_of(job)) == NotNow("it answered 503", wait)


async def test_retry_after_may_be_a_date(cluster: Cluster, far: ScriptedCluster, job: UUID) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(minutes=10), usegmt=True)
    far.script(job, submit=[says(429, headers={"Retry-After": later})])
    sighting = await cluster.submit(job, body_of(job))
    assert isinstance(sighting, NotNow)
    assert sighting.retry_after is not None
    assert timedelta(minutes=8) < sighting.retry_after <= timedelta(minutes=10)


@pytest.mark.parametrize(
    "answer",
    [
        hangs(act=True),
        usual(drip=0.05),
        usual(delay=30),
        writes(b"HTTP/1.1 200 OK\r\nX-Slow: " + b"." * 1000, drip=0.05),
    ],
    ids=["no word", "body byte by byte", "too late", "header byte by byte"],
)
async def test_one_deadline_covers_the_whole_call(
    hasty: Cluster, cluster: Cluster, far: ScriptedCluster, job: UUID, answer: Answer
) -> None:
    far.script(job, submit=[answer])
    assert await hasty.submit(job, body_of(job)) == Unclear("no answer within 0.6 s")
    assert await cluster.submit(job, body_of(job)) == Accepted("ext-1")
    assert far.jobs[job].max_live == 1


async def test_a_refused_connection_was_certainly_not_sent_and_the_next_attempt_works(
    cluster: Cluster, far: ScriptedCluster, job: UUID
) -> None:
    await far.go_down()
    assert await cluster.submit(job, body_of(job)) == NotNow("connection refused", answered=False)
    await far.come_back()
    assert await cluster.submit(job, body_of(job)) == Accepted("ext-1")


async def test_a_connection_that_died_while_idle_is_not_used_for_a_submit(
    cluster: Cluster, far: ScriptedCluster, run: str
) -> None:
    await far.go_down()
    await far.come_back()
    other = uuid4()
    assert await cluster.submit(other, body_of(other)) == Accepted("ext-2")
    assert len(far.calls("submit", other)) == 1


async def test_a_kept_alive_connection_that_dies_under_a_submit_is_unclear_and_not_sent_again(
    cluster: Cluster, far: ScriptedCluster, run: str, job: UUID
) -> None:
    far.script(job, submit=[resets()])
    assert await cluster.submit(job, body_of(job)) == Unclear(BROKE)
    assert len(far.calls("submit")) == 2  # the one that made `run`, and this one


async def _knows_nobody(host: str, port: int) -> Sequence[tuple[Any, ...]]:
    raise socket.gaierror(-2, "Name or service not known")


async def _never_answers(host: str, port: int) -> Sequence[tuple[Any, ...]]:
    await asyncio.Event().wait()
    return ()


@pytest.mark.parametrize(
    ("lookup", "reason"),
    [(_knows_nobody, "its host name is unknown"), (_never_answers, "no connection in time")],
)
async def test_what_could_not_connect_was_certainly_not_sent(job: UUID, lookup: Lookup, reason: str) -> None:
    async with open_cluster(
        "http://cluster.invalid/", "key", timedelta(seconds=0.3), lookup=lookup
    ) as client:
        assert await client.submit(job, body_of(job)) == NotNow(reason, answered=False)


async def test_a_server_without_tls_gets_nothing_of_a_call_that_asked_for_it(
    far: ScriptedCluster, job: UUID
) -> None:
    async with open_cluster(far.url.replace("http:", "https:"), far.key, timedelta(seconds=20)) as client:
        assert await client.submit(job, body_of(job)) == NotNow("no connection", answered=False)
    assert far.journal == []
