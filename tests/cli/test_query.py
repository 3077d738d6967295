"""Rows of a table by column, comparison and value: values are data, answers are exact, nothing is written."""

import asyncio

import pytest

from jobs.database import DatabaseUnavailable
from jobs.database.inspection import DatabaseRefused, visit
from tests.cli.conftest import DROP, ODD, Cli, uuid
from tests.services import PostgresServer
from tests.services.process import free_port


def names(cli: Cli, url: str, *arguments: str) -> list[str]:
    said = cli("db", "query", "datasets", "--select", "name", "--order", "name", *arguments, DATABASE_URL=url)
    return [row["name"] for row in said.json["rows"]]


@pytest.mark.parametrize("name", [DROP, ODD])
def test_what_looks_like_sql_in_a_value_is_data(cli: Cli, filled_url: str, name: str) -> None:
    assert names(cli, filled_url, "--where", "name", "eq", name) == [name]
    assert names(cli, filled_url, "--where", "name", "in", '"' + name.replace('"', '""') + '"') == [name]
    assert len(names(cli, filled_url)) == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ["datasets; DROP TABLE datasets"],
        ['datasets" WHERE 1=1 --'],
        ["datasets", "--select", "name, id"],
        ["datasets", "--select", "count(*)"],
        ["datasets", "--where", "1=1 OR name", "eq", "x"],
        ["datasets", "--order", "name; DROP TABLE datasets"],
        ["datasets", "--order", "name.asc"],
        ["sqlite_master"],
        ["pg_authid"],
    ],
)
def test_a_name_that_is_not_there_never_reaches_the_database(
    cli: Cli, filled_url: str, arguments: list[str]
) -> None:
    said = cli("db", "query", *arguments, DATABASE_URL=filled_url)
    assert said.code == 1
    assert said.json["error"].startswith(("There is no table ", "There is no column "))
    assert len(names(cli, filled_url)) == 3


def test_like_takes_wildcards_and_escapes(cli: Cli, filled_url: str) -> None:
    assert names(cli, filled_url, "--where", "name", "like", "%DROP%") == [DROP]
    assert names(cli, filled_url, "--where", "name", "like", r"100\%\_of%") == [ODD]
    assert names(cli, filled_url, "--where", "name", "like", r"%\_plain%") == []
    assert names(cli, filled_url, "--where", "id", "like", f"{str(uuid(3))[:30]}%3") == ["plain"]


def test_a_condition_may_be_one_word_so_that_values_may_begin_with_a_dash(cli: Cli, filled_url: str) -> None:
    assert names(cli, filled_url, "--where", "name eq --plain") == []
    assert names(cli, filled_url, "--where", f"name eq {DROP}") == [DROP]
    assert names(cli, filled_url, "--where", "total_training_pairs", "gt", "-1") == sorted(
        [DROP, ODD, "plain"]
    )


def test_money_is_compared_and_sorted_by_value_and_shown_exactly(cli: Cli, filled_url: str) -> None:
    wish = ["--select", "final_cost", "--order", "final_cost.desc"]
    said = cli("db", "query", "training_jobs", *wish, DATABASE_URL=filled_url)
    assert [row["final_cost"] for row in said.json["rows"]] == ["123456789012.34", "10.00", "9.50", None]
    said = cli(
        "db", "query", "training_jobs", *wish, "--where", "final_cost", "lt", "10", DATABASE_URL=filled_url
    )
    assert said.json["rows"] == [{"final_cost": "9.50"}]
    said = cli("db", "query", "training_jobs", *wish, "--where", "final_cost eq 1e1", DATABASE_URL=filled_url)
    assert said.json["rows"] == [{"final_cost": "10.00"}]


def test_instants_json_and_large_numbers_are_exact(cli: Cli, filled_url: str) -> None:
    wish = ["--select", "created_at,gpu_config,hyperparameters", "--where", "id", "eq", str(uuid(11))]
    said = cli("db", "query", "training_jobs", *wish, DATABASE_URL=filled_url)
    [row] = said.json["rows"]
    assert row["created_at"] == "2026-03-14T12:00:11.123456Z"
    assert row["hyperparameters"]["learning_rate"] == 0.00002
    assert '"cost_per_gpu_hour": 2.50' in said.out
    said = cli("db", "query", "datasets", "--select", "total_tokens,training_ready", DATABASE_URL=filled_url)
    assert said.json["rows"][0] == {"total_tokens": 2**53 + 1, "training_ready": True}


@pytest.mark.parametrize(
    ("where", "count"),
    [
        ("created_at gt 2026-03-14T12:00:12.123456Z", 2),
        ("created_at ge 2026-03-14T13:00:12.123456+01:00", 3),
        ("created_at lt 2026-03-14", 0),
        ("completed_at is null", 1),
        ("completed_at is not null", 3),
        ("stale is false", 4),
        ("stale eq true", 0),
        ("status in queued, failed", 1),
        ("status ne completed", 1),
        ("progress ge 99.5", 3),
        ("total_steps le 0", 4),
        ("current_metrics is null", 1),
        ("gpu_config like %A100%", 4),
    ],
)
def test_values_are_read_by_the_type_of_their_column(
    cli: Cli, filled_url: str, where: str, count: int
) -> None:
    said = cli("db", "query", "training_jobs", "--where", where, DATABASE_URL=filled_url)
    assert said.json["count"] == count, where


