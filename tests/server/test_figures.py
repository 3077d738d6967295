"""Numbers about everybody's jobs: the API's role may have them, without seeing a row, and nobody else."""

from decimal import Decimal

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import ProgrammingError

from jobs.database import Database
from jobs.database.figures import figures
from jobs.database.security import API
from jobs.database.tables import training_jobs
from jobs.domain.lifecycle import JobStatus
from tests.database.rows import put_one
from tests.server.house import NINE, TWO_A100, House
from tests.services import PostgresServer


async def test_what_unconfirmed_releases_cost_is_exact(house: House) -> None:
    for user in ("ada", "bob"):
        await house.cancelled(user, released=False)
        await house.cancelled(user)
        await house.running(user)
    async with house.api.read() as tx:
        found = await figures(tx, NINE)
    assert (found.unreleased, found.burning) == (2, 2 * TWO_A100.hourly_rate)
    assert found.jobs[JobStatus.CANCELLED] == 4
    assert found.jobs[JobStatus.FAILED] == 0


async def test_without_jobs_everything_is_zero(database: Database) -> None:
    async with database.read() as tx:
        found = await figures(tx, NINE)
    assert set(found.jobs.values()) == {0}
    assert (found.overdue.total_seconds(), found.unreleased, found.burning) == (0, 0, Decimal())


async def test_the_apis_role_counts_what_it_cannot_see_and_a_stranger_does_not_count(
    postgres_server: PostgresServer, postgres_template: str
) -> None:
    url = postgres_server.fresh_database(template=postgres_template)
    owner = Database.open(url)
    await put_one(owner)
    await owner.close()
    logins = {
        name: Database.open(url.replace("postgres@", f"{postgres_server.login_role(name, member_of=group)}@"))
        for name, group in (("counting_api", API), ("counting_stranger", None))
    }
    async with logins["counting_api"].read() as tx:
        assert (await tx.execute(select(training_jobs.c.id))).all() == []
        assert sum((await figures(tx, NINE)).jobs.values()) == 1
    with pytest.raises(ProgrammingError, match="permission denied for function lora_pipeline_figures"):
        async with logins["counting_stranger"].read() as tx:
            await tx.execute(text("SELECT * FROM lora_pipeline_figures()"))
    for login in logins.values():
        await login.close()
    postgres_server.drop_database(url)
