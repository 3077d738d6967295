"""What the monitor asks beyond the contract: search, spending, a part of the history, and instants of the machinery."""

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from jobs.domain.metrics import Point
from tests.server.house import HOUR, MINUTE, NINE, House

SEARCH = (
    "query($search: String, $after: String, $first: Int! = 20) { jobs(search: $search, after: $after, first: $first) "
    "{ totalCount pageInfo { endCursor } nodes { id } } }"
)
PART = (
    "query($id: ID!, $from: Int, $to: Int, $most: Int!) { job(id: $id) "
    "{ metrics(maxPoints: $most, fromStep: $from, toStep: $to) { step nonFinite } } }"
)
SPENDING = "{ viewer { spending { runningJobs hourlyRate thisMonth } } }"


async def found(house: House, search: str | None) -> list[str]:
    """The ids that are answered, all counted."""
    page = (await house.data(SEARCH, search=search))["jobs"]
    assert page["totalCount"] == len(page["nodes"])
    return [job["id"] for job in page["nodes"]]


async def test_jobs_are_found_by_part_of_their_datasets_name_and_by_the_beginning_of_an_id(
    house: House,
) -> None:
    mine = await house.running(dataset=await house.dataset(name="100% Market_orders"))
    other = await house.job(dataset=await house.dataset(name="Recipes"))
    await house.job("bob", dataset=await house.dataset("bob", name="Market orders"))
    for words in (
        "market",
        "MARKET_ORD",
        "100% m",
        f" {mine.id} ",
        str(mine.id)[:8].upper(),
        f"run-{mine.id}"[:12],
    ):
        assert await found(house, words) == [str(mine.id)], words
    for nothing in ("", "  ", None):
        assert await found(house, nothing) == [str(other.id), str(mine.id)]
    for words in ("market%orders", "marketXorders", str(mine.id)[1:], str(uuid4())):
        assert await found(house, words) == [], words


async def test_a_cursor_belongs_to_its_search(house: House) -> None:
    for _ in range(3):
        await house.job()
    page = await house.data(SEARCH, search="pairs", first=1)
    cursor = page["jobs"]["pageInfo"]["endCursor"]
    assert len((await house.data(SEARCH, search="pairs", after=cursor))["jobs"]["nodes"]) == 2
    assert await house.code(SEARCH, search="pair", after=cursor) == "BAD_USER_INPUT"
    assert await house.code(SEARCH, after=cursor) == "BAD_USER_INPUT"
    assert await house.code(SEARCH, search="x" * 201) == "BAD_USER_INPUT"
    assert await house.code(SEARCH, search="pa\0irs") == "BAD_USER_INPUT"


async def test_spending_adds_the_month_and_what_is_held_now(house: House) -> None:
    assert (await house.data(SPENDING))["viewer"]["spending"] == spent(0, "0.00", "0.00")
    await house.job()
    await house.running()
    await house.running("bob")
    await house.completed()
    running = (await house.data(SPENDING))["viewer"]["spending"]
    assert (running["runningJobs"], running["hourlyRate"]) == (1, "5.00")
    booked = Decimal(running["thisMonth"])
    assert booked > 0
    unreleased = await house.cancelled(released=False)
    both = (await house.data(SPENDING))["viewer"]["spending"]
    assert both == spent(1, "10.00", str(booked + (unreleased.final_cost or 0)))


async def test_what_was_booked_before_this_month_does_not_count(house: House) -> None:
    await house.completed()
    later = await house.ask(SPENDING, at=NINE + timedelta(days=40))
    assert later.data == {"viewer": {"spending": spent(0, "0.00", "0.00")}}


@pytest.mark.parametrize(
    ("part", "steps"),
    [
        ({"from": 3}, [3, 4, 5]),
        ({"to": 2}, [1, 2]),
        ({"from": 2, "to": 4}, [2, 3, 4]),
        ({"from": 4, "to": 2}, []),
    ],
)
async def test_a_part_of_the_history_is_answered_whole(
    house: House, part: dict[str, Any], steps: list[int]
) -> None:
    job = await house.job()
    await house.points(
        job, [Point(step=step, timestamp=NINE + step * MINUTE, non_finite=step == 3) for step in range(1, 6)]
    )
    points = (await house.data(PART, id=str(job.id), most=50, **part))["job"]["metrics"]
    assert points == [{"step": step, "nonFinite": step == 3} for step in steps]


async def test_a_job_says_when_it_was_submitted_and_released(house: House) -> None:
    instants = "query($id: ID!) { job(id: $id) { submittedAt releasedAt contactLostSince } }"
    waiting = await house.job()
    ended = await house.cancelled()
    assert (await house.data(instants, id=str(waiting.id)))["job"] == dict.fromkeys(
        ("submittedAt", "releasedAt", "contactLostSince")
    )
    answer = (await house.data(instants, id=str(ended.id)))["job"]
    at = ended.created_at + MINUTE + HOUR + 6 * MINUTE
    assert answer["releasedAt"] == at.isoformat().replace("+00:00", "Z")


def spent(running: int, rate: str, month: str) -> dict[str, Any]:
    """The answer."""
    return {"runningJobs": running, "hourlyRate": rate, "thisMonth": month}
