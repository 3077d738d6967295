"""Pages: complete, in order, bound to who asked what, and never larger than allowed."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import pytest

from tests.server.house import NINE, House

LISTS = ("jobs", "datasets", "notifications")
JOBS = """query($first: Int! = 20, $after: String, $status: [JobStatus!]) {
  jobs(first: $first, after: $after, status: $status) { totalCount nodes { id } pageInfo { hasNextPage endCursor } }
}"""
NOTIFICATIONS = """query($after: String, $unreadOnly: Boolean! = false) {
  notifications(first: 1, after: $after, unreadOnly: $unreadOnly) {
    totalCount nodes { id } pageInfo { hasNextPage endCursor }
  }
}"""


def listing(name: str) -> str:
    """The list of that name, page by page."""
    return f"""query($first: Int! = 20, $after: String) {{ {name}(first: $first, after: $after) {{
      totalCount nodes {{ id createdAt }} pageInfo {{ hasNextPage endCursor }} }} }}"""


async def pages(house: House, name: str, **variables: Any) -> list[list[str]]:
    """The ids on each page, until there is no next."""
    found: list[list[str]] = []
    after = None
    while True:
        page = (await house.data(listing(name), after=after, **variables))[name]
        found.append([node["id"] for node in page["nodes"]])
        if not page["pageInfo"]["hasNextPage"]:
            return found
        after = page["pageInfo"]["endCursor"]


async def cursor(house: House, user: str = "ada", **variables: Any) -> str:
    """Where the first job's page ends."""
    return str((await house.data(JOBS, user, first=1, **variables))["jobs"]["pageInfo"]["endCursor"])


async def test_every_list_is_paged_through_without_gap_or_repeat(house: House) -> None:
    made = [await house.completed() for _ in range(4)]  # so there are four datasets and eight notifications
    newest_first = [str(job.id) for job in reversed(made)]
    assert await pages(house, "jobs", first=3) == [newest_first[:3], newest_first[3:]]
    assert await pages(house, "jobs", first=4) == [newest_first]
    assert await pages(house, "datasets", first=2) == [
        [str(made[3].dataset_id), str(made[2].dataset_id)],
        [str(made[1].dataset_id), str(made[0].dataset_id)],
    ]
    told = [each for page in await pages(house, "notifications", first=3) for each in page]
    assert len(told) == len(set(told)) == 8


async def test_rows_of_one_instant_are_told_apart(house: House) -> None:
    made = [await house.dataset(created_at=NINE) for _ in range(7)]
    found = [each for page in await pages(house, "datasets", first=2) for each in page]
    assert found == sorted((str(dataset.id) for dataset in made), reverse=True)


async def test_what_comes_in_meanwhile_moves_no_page(house: House) -> None:
    made = [await house.job() for _ in range(4)]
    after = (await house.data(JOBS, first=2))["jobs"]["pageInfo"]["endCursor"]
    await house.job()
    rest = (await house.data(JOBS, first=2, after=after))["jobs"]
    assert [node["id"] for node in rest["nodes"]] == [str(made[1].id), str(made[0].id)]
    assert rest["totalCount"] == 5
    assert rest["pageInfo"]["hasNextPage"] is False


@pytest.mark.parametrize("name", LISTS)
async def test_an_empty_list_ends_at_once(house: House, name: str) -> None:
    assert (await house.data(listing(name)))[name] == {
        "totalCount": 0,
        "nodes": [],
        "pageInfo": {"hasNextPage": False, "endCursor": None},
    }


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("first", [0, -1, 101, 2**31 - 1])
async def test_a_page_size_out_of_range_is_refused_not_cut(house: House, name: str, first: int) -> None:
    result = await house.ask(listing(name), first=first)
    assert result.data is None
    assert result.errors
    assert result.errors[0].message == f"`first` must be from 1 to 100, not {first}."
    assert result.errors[0].extensions == {"code": "BAD_USER_INPUT"}


async def test_pages_of_one_and_of_a_hundred_are_given(house: House) -> None:
    dataset = await house.dataset()
    for _ in range(101):
        await house.job(dataset=dataset)
    assert [len(page) for page in await pages(house, "jobs", first=100)] == [100, 1]
    assert len((await pages(house, "jobs"))[0]) == 20
    assert len((await house.data(JOBS, first=1))["jobs"]["nodes"]) == 1


async def test_a_cursor_is_bound_to_its_user(house: House) -> None:
    await house.job()
    await house.job("bob")
    after = await cursor(house)
    await house.data(JOBS, after=after)
    assert await house.code(JOBS, "bob", after=after) == "BAD_USER_INPUT"


