"""An answer is of one instant, read through one connection that the request gives back."""

from typing import Any

import pytest
from sqlalchemy import update

from jobs.database import jobs
from jobs.database.tables import training_jobs
from tests.database.connections import connections_used
from tests.server.house import House

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
