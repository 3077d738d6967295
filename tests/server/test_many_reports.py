"""Many reports at once: they share transactions, none is lost or harmed by another, and there are never too many."""

import asyncio
import os
import signal
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import select, update
from starlette.applications import Starlette

from jobs.database import DatabaseUnavailable, RowRefused, Transaction, metrics, telling
from jobs.database.tables import metrics_points, training_jobs
from jobs.domain.job import Job
from jobs.domain.lifecycle import JobStatus
from jobs.domain.sighting import Report
from jobs.reports import CallbackOutcome
from server.callbacks import callback_route
from server.health import Meters
from server.quotas import Quota, Room
from tests.domain.factories import a_point
from tests.server.house import House
from tests.server.test_callbacks import address, point, steps
from tests.server.web import listening
from tests.services.api import api

TAKEN, ENDED, UNKNOWN = CallbackOutcome.TAKEN, CallbackOutcome.ENDED, CallbackOutcome.UNKNOWN


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> list[set[UUID]]:
    """The jobs of each transaction, as they begin."""
    seen: list[set[UUID]] = []
    hold = telling.hold

    async def noted(tx: Transaction, wanted: Collection[telling.Owned]) -> Any:
        seen.append({job_id for job_id, _ in wanted})
        return await hold(tx, wanted)

    monkeypatch.setattr(telling, "hold", noted)
    return seen


