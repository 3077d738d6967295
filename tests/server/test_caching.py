"""What is remembered of a job is what would be answered now, to its owner and to nobody else."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest
from graphql import GraphQLInterfaceType, GraphQLObjectType, GraphQLUnionType, build_schema, get_named_type
from sqlalchemy import event

from jobs.callback_url import CallbackUrls
from jobs.database import Database
from jobs.database.changes import Changes, changes_of
from jobs.domain.job import Job
from jobs.domain.lifecycle import JobStatus
from jobs.domain.metrics import Point
from jobs.domain.sighting import Report
from server.answers import Answer, takes_gzip
from server.caching import Answers, Key
from server.media import Media
from server.schema import schema
from tests.database.acts import callback
from tests.database.connections import connections_used
from tests.database.rows import look, put_one
from tests.server.house import NINE, House
from tests.server.polls import ask, counted, get, question
from tests.server.web import Site


async def test_an_unchanged_job_is_answered_again_without_the_database(house: House, served: Site) -> None:
    job = await house.running()
    first = await ask(served, job)
    assert first.json()["data"]["job"]["progress"] == 40.0
    with connections_used(served.app.state.database) as taken:
        for _ in range(3):
            assert (await ask(served, job)).content == first.content
    assert taken == []


async def test_what_another_process_changes_is_soon_in_the_answer(house: House, served: Site) -> None:
    job = await house.running()
    for asking in (ask, get):
        assert (await asking(served, job)).json()["data"]["job"]["status"] == "RUNNING"
    ended = await house.ended(job)
    async with asyncio.timeout(20):
        while (await ask(served, job)).json()["data"]["job"]["status"] == "RUNNING":
            pass
    seen = (await get(served, job)).json()["data"]["job"]
    assert seen == (await ask(served, job)).json()["data"]["job"]
    assert (seen["status"], seen["costs"]["current"]) == ("COMPLETED", str(ended.final_cost))
    assert len(seen["costs"]["records"]) == 1


async def test_who_cancels_sees_it_in_the_next_answer(house: House, served: Site) -> None:
    for _ in range(5):
        job = await house.running()
        assert (await ask(served, job)).json()["data"]["job"]["status"] == "RUNNING"
        await served.ask(f'mutation {{ cancelJob(id: "{job.id}") {{ __typename }} }}')
        assert (await ask(served, job)).json()["data"]["job"]["status"] == "CANCELLED"


async def test_what_a_trainer_has_reported_is_in_the_next_answer(house: House, served: Site) -> None:
    job = await house.running()
    address = CallbackUrls("", served.settings.secret_key).url(job)
    for step in range(200, 205):
        await ask(served, job)
        told = await served.http.post(address, json={"points": [{"step": step, "training_loss": 0.5}]})
        assert told.status_code == 202
        steps = [point["step"] for point in (await ask(served, job)).json()["data"]["job"]["metrics"]]
        assert steps[-1] == step


async def test_no_remembered_byte_crosses_users(house: House, served: Site) -> None:
    adas, bobs = await house.running("ada"), await house.running("bob")
    for asking in (ask, get):
        for job, owner, other in ((adas, "ada", "bob"), (bobs, "bob", "ada")):
            own = await asking(served, job, owner)
            assert own.json()["data"]["job"]["id"] == str(job.id)
            assert (await asking(served, job, other)).json() == {"data": {"job": None}}
            assert (await asking(served, job, owner)).content == own.content
    tag = (await get(served, adas)).headers["ETag"]
    assert (await get(served, adas, "ada", **{"If-None-Match": tag})).status_code == 304
    stolen = await get(served, adas, "bob", **{"If-None-Match": tag})
    assert (stolen.status_code, stolen.json()) == (200, {"data": {"job": None}})


async def test_a_conditional_question_of_an_unchanged_job_is_answered_in_few_bytes(
    house: House, served: Site
) -> None:
    job = await house.running()
    first = await get(served, job)
    request = (
        f"GET {first.request.url.raw_path.decode()} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        f"Authorization: {first.request.headers['Authorization']}\r\nIf-None-Match: {first.headers['ETag']}\r\n\r\n"
    )
    raw = await served.raw(request.encode())
    assert raw.startswith(b"HTTP/1.1 304 ")
    assert raw.endswith(b"\r\n\r\n")
    assert len(raw) < 170 + len("connection: close\r\n")
    fields = raw.decode().lower()
    assert all(f"\r\n{name}: " in fields for name in ("etag", "vary", "cache-control", "date"))


async def test_answers_are_packed_for_those_who_take_it(house: House, served: Site) -> None:
    job = await house.running()
    await house.points(job, [Point(step=step, timestamp=NINE, training_loss=0.5) for step in range(100)])
    for asking in (ask, get):
        plain = await asking(served, job, **{"Accept-Encoding": "identity"})
        packed = await asking(served, job, **{"Accept-Encoding": "gzip"})
        assert "Content-Encoding" not in plain.headers
        assert packed.headers["Content-Encoding"] == "gzip"
        assert int(packed.headers["Content-Length"]) < int(plain.headers["Content-Length"]) / 3
        assert packed.content == plain.content  # httpx has unpacked it
        assert packed.headers["Vary"] == plain.headers["Vary"] == "Accept, Accept-Encoding, Authorization"
    assert packed.headers["ETag"] == f"W/{plain.headers['ETag']}"
    for tag in (packed.headers["ETag"], plain.headers["ETag"]):
        assert (await get(served, job, **{"If-None-Match": tag})).status_code == 304


@pytest.mark.parametrize(
    ("header", "takes"),
    [
        ("", False),
        ("gzip", True),
        ("gzip;q=0", False),
        ("br, GZIP;q=0.1", True),
        ("*", True),
        ("*;q=0, br", False),
        ("*, gzip;q=0", False),
        ("identity", False),
        ("xgzip", False),
    ],
)
def test_only_who_names_gzip_or_anything_takes_it(header: str, takes: bool) -> None:
    assert takes_gzip(header) is takes


async def test_what_is_no_whole_answer_about_a_job_is_not_remembered(house: House, served: Site) -> None:
    job = await house.running()
    queries = [
        "query ($id: ID!) { job(id: $id) { id } viewer { id } }",
        "query ($id: ID!) { a: job(id: $id) { id } b: job(id: $id) { id } }",
        "query ($id: ID!) { job(id: $id) { metrics(last: 0) { step } } }",
        "query ($id: ID!) { job(id: $id) { nothing } }",
    ]
    before = await counted(served)
    for query in queries * 2:
        await served.http.post("/graphql", json=question(job, query), headers=served.signed_in())
    for _ in range(2):
        await ask(served, uuid4())
    assert (await counted(served)).get("remembered") == before.get("remembered")


def test_all_that_an_answer_about_a_job_can_show_hangs_on_the_jobs_row() -> None:
    """Whoever adds a type here must see to it that its changes raise the job's revision."""
    built = build_schema(schema.as_str())
    seen: set[str] = set()
    waiting = ["Job"]
    while waiting:
        name = waiting.pop()
        kind = built.type_map[name]
        assert not isinstance(kind, GraphQLUnionType | GraphQLInterfaceType)
        if name not in seen and isinstance(kind, GraphQLObjectType):
            seen.add(name)
            waiting += [get_named_type(field.type).name for field in kind.fields.values()]
    rows = {"Job", "Hyperparameters", "GpuConfig", "CurrentMetrics", "JobCosts"}
    told_with_the_row = {"MetricsPoint", "CostRecord", "JobEvent"}
    never_changed = {"Dataset", "ModelArtifact"}  # a dataset that has a job is READY, and stays as it is
    assert seen == rows | told_with_the_row | never_changed


