"""One caller's flood is answered 429 and told when to come back; nobody else notices."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from jobs.callback_url import CallbackUrls
from jobs.domain.job import Job
from jobs.domain.pricing import GpuConfig
from jobs.domain.training import Hyperparameters
from server.quotas import Quota
from server.replies import Refused
from server.shared_allowance import SharedAllowance
from tests.server.web import MODERN, Site, settings_of, site
from tests.services import ValkeyServer

VIEWER = "{ viewer { id } }"


class Clock:
    """Stands still until it is moved."""

    seconds = 1_000.0

    def __call__(self) -> float:
        """The time."""
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def ask(quota: Quota, who: str = "ada") -> str | None:
    """None when it was let in, else how many seconds to wait."""
    try:
        async with quota.turn(who):
            return None
    except Refused as exc:
        told = exc
    assert (told.status, told.code) == (429, "RATE_LIMITED")
    assert told.headers is not None
    return told.headers["Retry-After"]


async def test_a_minutes_allowance_may_come_at_once_and_comes_back_evenly(clock: Clock) -> None:
    quota = Quota(60, 1, clock=clock)
    assert [await ask(quota) for _ in range(60)] == [None] * 60
    assert await ask(quota) == "1"
    assert await ask(quota, "bob") is None
    clock.seconds += 0.9
    assert await ask(quota) == "1"
    clock.seconds += 0.1
    assert [await ask(quota), await ask(quota)] == [None, "1"]
    clock.seconds += 3_600
    assert [await ask(quota) for _ in range(61)] == [None] * 60 + ["1"]


async def test_who_is_told_when_to_come_back_is_let_in_then(clock: Clock) -> None:
    quota = Quota(7, 1, clock=clock)
    for _ in range(50):
        wait = await ask(quota)
        if wait is not None:
            clock.seconds += int(wait)
            assert await ask(quota) is None


async def test_so_many_at_once_and_the_others_in_the_order_they_came() -> None:
    quota, order = Quota(10_000, 2, waiting=3), list[int]()
    most = working = 0

    async def work(number: int) -> None:
        nonlocal most, working
        async with quota.turn("ada"):
            working += 1
            most = max(most, working)
            await asyncio.sleep(0.001)
            order.append(number)
            working -= 1

    outcomes = await asyncio.gather(*(work(number) for number in range(7)), return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
    assert [(each.code, each.headers) for each in refused] == [("TOO_MANY_AT_ONCE", {"Retry-After": "1"})] * 2
    assert (order, most, working) == ([0, 1, 2, 3, 4], 2, 0)
    await work(8)


async def test_nobody_waits_for_ever() -> None:
    quota = Quota(10_000, 1, patience=0.01)
    async with quota.turn("ada"):
        with pytest.raises(Refused, match="at once"):
            await quota.enter("ada")
        async with quota.turn("bob"):
            pass
    async with quota.turn("ada"):
        pass


@pytest.mark.parametrize("in_the_same_instant", [True, False])
async def test_a_place_is_not_lost_with_whom_it_was_given_to(in_the_same_instant: bool) -> None:
    quota = Quota(10_000, 1)
    first = await quota.enter("ada")
    leaves = asyncio.create_task(quota.enter("ada"))
    stays = asyncio.create_task(quota.enter("ada"))
    await asyncio.sleep(0)
    if in_the_same_instant:
        quota.leave(first)
    leaves.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaves
    if not in_the_same_instant:
        quota.leave(first)
    quota.leave(await stays)
    async with quota.turn("ada"):
        pass
    assert first.running == 0


async def test_who_is_idle_is_forgotten_and_who_used_something_up_is_not(clock: Clock) -> None:
    quota = Quota(60, 1, clock=clock)
    for number in range(9_999):
        await ask(quota, f"user-{number}")
    clock.seconds += 30
    for _ in range(60):
        await ask(quota, "greedy")
    clock.seconds += 1
    await ask(quota, "one more")
    assert len(quota._callers) == 2
    assert [await ask(quota, "greedy"), await ask(quota, "greedy")] == [None, "1"]


PER_MINUTE = 6  # so one comes back in ten seconds, and a slow machine is no matter


@pytest.fixture
async def api(sqlite_template: Path, tmp_path: Path) -> AsyncIterator[Site]:
    few = {"RATE_LIMIT_PER_MINUTE": str(PER_MINUTE), "CALLBACKS_PER_MINUTE": str(PER_MINUTE)}
    async with site(settings_of(tmp_path, **few), template=sqlite_template) as served:
        yield served


async def test_a_flood_of_one_user_is_refused_and_another_user_is_not(api: Site) -> None:
    async def ask_once() -> tuple[int, str | None]:
        answer = await api.http.post(
            "/graphql", json={"query": VIEWER}, headers=api.signed_in() | {"Accept": MODERN}
        )
        if answer.status_code == 429:
            [error] = answer.json()["errors"]
            assert error["extensions"]["code"] == "RATE_LIMITED"
            assert "a minute" in error["message"]
        return answer.status_code, answer.headers.get("Retry-After")

    answers = await asyncio.gather(*(ask_once() for _ in range(5 * PER_MINUTE)))
    assert PER_MINUTE <= answers.count((200, None)) <= 2 * PER_MINUTE
    refused = {seconds for status, seconds in answers if status == 429}
    assert refused
    assert refused <= {str(seconds) for seconds in range(1, 11)}
    assert (await api.ask(VIEWER, "bob"))["data"] == {"viewer": {"id": "bob"}}


async def test_what_is_refused_for_its_number_is_not_read(api: Site) -> None:
    while "errors" not in await api.ask(VIEWER):
        pass
    head = (
        f"POST /graphql HTTP/1.1\r\nHost: x\r\nAuthorization: {api.signed_in()['Authorization']}\r\n"
        "Content-Type: application/json\r\nContent-Length: 90000\r\nConnection: close\r\n\r\n"
    )
    assert (await api.raw(head.encode())).startswith(b"HTTP/1.1 429 ")  # with none of its body sent


async def test_a_flood_of_reports_about_one_job_is_refused_and_another_jobs_are_not(api: Site) -> None:
    at = datetime.now(UTC)
    paths = []
    for _ in range(2):
        job = Job(
            id=uuid4(), user_id="ada", dataset_id=uuid4(), hyperparameters=Hyperparameters(),
            gpu_config=GpuConfig("NVIDIA A100", 1, api.settings.gpu_catalog[0].cost_per_gpu_hour),
            created_at=at, updated_at=at,
        )  # fmt: skip
        url = urlsplit(CallbackUrls(api.settings.public_url, api.settings.secret_key).url(job))
        paths.append(f"{url.path}?{url.query}")

    async def report(path: str) -> tuple[int, bool]:
        answer = await api.http.post(path, json={"points": []})
        return answer.status_code, "Retry-After" in answer.headers

    answers = await asyncio.gather(*(report(paths[0]) for _ in range(5 * PER_MINUTE)))
    assert {*answers} == {(404, False), (429, True)}  # there is no such job, but its trainer's token is good
    assert answers.count((404, False)) <= 2 * PER_MINUTE
    assert await report(paths[1]) == (404, False)
    wrong = await api.http.post(paths[0][:-1], json={"points": []})
    assert wrong.status_code == 404  # a stranger is told nothing, not even that it is too much


async def test_processes_that_share_redis_count_together(valkey_server: ValkeyServer, clock: Clock) -> None:
    both = [SharedAllowance(valkey_server.url) for _ in range(2)]
    one, other = (Quota(6, 100, clock=clock, shared=allowance) for allowance in both)
    who = str(uuid4())
    assert [await ask(quota, who) for quota in (one, other) * 3] == [None] * 6
    assert await ask(one, who) == await ask(other, who) == "10"
    assert await ask(one, str(uuid4())) is None
    for allowance in both:
        await allowance.close()


async def test_while_redis_is_away_each_process_counts_for_itself(clock: Clock) -> None:
    allowance = SharedAllowance("redis://127.0.0.1:9/0")
    quota = Quota(2, 100, clock=clock, shared=allowance)
    assert [await ask(quota) for _ in range(3)] == [None, None, "30"]
    await allowance.close()