async def taken(house: House, job: Job, *reports: Report) -> list[CallbackOutcome]:
    """What becomes of reports that are sent all at once."""
    return await asyncio.gather(*(house.commands.reports.take(job.id, job.user_id, each) for each in reports))


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for it."""
    async with asyncio.timeout(20):
        while not is_so():  # noqa: ASYNC110 - others make it so
            await asyncio.sleep(0.001)


async def sent_off(house: House, job: Job, *steps: int) -> list[asyncio.Task[CallbackOutcome]]:
    """Reports of a point each that have been taken in and wait to be written."""
    sending = [
        house.commands.reports.take(job.id, job.user_id, Report(points=(a_point(step),))) for step in steps
    ]
    tasks = [asyncio.create_task(each) for each in sending]
    await asyncio.sleep(0)
    return tasks


async def test_reports_that_come_at_once_share_a_transaction(house: House, groups: list[set[UUID]]) -> None:
    jobs = [await house.running(user) for user in ("ada", "bob") for _ in range(4)]
    reports = [Report(points=(a_point(step),)) for step in range(200, 205)]
    outcomes = await asyncio.gather(*(taken(house, job, *reports) for job in jobs))
    assert outcomes == [[TAKEN] * 5] * 8
    assert groups == [{job.id for job in jobs}]
    for job in jobs:
        assert await steps(house, job) == [120, 200, 201, 202, 203, 204]


async def test_many_points_at_once_are_shared_out(house: House, groups: list[set[UUID]]) -> None:
    jobs = [await house.running() for _ in range(3)]
    report = Report(points=tuple(a_point(step) for step in range(400)))
    outcomes = await asyncio.gather(*(taken(house, job, report) for job in jobs))
    assert outcomes == [[TAKEN]] * 3
    # Both begin together, so either may be first with its question.
    assert sorted(groups, key=len) == [{jobs[2].id}, {jobs[0].id, jobs[1].id}]
    for job in jobs:
        assert len(await steps(house, job)) == 400


async def test_reports_of_one_job_are_taken_in_the_order_in_which_they_came(house: House) -> None:
    job = await house.running()
    reports = [
        Report(progress=percent, current_step=step, stage=f"at {step}", points=(a_point(9, training_loss=float(step)),))
        for step, percent in ((150, 50.0), (160, 60.0), (155, 55.0))
    ]  # fmt: skip
    assert await taken(house, job, *reports) == [TAKEN] * 3
    told = await house.look(job.id)
    assert (told.progress, told.current_step, told.current_stage) == (60.0, 155, "at 155")
    async with house.database.read() as tx:
        [point_9, _] = await metrics.newest(tx, job.id, last=2)
    assert (point_9.step, point_9.training_loss) == (9, 155.0)


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)  # SQLite has one writer at a time
async def test_while_one_transaction_is_on_its_way_another_is_made_of_other_jobs(
    house: House, groups: list[set[UUID]], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = await house.running(), await house.running()
    upsert_many, ready = metrics.upsert_many, asyncio.Event()

    async def slow(*given: Any) -> None:
        await upsert_many(*given)
        await ready.wait()

    monkeypatch.setattr(metrics, "upsert_many", slow)
    first = await sent_off(house, one, 1)
    await until(lambda: len(groups) == 1)
    later = [*await sent_off(house, one, 2, 3), *await sent_off(house, other, 1)]
    await until(lambda: len(groups) == 2)
    assert groups == [{one.id}, {other.id}]
    ready.set()
    assert await asyncio.gather(*first, *later) == [TAKEN] * 4
    assert groups == [{one.id}, {other.id}, {one.id}]
    assert await steps(house, one) == [1, 2, 3, 120]


async def test_what_is_wrong_with_one_report_harms_no_other(house: House) -> None:
    good, bad, ended = await house.running(), await house.running("bob"), await house.cancelled()
    strangers = replace(good, user_id="bob")
    before = await house.look(bad.id)
    impossible = Report(points=(a_point(7, epoch=-1),))
    answers: list[object] = []
    answers += await asyncio.gather(
        taken(house, good, Report(points=(a_point(1),))),
        taken(house, bad, impossible),
        taken(house, ended, Report()),
        taken(house, strangers, Report(points=(a_point(2),))),
        taken(house, replace(good, id=uuid4()), Report()),
        taken(house, good, Report(points=(a_point(3),))),
        return_exceptions=True,
    )
    assert isinstance(answers.pop(1), RowRefused)
    assert answers == [[TAKEN], [ENDED], [UNKNOWN], [UNKNOWN], [TAKEN]]
    assert await steps(house, good) == [1, 3, 120]
    assert (await house.look(bad.id), await steps(house, bad)) == (before, [120])


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)  # SQLite has one writer at a time
async def test_a_job_that_somebody_else_holds_keeps_no_other_waiting(house: House) -> None:
    held, free = await house.running(), await house.running()
    async with house.database.begin() as tx:
        await tx.execute(update(training_jobs).where(training_jobs.c.id == held.id).values(failures=0))
        waiting = asyncio.create_task(taken(house, held, Report(progress=50.0), Report(progress=51.0)))
        assert await taken(house, free, Report(progress=60.0)) == [TAKEN]
        assert not waiting.done()
    assert await waiting == [TAKEN, TAKEN]
    assert (await house.look(held.id)).progress == 51.0


async def test_several_processes_take_reports_of_the_same_jobs(house: House) -> None:
    houses = [house, *(House(house.database, house.api, house.buckets, house.settings) for _ in range(2))]
    jobs = [await house.running() for _ in range(4)]
    outcomes = await asyncio.gather(
        *(
            taken(each, job, Report(points=(a_point(step),)))
            for step in range(5)
            for number, each in enumerate(houses)
            for job in (jobs if number else reversed(jobs))
        )
    )
    assert outcomes == [[TAKEN]] * (5 * 3 * 4)
    for job in jobs:
        assert await steps(house, job) == [0, 1, 2, 3, 4, 120]


async def test_a_cancel_in_between_is_the_last_word(house: House) -> None:
    job = await house.running()
    outcomes, _ = await asyncio.gather(
        taken(house, job, *[Report(progress=50.0)] * 9), house.commands.cancel_job("ada", job.id)
    )
    assert set(outcomes) <= {TAKEN, ENDED}
    assert await taken(house, job, Report()) == [ENDED]
    assert (await house.look(job.id)).status is JobStatus.CANCELLED


async def test_whoever_waits_no_longer_costs_the_others_nothing(house: House) -> None:
    job = await house.running()
    sent = await sent_off(house, job, 1, 2, 3)
    sent[1].cancel()
    assert await sent[0] is await sent[2] is TAKEN
    assert await steps(house, job) == [1, 2, 3, 120]


async def test_what_was_taken_in_is_written_before_the_end(house: House) -> None:
    job = await house.running()
    sent = await sent_off(house, job, *range(9))
    await house.commands.reports.close()
    assert await steps(house, job) == [*range(9), 120]
    assert await asyncio.gather(*sent) == [TAKEN] * 9


async def test_everybody_hears_that_the_database_is_away(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise DatabaseUnavailable("away")

    job = await house.running()
    with monkeypatch.context() as patch:
        patch.setattr(telling, "hold", away)
        answers = await asyncio.gather(
            *(taken(house, job, Report()) for _ in range(3)), return_exceptions=True
        )
    assert [type(answer) for answer in answers] == [DatabaseUnavailable] * 3
    assert await taken(house, job, Report()) == [TAKEN]


async def test_what_there_is_no_room_for_is_a_429_and_goes_unread(house: House) -> None:
    job, meters, room = await house.running(), Meters(), Room(5_000)
    route = callback_route(
        house.commands, clock=house.database.now, meters=meters, quota=Quota(10_000, 4), room=room
    )
    async with listening(Starlette(routes=[route])) as url, httpx.AsyncClient(base_url=url) as http:
        with room.held(4_000):  # by reports of others
            answer = await http.post(address(house, job), content=b"no JSON")
            assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")
        for _ in range(5):  # what was answered makes room again
            assert (await http.post(address(house, job), content=b"{}")).status_code == 202
            assert (await http.post(address(house, job), content=b"no JSON")).status_code == 400
        large = await http.post(address(house, job), content=b" " * 6_000)
        assert large.status_code == 429
        unknown = await http.post(address(house, replace(job, id=uuid4()))[:-1], content=b"{}")
        assert unknown.status_code == 404  # the token comes first


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
async def test_nothing_acknowledged_is_lost_when_the_process_ends(house: House, end: signal.Signals) -> None:
    """And when it is asked to end, everything that it took in is acknowledged."""
    jobs = [await house.running(user) for user in ("ada", "bob", "eve")]
    acknowledged: dict[UUID, set[int]] = {job.id: set() for job in jobs}

    async def report(http: httpx.AsyncClient, job: Job, first: int) -> None:
        for step in range(first, first + 1_000_000):
            with suppress(httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
                answer = await http.post(address(house, job), json={"points": [point(step)]})
                assert answer.status_code == 202
                acknowledged[job.id].add(step)

    url = house.api.engine.url.set(drivername=house.api.dialect).render_as_string(hide_password=False)
    with api(None, DATABASE_URL=url, CALLBACKS_PER_MINUTE="1000000") as running:
        async with httpx.AsyncClient(base_url=running.url, timeout=30) as http:
            sending = [
                asyncio.create_task(report(http, job, first))
                for job in jobs
                for first in (1_000_000, 2_000_000, 3_000_000)
            ]
            while not all(len(each) > 20 for each in acknowledged.values()):  # noqa: ASYNC110 - others add to them
                await asyncio.sleep(0.01)
            os.kill(running.pid, end)
            assert {type(each) for each in await asyncio.gather(*sending, return_exceptions=True)} == {
                httpx.ConnectError
            }
    for job in jobs:
        async with house.database.read() as tx:
            steps_of = select(metrics_points.c.step).where(metrics_points.c.job_id == job.id)
            stored = set(await tx.scalars(steps_of)) - {120}
        assert stored >= acknowledged[job.id]
        if end is signal.SIGTERM:
            assert stored == acknowledged[job.id]
