"""An answer is of one instant, read through one connection that the request gives back."""

from typing import Any

import msgspec
import pytest
from sqlalchemy import update

from jobs.database import jobs, one_job
from jobs.database.tables import training_jobs
from server.documents import Documents
from server.schema import schema
from tests.database.connections import connections_used
from tests.domain.factories import a_point
from tests.server.house import House
from tests.statements import statements

WHOLE = """query ($id: ID!) {
    job(id: $id) {
        progress
        metrics { step }
        costs { records { amount } }
        dataset { name }
        artifact { name }
    }
    jobs { totalCount nodes { progress dataset { name } } }
    viewer { unreadNotifications spending { thisMonth } }
}"""


async def test_a_question_takes_one_connection_and_gives_it_back(house: House) -> None:
    job = await house.completed()
    with connections_used(house.api) as moves:
        await house.data(WHOLE, id=str(job.id))
        assert moves == ["taken", "given back"]
        await house.ask(WHOLE, id="nobody's")
        await house.ask("query ($id: ID!) { job(id: $id) { metrics(last: 0) { step } } }", id=str(job.id))
        assert moves == ["taken", "given back"] * 3


async def test_what_changes_while_it_is_answered_is_in_none_of_its_parts(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await house.running()
    get = jobs.get_with_dataset

    async def get_and_be_overtaken(*given: Any) -> Any:
        found = await get(*given)
        async with house.database.begin() as tx:
            await tx.execute(update(training_jobs).where(training_jobs.c.id == job.id).values(progress=99.0))
        return found

    monkeypatch.setattr(jobs, "get_with_dataset", get_and_be_overtaken)
    question = "query ($id: ID!) { job(id: $id) { progress } jobs { nodes { progress } } }"
    seen = await house.data(question, id=str(job.id))
    assert seen["job"]["progress"] == seen["jobs"]["nodes"][0]["progress"] == 40.0
    assert (await house.look(job.id)).progress == 99.0


MONITORS = """query ($id: ID!, $after: Int) {
    job(id: $id) {
        progress dataset { name } costs { current records { amount } } metrics(afterStep: $after) { step trainingLoss }
    }
}"""


async def planned(house: House, document: str, **variables: Any) -> Any:
    """What Ada's question is answered by its plan."""
    context = house.context("ada")
    plan = Documents(schema._schema).operation(document, None).plan
    assert plan is not None
    try:
        return (await plan.data(context, variables))["job"]
    finally:
        await context.close()


async def test_what_one_statement_finds_is_asked_for_by_one(house: House) -> None:
    running, ended = await house.running(), await house.completed()
    await house.points(running, [a_point(step) for step in range(5)])
    pieces = {running.id: 2, ended.id: 3}  # on SQLite: an ended job's books too
    for job in (running, ended):
        with statements(house.api) as seen:
            found = await planned(house, MONITORS, id=str(job.id), after=2)
        assert len(seen) == (1 if house.database.dialect == "postgresql" else pieces[job.id])
        ordinary = await house.data(MONITORS, id=str(job.id), after=2)
        assert msgspec.json.encode(found) == msgspec.json.encode(ordinary["job"])
    assert found["costs"]["records"]


async def test_what_is_asked_for_beside_it_is_of_the_same_instant(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, look, alone = await house.running(), one_job.look, []

    async def looked(*given: Any) -> Any:
        alone.append(given)
        return await look(*given)

    monkeypatch.setattr(one_job, "look", looked)
    for inside, beside in (
        ("id", "jobs { totalCount }"),
        ("id", "other: job(id: $id) { id }"),
        ("a: metrics(last: 1) { step } b: metrics(last: 2) { step }", ""),
        ("metrics(maxPoints: 9) { step }", ""),
        ("events { kind }", ""),
    ):
        document = f"query ($id: ID!) {{ job(id: $id) {{ id {inside} }} {beside} }}"
        assert (await planned(house, document, id=str(job.id)))["id"] == str(job.id)
        assert not alone
    await planned(house, "query ($id: ID!) { job(id: $id) { metrics { step } } }", id=str(job.id))
    assert alone