# The memory by itself.


@dataclass
class Lite:
    """A SQLite file whose changes are watched."""

    database: Database
    changes: Changes
    reads: list[object]

    async def job(self) -> Job:
        """A new running job, at 40 percent."""
        return await put_one(self.database, JobStatus.RUNNING, progress=40.0, dataset_id=uuid4())

    async def tell(self, job: Job, progress: float) -> None:
        """What a trainer reports of it."""
        assert await callback(self.database, job, Report(progress=progress))


@pytest.fixture
async def lite(sqlite_template: Path, tmp_path: Path) -> AsyncIterator[Lite]:
    """An empty one."""
    url = f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'lite.db')}"
    database = Database.open(url)
    changes = changes_of(database, url)
    reads: list[object] = []
    event.listen(database.engine.sync_engine.pool, "checkin", lambda *given: reads.append(given[0]))
    async with changes.watching():
        yield Lite(database, changes, reads)
    await database.close()


@pytest.fixture
def changes(lite: Lite) -> Changes:
    """Those of an empty file."""
    return lite.changes


def a_job(**changes: Any) -> Job:
    return cast("Job", type("Seen", (), {"id": uuid4(), "revision": 1} | changes))


def an_answer(size: int = 10) -> Answer:
    return Answer(200, {"data": "x" * size}, Media.JSON)


