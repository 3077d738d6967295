"""The migrated schema equals the models on both databases, also when several processes migrate at once."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

from jobs.database import Database, SchemaMismatch, metrics
from jobs.database.migrate import check_schema, migrate, newest_version
from jobs.database.tables import metadata
from jobs.domain.lifecycle import JobStatus
from tests.database.acts import go_back
from tests.database.rows import look, new_job, put
from tests.domain.factories import a_point
from tests.services import PostgresServer


def differences(connection: Connection) -> list[Any]:
    context = MigrationContext.configure(
        connection, opts={"compare_type": True, "compare_server_default": False}
    )
    return list(compare_metadata(context, metadata))


async def test_the_migrated_schema_equals_the_models(database: Database) -> None:
    async with database.read() as tx:
        assert await tx.run_sync(differences) == []
    await check_schema(database)


async def test_migrating_again_changes_nothing(database_url: str) -> None:
    assert (await migrate(database_url))[0] == f"schema version {newest_version()}"


@pytest.mark.parametrize("version", ["0001", "0002", "0003", "0004", "0005", "0006"])
async def test_an_upgrade_keeps_what_is_there(database: Database, database_url: str, version: str) -> None:
    made = [new_job(status) for status in JobStatus]
    await put(database, *made)
    async with database.begin() as tx:
        for job in made:
            await metrics.upsert_many(tx, [(job.id, (a_point(1), a_point(2)))])
    before = [await look(database, job) for job in made]
    await go_back(database, version)
    with pytest.raises(SchemaMismatch, match=f"schema version {version}, this program needs"):
        await check_schema(database)
    assert (await migrate(database_url))[0] == f"schema version {newest_version()} (was {version})"
    assert [await look(database, job) for job in made] == before
    async with database.read() as tx:
        assert {len(await metrics.newest(tx, job.id, last=9)) for job in made} == {2}
        assert await tx.run_sync(differences) == []


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_three_that_migrate_at_once_make_one_schema(
    kind: str, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    url = postgres_server.fresh_database() if kind == "postgres" else f"sqlite:///{tmp_path / 'new.db'}"
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(migrate(url)) for _ in range(3)]
    assert sum("was empty" in task.result()[0] for task in tasks) == 1
    database = Database.open(url)
    await check_schema(database)
    await database.close()


async def test_a_login_that_may_see_nothing_is_told_what_it_lacks(postgres_server: PostgresServer) -> None:
    url = postgres_server.fresh_database()
    await migrate(url)
    stranger = Database.open(url.replace("postgres@", f"{postgres_server.login_role('stranger')}@"))
    with pytest.raises(SchemaMismatch, match="grant it lora_pipeline_api or lora_pipeline_service"):
        await check_schema(stranger)
    await stranger.close()
    postgres_server.drop_database(url)


async def test_another_version_is_refused_by_name(database: Database, database_url: str) -> None:
    async with database.begin() as tx:
        await tx.execute(text("UPDATE alembic_version SET version_num = 'from the future'"))
    with pytest.raises(SchemaMismatch, match=r"from the future.*python -m jobs migrate"):
        await check_schema(database)
    with pytest.raises(SchemaMismatch, match="it is newer"):
        await migrate(database_url)


async def test_an_empty_database_says_what_to_run(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    for name in ("none.db", "no/such/folder.db", "empty.db"):
        database = Database.open(f"sqlite:///{tmp_path / name}")
        with pytest.raises(SchemaMismatch, match=r"no schema yet.*python -m jobs migrate"):
            await check_schema(database)
        await database.close()
    assert not (tmp_path / "none.db").exists()
