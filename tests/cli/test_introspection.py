"""What a table is, and whether a role can work with it, as JSON."""

from pathlib import Path

import pytest

from jobs.database.tables import metadata
from tests.cli.conftest import Cli
from tests.services import PostgresServer


def test_every_table_is_described_as_the_models_have_it(cli: Cli, filled_url: str) -> None:
    tables = {
        table["name"]: table for table in cli("db", "introspect", DATABASE_URL=filled_url).json["tables"]
    }
    assert set(tables) == {*metadata.tables, "alembic_version"}
    for name, model in metadata.tables.items():
        found = tables[name]
        assert {c["name"]: c["nullable"] for c in found["columns"]} == {
            column.name: column.nullable for column in model.columns
        }
        assert {index.name for index in model.indexes} <= {index["name"] for index in found["indexes"]}
        constraints = {constraint["name"] for constraint in found["constraints"]}
        assert {str(constraint.name) for constraint in model.constraints if constraint.name} <= constraints


def test_one_table_tells_types_references_rules_and_triggers(cli: Cli, filled_url: str) -> None:
    said = cli("db", "introspect", "training_jobs", DATABASE_URL=filled_url)
    table = said.json["table"]
    types = {column["name"]: column["type"] for column in table["columns"]}
    constraints = {constraint["name"]: constraint for constraint in table["constraints"]}
    assert constraints["fk_training_jobs_dataset_id"]["references"] == {
        "table": "datasets",
        "columns": ["id"],
    }
    assert "queued" in constraints["ck_training_jobs_status_known"]["rule"]
    assert constraints["uq_training_jobs_external_job_id"]["columns"] == ["external_job_id"]
    queued = next(index for index in table["indexes"] if index["name"] == "ix_training_jobs_queued")
    assert queued["columns"] == ["created_at", "id"]
    assert "queued" in queued["where"]
    assert any(name.startswith("guard_training_jobs") for name in table["triggers"])
    if filled_url.startswith("sqlite"):
        assert table["row_level_security"] is None
        assert table["policies"] == []
    else:
        assert types["created_at"] == "TIMESTAMP WITH TIME ZONE"
        assert types["final_cost"] == "NUMERIC(14, 2)"
        assert table["row_level_security"] == {"enabled": True, "forced": True, "applies_to_this_role": False}
        policies = {policy["name"]: policy for policy in table["policies"]}
        assert policies["api_insert"]["command"] == "INSERT"
        assert policies["api_insert"]["roles"] == ["lora_pipeline_api"]
        assert "queued" in policies["api_insert"]["check"]


@pytest.mark.parametrize("verb", ["introspect", "preflight", "query"])
def test_a_table_that_is_not_there_is_told(cli: Cli, filled_url: str, verb: str) -> None:
    said = cli("db", verb, "no'such; table", DATABASE_URL=filled_url)
    assert said.code == 1
    assert said.json["success"] is False


@pytest.mark.parametrize("table", list(metadata.tables))
def test_a_migrated_database_passes_its_preflight(cli: Cli, filled_url: str, table: str) -> None:
    said = cli("db", "preflight", table, DATABASE_URL=filled_url)
    assert said.json["problems"] == []
    assert said.json["writable"] is True


def test_preflight_as_the_api_says_what_its_role_may_not_do(
    cli: Cli, postgres_server: PostgresServer, filled_postgres: str
) -> None:
    role = postgres_server.login_role("api_of_preflight", member_of="lora_pipeline_api")
    url = filled_postgres.replace("postgres@", f"{role}@")
    said = cli("db", "preflight", "training_jobs", "--as-api", DATABASE_URL=url).json
    assert said["role"] == role
    assert said["row_level_security"]["applies_to_this_role"] is True
    assert said["privileges"] == ["SELECT", "INSERT", "UPDATE"]
    said = cli("db", "preflight", "model_artifacts", "--as-api", DATABASE_URL=url).json
    assert said["writable"] is False
    assert said["problems"] == ["This role may not write to model_artifacts: it may SELECT."]


def test_preflight_as_the_service_passes_and_as_a_stranger_does_not(
    cli: Cli, postgres_server: PostgresServer, filled_postgres: str
) -> None:
    service = postgres_server.login_role("service_of_preflight", member_of="lora_pipeline_service")
    stranger = postgres_server.login_role("stranger_of_preflight")
    for role, code in ((service, 0), (stranger, 1)):
        url = filled_postgres.replace("postgres@", f"{role}@")
        said = cli("db", "preflight", "cost_records", DATABASE_URL=url)
        assert said.code == code, said
    assert (
        cli("db", "query", "cost_records", DATABASE_URL=url).json["error"]
        == "This role may not read cost_records."
    )


def test_preflight_misses_what_somebody_took_away(
    cli: Cli, postgres_server: PostgresServer, postgres_template: str
) -> None:
    url = postgres_server.fresh_database(template=postgres_template)
    postgres_server.sql("DROP INDEX ix_datasets_page", url=url)
    postgres_server.sql("DROP POLICY api_select ON datasets", url=url)
    postgres_server.sql("ALTER TABLE datasets NO FORCE ROW LEVEL SECURITY", url=url)
    postgres_server.sql("ALTER TABLE notifications DISABLE ROW LEVEL SECURITY", url=url)
    said = cli("db", "preflight", "datasets", DATABASE_URL=url)
    assert said.code == 1
    assert said.json["problems"] == [
        "The index ix_datasets_page is missing.",
        "Row-level security of datasets is not forced on its owner.",
        "The policy api_select is missing.",
    ]
    said = cli("db", "preflight", "notifications", DATABASE_URL=url)
    assert said.json["problems"] == ["Row-level security of notifications is off."]


def test_looking_makes_no_file(cli: Cli, tmp_path: Path) -> None:
    said = cli("db", "introspect", DATA_DIR=str(tmp_path))
    assert "python -m jobs migrate" in said.json["error"]
    assert list(tmp_path.iterdir()) == []
