"""The API killed at every point of `createJob` and `cancelJob`: all of it has happened or nothing, and nobody minds which.

On Postgres it has a login of its own there. `KILL_EVERY=1` tries every point.
"""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import aiohttp
import pytest

from jobs.tokens import make_token
from tests.cycle.conftest import USER
from tests.invariants import Snapshot
from tests.kills.site import Site, Worker

CREATE = """mutation ($input: TrainingConfigInput!) {
  createJob(input: $input) { ... on CreateJobSuccess { job { id } } }
}"""
CANCEL = """mutation ($id: ID!) {
  cancelJob(id: $id) { ... on CancelJobSuccess { job { status completedAt costs { final } } } }
}"""
BEFORE, HELD, ANSWERED = "nothing has happened", "it has happened, and nobody was told", "it was answered"
EVERY = {"sqlite": 1, "postgresql": 3}  # points
MOST = {"sqlite": 60, "postgresql": 180}  # points; a create takes about 34 and 124, a cancel 30 and 109


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A client that asks each question once, over a connection of its own."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
        yield session


async def ask(http: aiohttp.ClientSession, site: Site, api: Worker, document: str, **variables: Any) -> Any:
    """What the mutation gives; None when the API dies over it."""
    token = make_token(
        site.environ["JWT_SECRET"].encode(), USER, now=datetime.now(UTC), lifetime=timedelta(hours=1)
    )
    try:
        async with http.post(
            f"{api.url}/graphql",
            json={"query": document, "variables": variables},
            headers={"Authorization": f"Bearer {token}"},
        ) as answer:
            assert answer.status == 200, await answer.text()
            [given] = (await answer.json())["data"].values()
            return given["job"]
    except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError):
        await site.death(api)
        await site.is_settled()
        return None


def every(site: Site) -> int:
    """From which point to the next."""
    return int(os.environ.get("KILL_EVERY", "0")) or EVERY[site.database.dialect]


async def outlives(api: Worker) -> bool:
    """Whether it goes on living when everything has been said, to its client and to Redis."""
    for _ in range(20):
        await asyncio.sleep(0.02)
        if not api.lives:
            return False
    return True


def with_key(now: Snapshot, key: str) -> list[UUID]:
    """The jobs that were made with this key."""
    return [job_id for job_id, job in now.jobs.items() if job["idempotency_key"] == key]


def outcome(*, has_happened: bool, answer: Any) -> str:
    """As the client sees it, who cannot tell the first two apart."""
    return ANSWERED if answer else HELD if has_happened else BEFORE


def told(site: Site, outcomes: list[str]) -> None:
    """How often each came, and that the test was one."""
    print(f"{len(outcomes)} kills: {dict(Counter(outcomes))}")
    assert BEFORE in outcomes
    assert HELD in outcomes or every(site) > 1


async def test_an_api_killed_at_any_point_of_a_create_has_made_a_job_that_runs_or_none(
    site: Site, http: aiohttp.ClientSession
) -> None:
    dataset, outcomes = await site.dataset(), []
    site.worker()
    spare = await site.api()
    for dies_at in range(1, MOST[site.database.dialect], every(site)):
        key = f"try {dies_at}"
        wish = {"datasetId": str(dataset.id), "presetId": "laptop", "idempotencyKey": key}
        api = await site.api(dies_at=dies_at)
        answer = await ask(http, site, api, CREATE, input=wish)
        if answer and await outlives(api):
            break
        made = with_key(await site.seen(), key)
        outcomes.append(outcome(has_happened=bool(made), answer=answer))
        for job_id in made:  # whether it was rung or not, and before anybody asks again
            await site.until_job(job_id, status="running")
        again = await ask(http, site, spare, CREATE, input=wish)
        [job_id] = with_key(await site.seen(), key)
        assert again == {"id": str(job_id)}
        assert made in ([], [job_id])
        assert answer in (None, again)
    else:
        raise AssertionError("it outlived no point")
    told(site, outcomes)
    await site.end_well()


async def test_an_api_killed_at_any_point_of_a_cancel_has_cancelled_or_done_nothing(
    site: Site, http: aiohttp.ClientSession
) -> None:
    points = range(1, MOST[site.database.dialect], every(site))
    site.environ["SUBMIT_LIMIT"] = str(len(points))
    worker = site.worker()
    waiting = [await site.job() for _ in points]
    await site.until(lambda now: all(job["status"] == "running" for job in now.jobs.values()))
    worker.send(signal.SIGKILL)  # so that nothing else moves
    await site.death(worker)
    before, outcomes, answers = await site.seen(), dict[UUID, str](), dict[UUID, Any]()
    for dies_at, job_id in zip(points, waiting, strict=True):
        api = await site.api(dies_at=dies_at)
        answers[job_id] = await ask(http, site, api, CANCEL, id=str(job_id))
        now = await site.seen()
        is_cancelled = now.jobs[job_id]["status"] == "cancelled"
        if answers[job_id] and await outlives(api):
            break
        outcomes[job_id] = outcome(has_happened=is_cancelled, answer=answers[job_id])
        if is_cancelled:
            assert now.jobs[job_id]["release"] == "needed"
        else:
            assert (now.jobs[job_id], now.charges.get(job_id), now.notices[job_id]) == (
                *(before.jobs[job_id], before.charges.get(job_id), before.notices[job_id]),
            )
    else:
        raise AssertionError("it outlived no point")
    told(site, list(outcomes.values()))

    site.worker()
    for job_id, kind in outcomes.items():  # although nobody rang, or they rang for nobody
        if kind != BEFORE:
            await site.until_job(job_id, release="confirmed")
    runs = (await site.cluster.look()).jobs
    spare = await site.api()
    for job_id, kind in outcomes.items():
        assert bool([run for run in runs[str(job_id)].runs if run.is_live]) is (kind == BEFORE)
        again = await ask(http, site, spare, CANCEL, id=str(job_id))
        row = await site.row(job_id)
        assert again["status"] == "CANCELLED"
        assert datetime.fromisoformat(again["completedAt"]) == row["completed_at"]
        assert answers[job_id] in (None, again)
        await site.until_job(job_id, release="confirmed")
    await site.end_well()
