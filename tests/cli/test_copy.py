"""A copy holds every row exactly, or nothing."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from jobs.database import Database
from jobs.database.tables import datasets, metadata
from tests.cli.conftest import ODD, POINTS, ROWS, Cli
from tests.services import PostgresServer


def content(url: str) -> dict[str, list[Any]]:
    """Every row as the domain reads it."""

    async def read() -> dict[str, list[Any]]:
        database = Database.open(url)
        async with database.read() as tx:
            rows = {
                name: (await tx.execute(select(table).order_by(*table.primary_key.columns))).all()
                for name, table in metadata.tables.items()
            }
        await database.close()
        return {name: [tuple(row) for row in found] for name, found in rows.items()}

    return asyncio.run(read())


def service_url(server: PostgresServer, url: str) -> str:
    role = server.login_role("service_of_copy", member_of="lora_pipeline_service")
    return url.replace("postgres@", f"{role}@")


@pytest.fixture
def empty_sqlite(sqlite_template: Path, tmp_path: Path) -> str:
    shutil.copy(sqlite_template, tmp_path / "empty.db")
    return f"sqlite:///{tmp_path / 'empty.db'}"


@pytest.fixture
def empty_postgres(postgres_server: PostgresServer, postgres_template: str) -> str:
    return postgres_server.fresh_database(template=postgres_template)


def test_sqlite_to_postgres_and_back_keeps_every_value(
    cli: Cli, filled_sqlite: str, empty_postgres: str, empty_sqlite: str, postgres_server: PostgresServer
) -> None:
    before = content(filled_sqlite)
    assert {name: len(rows) for name, rows in before.items()} == {
        t.name: len(rows) for t, rows in ROWS.items()
    }
    postgres = service_url(postgres_server, empty_postgres)
    there = cli("db", "copy", "--from", filled_sqlite, "--to", postgres)
    assert there.code == 0, there.err
    assert f"metrics_points: {POINTS} rows, the same on both sides\n" in there.out
    assert content(empty_postgres) == before
    assert cli("db", "copy", "--from", postgres, DATABASE_URL=empty_sqlite).code == 0
    assert content(empty_sqlite) == before


def test_a_target_that_holds_rows_is_left_alone(
    cli: Cli, filled_sqlite: str, filled_postgres: str, empty_postgres: str
) -> None:
    before = content(filled_postgres)
    for source in (filled_sqlite, empty_postgres, filled_postgres):
        said = cli("db", "copy", "--from", source, "--to", filled_postgres)
        assert (said.code, said.out) == (1, "")
        assert said.err == "db: The target's table datasets holds 3 rows; it must be empty.\n"
    assert content(filled_postgres) == before


def test_a_target_without_the_schema_names_the_command(
    cli: Cli, filled_sqlite: str, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    said = cli("db", "copy", "--from", filled_sqlite, "--to", postgres_server.fresh_database())
    assert said.code == 1
    assert "python -m jobs migrate" in said.err
    said = cli("db", "copy", "--from", f"sqlite:///{tmp_path / 'none.db'}", "--to", filled_sqlite)
    assert "There is no database file" in said.err
    assert not (tmp_path / "none.db").exists()


def test_a_role_that_sees_some_rows_only_copies_none(
    cli: Cli, filled_postgres: str, empty_sqlite: str, postgres_server: PostgresServer
) -> None:
    role = postgres_server.login_role("api_of_copy", member_of="lora_pipeline_api")
    said = cli("db", "copy", "--from", filled_postgres.replace("postgres@", f"{role}@"), "--to", empty_sqlite)
    assert said.code == 1
    assert "does not see every row" in said.err
    assert not any(content(empty_sqlite).values())


def test_a_row_that_the_target_cannot_keep_undoes_the_copy(
    cli: Cli, filled_sqlite: str, empty_postgres: str, tmp_path: Path
) -> None:
    async def spoil(url: str) -> None:
        database = Database.open(url)
        async with database.begin() as tx:  # SQLite does not mind how long a text is
            await tx.execute(update(datasets).where(datasets.c.name == "plain").values(format="x" * 33))
        await database.close()

    shutil.copy(filled_sqlite.removeprefix("sqlite:///"), tmp_path / "spoilt.db")
    spoilt = f"sqlite:///{tmp_path / 'spoilt.db'}"
    asyncio.run(spoil(spoilt))
    said = cli("db", "copy", "--from", spoilt, "--to", empty_postgres)
    assert said.code == 1
    assert "value too long" in said.err
    assert not any(content(empty_postgres).values())


def test_a_row_that_arrives_changed_undoes_the_copy(
    cli: Cli, filled_sqlite: str, empty_postgres: str, postgres_server: PostgresServer
) -> None:
    postgres_server.sql(
        """CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF NEW.message LIKE '100%' THEN NEW.message := 'meddled with'; END IF; RETURN NEW; END $$""",
        url=empty_postgres,
    )
    postgres_server.sql(
        "CREATE TRIGGER meddle BEFORE INSERT ON notifications FOR EACH ROW EXECUTE FUNCTION meddle()",
        url=empty_postgres,
    )
    said = cli("db", "copy", "--from", filled_sqlite, "--to", empty_postgres)
    assert said.code == 1
    assert said.err.splitlines()[-1].startswith("db: notifications ")
    assert said.err.endswith("differs in the copy; nothing was kept.\n")
    assert ODD not in said.out
    assert not any(content(empty_postgres).values())


def test_a_url_of_neither_kind_is_named_by_its_option(cli: Cli, filled_sqlite: str) -> None:
    said = cli("db", "copy", "--from", "mysql://x", "--to", filled_sqlite)
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("db: --from: it must be ")
    assert cli("db", "copy", "--to", filled_sqlite).code == 2