async def test_a_cursor_is_bound_to_its_list_and_filter(house: House) -> None:
    await house.completed()
    await house.job()
    plain, filtered = await cursor(house), await cursor(house, status=["QUEUED", "COMPLETED"])
    assert await house.code(JOBS, after=plain, status=["QUEUED", "COMPLETED"]) == "BAD_USER_INPUT"
    assert await house.code(JOBS, after=filtered) == "BAD_USER_INPUT"
    assert await house.code(listing("datasets"), after=plain) == "BAD_USER_INPUT"
    assert (
        len(
            (await house.data(JOBS, after=filtered, status=["COMPLETED", "QUEUED", "QUEUED"]))["jobs"][
                "nodes"
            ]
        )
        == 1
    )
    all_, unread = [
        (await house.data(NOTIFICATIONS, unreadOnly=flag))["notifications"]["pageInfo"]["endCursor"]
        for flag in (False, True)
    ]
    assert await house.code(NOTIFICATIONS, after=all_, unreadOnly=True) == "BAD_USER_INPUT"
    assert (
        len((await house.data(NOTIFICATIONS, after=unread, unreadOnly=True))["notifications"]["nodes"]) == 1
    )


async def test_a_changed_cursor_is_refused(house: House) -> None:
    await house.job()
    good = await cursor(house)
    raw = urlsafe_b64decode(good)
    flipped = [raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :] for at in range(len(raw))]
    changed = [urlsafe_b64encode(each).decode() for each in (*flipped, raw[:-1], raw + b"\0", raw[1:])]
    for bad in [*changed, "", "=", "a", "MjA=", "é", "\0", good + "=", "null", "x" * 10_000]:
        assert await house.code(JOBS, after=bad) == "BAD_USER_INPUT", bad


async def test_a_cursor_says_nothing_readable(house: House) -> None:
    job = await house.job()
    good = await cursor(house)
    assert len(good) == 48
    assert good.isascii()
    assert str(job.id) not in good


async def test_unread_notifications_are_counted_and_paged_by_themselves(house: House) -> None:
    await house.completed()
    newest = (await house.data(NOTIFICATIONS))["notifications"]["nodes"][0]["id"]
    await house.data(
        "mutation($ids: [ID!]!) { markNotificationsRead(ids: $ids) { __typename } }", ids=[newest]
    )
    unread = (await house.data(NOTIFICATIONS, unreadOnly=True))["notifications"]
    assert unread["totalCount"] == 1
    assert unread["nodes"][0]["id"] != newest
    assert (await house.data(NOTIFICATIONS))["notifications"]["totalCount"] == 2


async def test_relays_way_to_ask_gives_the_same_page(house: House) -> None:
    for _ in range(3):
        await house.completed()
    for name in LISTS:
        asked = f"""query($first: Int! = 2, $after: String) {{ {name}(first: $first, after: $after) {{
          nodes {{ id }} edges {{ cursor node {{ id }} }}
          pageInfo {{ startCursor endCursor hasNextPage hasPreviousPage }} }} }}"""
        first = (await house.data(asked))[name]
        cursors = [edge["cursor"] for edge in first["edges"]]
        assert [edge["node"] for edge in first["edges"]] == first["nodes"]
        assert [first["pageInfo"][end] for end in ("startCursor", "endCursor")] == [cursors[0], cursors[-1]]
        assert (first["pageInfo"]["hasPreviousPage"], first["pageInfo"]["hasNextPage"]) == (False, True)
        second = (await house.data(asked, first=1, after=cursors[0]))[name]
        assert second["nodes"] == first["nodes"][1:]
        assert second["pageInfo"]["hasPreviousPage"]
    empty = (await house.data(asked, "bob"))[name]
    assert (empty["edges"], empty["pageInfo"]["startCursor"]) == ([], None)


ORDERED = """query($order: JobOrder! = CREATED, $ascending: Boolean! = false, $after: String) {
  jobs(first: 2, orderBy: $order, ascending: $ascending, after: $after) { nodes { id } pageInfo { hasNextPage endCursor } }
}"""
ORDERS = ("CREATED", "DATASET", "STATUS", "PROGRESS", "GPUS", "COST")


@pytest.mark.parametrize("order", ORDERS)
async def test_jobs_are_paged_through_in_any_order(house: House, order: str) -> None:
    made = [
        str((await make()).id) for make in (house.completed, house.job, house.running, house.cancelled) * 2
    ]
    for ascending in (True, False):
        found: list[str] = []
        after = None
        while True:
            page = (await house.data(ORDERED, order=order, ascending=ascending, after=after))["jobs"]
            found += [node["id"] for node in page["nodes"]]
            if not page["pageInfo"]["hasNextPage"]:
                break
            after = page["pageInfo"]["endCursor"]
        assert sorted(found) == sorted(made)


async def test_a_cursor_is_bound_to_its_order(house: House) -> None:
    for _ in range(3):
        await house.job()
    ways = [(order, ascending) for order in ORDERS for ascending in (False, True)]
    ends = {}
    for order, ascending in ways:
        page = await house.data(ORDERED, order=order, ascending=ascending)
        ends[order, ascending] = page["jobs"]["pageInfo"]["endCursor"]
    assert ends["CREATED", False] == (await house.data(JOBS, first=2))["jobs"]["pageInfo"]["endCursor"]
    for way in ways:
        for (order, ascending), end in ends.items():
            if way != (order, ascending):
                bad = {"order": way[0], "ascending": way[1], "after": end}
                assert await house.code(ORDERED, **bad) == "BAD_USER_INPUT", (way, order, ascending)
