"""The doctor names each part that is not well, and only those."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Cli, Said
from tests.services import PostgresServer, ValkeyServer
from tests.services.process import free_port
from tests.services.scripted_cluster import KEY, ScriptedCluster, scripted_cluster

SECRET = "a secret for tests of more than 32 bytes"
Doctor = Callable[..., Awaitable[Said]]


@pytest.fixture
async def cluster() -> AsyncIterator[ScriptedCluster]:
    async with scripted_cluster() as opened:
        yield opened


@pytest.fixture
def doctor(
    cli: Cli,
    cluster: ScriptedCluster,
    postgres_server: PostgresServer,
    filled_postgres: str,
    valkey_server: ValkeyServer,
    tmp_path: Path,
) -> Doctor:
    """The doctor in an installation in which all is well but what `changes` breaks."""
    roles = {
        kind: postgres_server.login_role(f"{kind}_of_doctor", member_of=f"lora_pipeline_{kind}")
        for kind in ("api", "service")
    }
    well = {
        "DATABASE_URL": filled_postgres.replace("postgres@", f"{roles['api']}@"),
        "SERVICE_DATABASE_URL": filled_postgres.replace("postgres@", f"{roles['service']}@"),
        "REDIS_URL": valkey_server.url,
        "DATA_DIR": str(tmp_path),
        "SECRET_KEY": SECRET,
        "JWT_SECRET": SECRET,
        "GPU_CLUSTER_API_URL": cluster.url,
        "GPU_CLUSTER_API_KEY": KEY,
    }

    async def examine(**changes: str) -> Said:
        return await asyncio.to_thread(cli, "doctor", **{**well, **changes})

    return examine


def failures(said: Said) -> dict[str, str]:
    """What is not well, and why; every part has its line."""
    lines = said.out.splitlines()
    assert [line[6:].split(":")[0] for line in lines] == [
        *("settings", "database (API)", "database (service)", "redis", "storage", "cluster")
    ]
    assert said.err == ""
    found = dict(line[6:].split(": ", 1) for line in lines if line.startswith("FAIL  "))
    assert said.code == (1 if found else 0)
    assert len(found) + sum(line.startswith("ok    ") for line in lines) == len(lines)
    assert SECRET not in said.out
    return found


async def test_all_is_well(doctor: Doctor, tmp_path: Path) -> None:
    said = await doctor()
    assert failures(said) == {}
    assert "Row-level security holds for api_of_doctor." in said.out
    sqlite = f"sqlite:///{tmp_path / 'x.db'}"
    assert "python -m jobs migrate" in failures(await doctor(DATABASE_URL=sqlite))["database (API)"]


async def test_a_dead_redis_is_named(doctor: Doctor) -> None:
    found = failures(await doctor(REDIS_URL=f"redis://127.0.0.1:{free_port()}/0"))
    assert set(found) == {"redis"}
    assert "go by their timer" in found["redis"]


async def test_a_cluster_that_refuses_our_key_or_is_away_is_named(
    doctor: Doctor, cluster: ScriptedCluster
) -> None:
    found = failures(await doctor(GPU_CLUSTER_API_KEY="another"))
    assert set(found) == {"cluster"}
    assert "refuses GPU_CLUSTER_API_KEY" in found["cluster"]
    await cluster.go_down()
    assert "connection refused" in failures(await doctor())["cluster"]
    assert "GPU_CLUSTER_API_URL is not set" in failures(await doctor(GPU_CLUSTER_API_URL=""))["cluster"]


async def test_a_role_that_sees_too_much_or_too_little_is_named(
    doctor: Doctor, filled_postgres: str, postgres_server: PostgresServer
) -> None:
    found = failures(await doctor(DATABASE_URL=filled_postgres))
    assert set(found) == {"database (API)"}
    assert "sees every user's rows" in found["database (API)"]
    stranger = filled_postgres.replace("postgres@", f"{postgres_server.login_role('stranger_of_doctor')}@")
    found = failures(await doctor(DATABASE_URL=stranger, SERVICE_DATABASE_URL=stranger))
    assert set(found) == {"database (API)", "database (service)"}
    found = failures(await doctor(DATABASE_URL=postgres_server.fresh_database()))
    assert "no schema yet" in found["database (API)"]
    found = failures(await doctor(SERVICE_DATABASE_URL=f"postgresql://x@127.0.0.1:{free_port()}/x"))
    assert set(found) == {"database (service)"}


async def test_a_storage_that_cannot_be_used_is_named(doctor: Doctor) -> None:
    assert set(failures(await doctor(STORAGE_URL="file:///dev/null/storage"))) == {"storage"}
    found = failures(await doctor(STORAGE_URL="ftp://x"))
    assert "STORAGE_URL" in found["storage"]


async def test_without_settings_the_databases_are_looked_at_all_the_same(doctor: Doctor) -> None:
    found = failures(await doctor(SECRET_KEY=""))
    assert set(found) == {"settings", "redis", "storage", "cluster"}
    assert found["settings"].startswith("SECRET_KEY is not set")