@pytest.mark.parametrize(
    "where",
    [
        "id eq 1' OR '1'='1",
        "created_at lt yesterday",
        "final_cost eq NaN",
        "final_cost gt 1e9999",
        "total_steps eq 1.5",
        "total_steps eq 99999999999999999999",
        "stale eq maybe",
        "stale is perhaps",
        "user_id eq \udcff",
        "user_id equals ada",
        "user_id",
    ],
)
def test_a_value_that_its_column_cannot_hold_is_refused_in_a_sentence(
    cli: Cli, filled_url: str, where: str
) -> None:
    said = cli("db", "query", "training_jobs", "--where", where, DATABASE_URL=filled_url)
    assert said.code == 1
    assert said.json["error"].endswith(".")


def test_the_limit_holds_and_says_that_there_is_more(cli: Cli, filled_url: str) -> None:
    said = cli(
        "db", "query", "metrics_points", "--order", "step.desc", "--limit", "2", DATABASE_URL=filled_url
    )
    assert [row["step"] for row in said.json["rows"]] == [2499, 2498]
    assert said.json["more"] is True
    said = cli("db", "query", "metrics_points", DATABASE_URL=filled_url)
    assert said.json["count"] == 100
    assert cli("db", "query", "datasets", "--limit", "3", DATABASE_URL=filled_url).json["more"] is False
    for bad in ("0", "-1", "10001", "x"):
        assert cli("db", "query", "datasets", "--limit", bad, DATABASE_URL=filled_url).code == 2


def test_the_operator_sees_the_stack_of_an_error(cli: Cli, filled_url: str) -> None:
    said = cli("db", "query", "training_jobs", "--limit", "1", DATABASE_URL=filled_url)
    assert said.json["rows"][0]["error_stack"] == "Traceback: it's a stack\n"


def test_tables_and_columns_with_odd_names_can_be_asked(cli: Cli, postgres_server: PostgresServer) -> None:
    url = postgres_server.fresh_database()
    postgres_server.sql(
        """CREATE TABLE "we""ird; --" ("se""lect %s :x.desc" text, mood inet); """
        """INSERT INTO "we""ird; --" VALUES ('it''s', '10.0.0.1'), ('%', NULL)""",
        url=url,
    )
    column = 'se"lect %s :x.desc'
    wish = ["--select", column, "--where", column, "like", r"\%", "--order", column]
    assert cli("db", "query", 'we"ird; --', *wish, DATABASE_URL=url).json["rows"] == [{column: "%"}]
    said = cli("db", "query", 'we"ird; --', "--where", "mood like 10.%", DATABASE_URL=url)
    assert said.json["rows"] == [{column: "it's", "mood": "10.0.0.1"}]
    assert (
        cli("db", "introspect", 'we"ird; --', DATABASE_URL=url).json["table"]["columns"][0]["name"] == column
    )
    assert cli("db", "preflight", 'we"ird; --', DATABASE_URL=url).json["writable"] is True


def test_a_visitor_cannot_write(filled_url: str) -> None:
    async def try_to() -> None:
        async with visit(filled_url) as tx:
            await tx.exec_driver_sql("DELETE FROM metrics_points")

    with pytest.raises((DatabaseRefused, DatabaseUnavailable), match=r"read-?only"):
        asyncio.run(try_to())


def test_as_the_api_nothing_is_seen_but_the_users_own(
    cli: Cli, postgres_server: PostgresServer, filled_postgres: str
) -> None:
    url = filled_postgres
    api = url.replace(
        "postgres@", f"{postgres_server.login_role('api_of_query', member_of='lora_pipeline_api')}@"
    )
    environ = {"DATABASE_URL": api, "SERVICE_DATABASE_URL": url}
    assert cli("db", "query", "training_jobs", **environ).json["count"] == 4
    assert cli("db", "query", "training_jobs", "--as-api", **environ).json["count"] == 0
    said = cli("db", "query", "training_jobs", "--as-api", "--user", "bob", **environ).json
    assert [row["id"] for row in said["rows"]] == [str(uuid(13))]
    assert "error_stack" not in said["columns"]
    said = cli("db", "query", "training_jobs", "--as-api", "--select", "error_stack", **environ).json
    assert "permission denied" in said["error"]


def test_a_database_that_is_not_there_is_a_sentence(cli: Cli, postgres_server: PostgresServer) -> None:
    for url in (
        f"postgresql://postgres@127.0.0.1:{free_port()}/x",
        postgres_server.url("no_such_database"),
        postgres_server.url(role="no_such_role"),
        "sqlite:////nowhere/at/all.db",
    ):
        said = cli("db", "query", "datasets", DATABASE_URL=url)
        assert said.code == 1
        assert said.json["error"]
    assert "DATABASE_URL" in cli("db", "query", "datasets", DATABASE_URL="mysql://x").json["error"]