def a_key(answers: Answers, text: bytes = b"?", user: str = "ada", at: datetime = NINE) -> Key:
    return answers.key(user, text, Media.JSON, by_get=False, asked_at=at)


async def test_who_asks_the_same_at_once_is_answered_by_one_execution(changes: Changes) -> None:
    heard: list[str] = []
    answers = Answers(changes, count=heard.append)
    job = a_job()

    async def make() -> tuple[Answer, Job]:
        await asyncio.sleep(0)
        return an_answer(), job

    key = a_key(answers)
    found = await asyncio.gather(*(answers.make(key, make) for _ in range(50)))
    assert {id(answer) for answer in found} == {id(found[0])}
    assert heard.count("made") == 1


async def test_who_comes_after_a_change_does_not_take_what_was_begun_before_it(lite: Lite) -> None:
    job, go_on = await lite.job(), asyncio.Event()

    async def slowly() -> tuple[Answer, Job]:
        seen = await look(lite.database, job)
        await go_on.wait()
        return Answer(200, {"progress": seen.progress}, Media.JSON), seen

    answers = Answers(lite.changes)
    key = a_key(answers)
    lite.reads.clear()
    first = asyncio.create_task(answers.make(key, slowly))
    async with asyncio.timeout(20):
        while not lite.reads:  # noqa: ASYNC110 - it is counted by the pool
            await asyncio.sleep(0.005)
    await lite.tell(job, progress=70.0)
    second, third = (asyncio.create_task(answers.make(key, slowly)) for _ in range(2))
    await asyncio.sleep(0)
    go_on.set()
    assert b"40.0" in (await first).body
    assert b"70.0" in (await second).body
    assert await third is await second


async def test_one_that_fails_fails_alone(changes: Changes) -> None:
    answers = Answers(changes)
    begun = 0

    async def make() -> tuple[Answer, Job]:
        nonlocal begun
        begun += 1
        mine = begun
        await asyncio.sleep(0)
        if mine == 1:
            raise ValueError
        return an_answer(), a_job()

    key = a_key(answers)
    found = await asyncio.gather(*(answers.make(key, make) for _ in range(5)), return_exceptions=True)
    assert [isinstance(each, ValueError) for each in found] == [True, False, False, False, False]


async def test_one_who_waits_and_gives_up_disturbs_nobody(changes: Changes) -> None:
    answers = Answers(changes)
    go_on = asyncio.Event()

    async def make() -> tuple[Answer, Job]:
        await go_on.wait()
        return an_answer(), a_job()

    key = a_key(answers)
    first, second, third = (asyncio.create_task(answers.make(key, make)) for _ in range(3))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.sleep(0)
    go_on.set()
    assert await first is await third
    assert second.cancelled()


async def test_memory_is_bounded_and_what_was_not_asked_for_longest_goes_first(changes: Changes) -> None:
    answers = Answers(changes, most_bytes=100_000)

    async def make(size: int = 1_000) -> tuple[Answer, Job]:
        return an_answer(size), a_job()

    keys = [a_key(answers, b"%d" % number) for number in range(100)]
    for key in keys:
        await answers.make(key, make)
        await answers.recall(keys[0])
        assert answers.bytes <= 100_000
    assert await answers.recall(keys[0])
    assert await answers.recall(keys[-1])
    assert await answers.recall(keys[1]) is None
    huge = a_key(answers, b"huge")
    await answers.make(huge, lambda: make(50_000))
    assert await answers.recall(huge) is None
    assert await answers.recall(keys[0])


async def test_a_new_round_of_links_is_another_question(changes: Changes) -> None:
    answers = Answers(changes)
    first, same, other = (a_key(answers, at=NINE + timedelta(seconds=passed)) for passed in (0, 1_799, 1_800))
    assert first == same != other


async def test_without_news_of_changes_each_question_is_checked_against_the_revision(lite: Lite) -> None:
    heard: list[str] = []
    answers = Answers(lite.changes, count=heard.append)
    job = await lite.job()
    key = a_key(answers)

    async def make() -> tuple[Answer, Job]:
        return an_answer(), await look(lite.database, job)

    await answers.make(key, make)
    await lite.job()  # the file changes, the job does not
    assert await answers.recall(key)
    assert await answers.recall(key)
    await lite.tell(job, progress=70.0)
    assert await answers.recall(key) is None
    assert heard == ["made", "checked", "remembered"]
