"""Migrating, making tokens, and how the tools say what is wrong."""

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import jwt
import pytest

from jobs.cli import COMMANDS
from jobs.database.migrate import newest_version
from tests.cli.conftest import Cli
from tests.services import PostgresServer
from tests.services.process import free_port

SECRET = "a signing secret of more than 32 bytes"


def program(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "jobs", *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=60)


def test_migrate_needs_no_secret_and_may_run_again(cli: Cli, tmp_path: Path) -> None:
    first = program("migrate", DATA_DIR=str(tmp_path / "new"))
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout == f"schema version {newest_version()} (was empty)\n"
    assert cli("migrate", DATA_DIR=str(tmp_path / "new")).out == f"schema version {newest_version()}\n"


def test_migrate_goes_to_the_service_s_database(cli: Cli, tmp_path: Path) -> None:
    service = f"sqlite:///{tmp_path / 'service.db'}"
    assert cli("migrate", DATABASE_URL="postgresql://nowhere/x", SERVICE_DATABASE_URL=service).code == 0
    assert (tmp_path / "service.db").exists()


def test_migrate_refuses_in_one_sentence(
    cli: Cli, postgres_server: PostgresServer, postgres_template: str
) -> None:
    powerless = postgres_server.login_role("powerless")
    newer = postgres_server.fresh_database(template=postgres_template)
    postgres_server.sql("UPDATE alembic_version SET version_num = 'later'", url=newer)
    for url, words in {
        f"postgresql://x@127.0.0.1:{free_port()}/x": "cannot be used now",
        postgres_server.url("no_such_database"): "no_such_database",
        postgres_server.fresh_database(role=powerless): "permission denied",
        newer: "which this program does not know: it is newer",
        "sqlite:////dev/null/x.db": "/dev/null",
        "oracle://x": "DATABASE_URL",
    }.items():
        said = cli("migrate", DATABASE_URL=url)
        assert (said.code, said.out) == (1, ""), url
        assert said.err.startswith("migrate: ")
        assert said.err.count("\n") == 1
        assert words in said.err


def test_a_token_stands_alone_on_standard_output() -> None:
    said = program("token", "ada", JWT_SECRET=SECRET, JWT_AUDIENCE="here", JWT_ISSUER="us")
    assert (said.returncode, said.stderr) == (0, "")
    claims = jwt.decode(said.stdout.strip(), SECRET, ["HS256"], audience="here", issuer="us")
    assert set(claims) == {"sub", "iat", "exp", "aud", "iss"}
    assert claims["sub"] == "ada"
    assert claims["exp"] - claims["iat"] == timedelta(days=30).total_seconds()


def test_a_token_lives_as_long_as_asked(cli: Cli) -> None:
    said = cli("token", "a|b@c:d-e.f_9", "--hours", "0.5", JWT_SECRET=SECRET)
    claims = jwt.decode(said.out.strip(), SECRET, ["HS256"])
    assert claims["exp"] - claims["iat"] == 1800
    assert set(claims) == {"sub", "iat", "exp"}
    for hours in ("0", "-1", "nan", "1e9", "x"):
        assert cli("token", "ada", "--hours", hours, JWT_SECRET=SECRET).code == 2


@pytest.mark.parametrize("user", ["", ".", "..", "a b", "ü", "a/b", "x" * 129, "a\n"])
def test_a_name_that_no_user_can_have_gets_no_token(cli: Cli, user: str) -> None:
    said = cli("token", user, JWT_SECRET=SECRET)
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("token: A user's id has 1 to 128")


def test_without_a_secret_no_token_is_made(cli: Cli, tmp_path: Path) -> None:
    data = str(tmp_path)
    assert "JWT_SECRET is not set; it must be" in cli("token", "ada", DATA_DIR=data).err
    assert "JWT_SECRET has 5 bytes" in cli("token", "ada", DATA_DIR=data, JWT_SECRET="short").err
    said = cli("token", "ada", DATA_DIR=data, JWT_JWKS_URL="https://issuer/jwks.json")
    assert (said.code, said.out) == (1, "")
    assert "only their issuer makes them" in said.err


def test_the_secret_that_scripts_dev_keeps_is_found(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text(json.dumps({"JWT_SECRET": SECRET}))
    said = cli("token", "ada", DATA_DIR=str(tmp_path))
    assert jwt.decode(said.out.strip(), SECRET, ["HS256"])["sub"] == "ada"
    (tmp_path / "secrets.json").write_text("{")
    assert cli("token", "ada", DATA_DIR=str(tmp_path)).code == 1
    said = cli("token", "ada", DATA_DIR=str(tmp_path), JWT_JWKS_URL="https://issuer/jwks.json")
    assert said.code == 1


def test_every_command_explains_itself(cli: Cli) -> None:
    assert cli("--help").code == 0
    for command in COMMANDS:
        said = cli(command, "--help")
        assert said.code == 0
        assert f"python -m jobs {command}" in said.out
    assert cli().code == cli("dance").code == cli("db").code == cli("migrate", "--now").code == 2


def test_the_worker_names_the_setting_it_lacks(cli: Cli) -> None:
    said = cli("worker")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("worker: SECRET_KEY is not set")


def test_the_worker_says_in_a_sentence_that_the_database_lets_it_not_in(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    said = program(
        "worker",
        DATABASE_URL=postgres_server.url(role="no_such_role"),
        DATA_DIR=str(tmp_path),
        SECRET_KEY=SECRET,
        JWT_SECRET=SECRET,
        GPU_CLUSTER_API_URL="http://127.0.0.1:1",
        GPU_CLUSTER_API_KEY=SECRET,
    )
    assert said.returncode == 1
    assert said.stderr == 'worker: The database cannot be used now: role "no_such_role" does not exist\n'


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    assert program("migrate", DATA_DIR=str(tmp_path)).returncode == 0
    command = [sys.executable, "-P", "-m", "jobs", "db", "introspect"]
    with subprocess.Popen(
        command, env={"DATA_DIR": str(tmp_path)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert process.wait(30) == 1
