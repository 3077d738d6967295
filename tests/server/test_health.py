"""Alive, ready, and in numbers; and how the process starts and refuses to."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from jobs.database import Database
from jobs.database.figures import figures
from server.health import Meters, Readiness, health_routes
from tests.server.house import HOUR, NINE, TWO_A100, House
from tests.server.web import SECRET, Site, settings_of, site


@pytest.fixture
async def api(sqlite_template: Path, tmp_path: Path) -> AsyncIterator[Site]:
    async with site(settings_of(tmp_path), template=sqlite_template) as served:
        yield served


async def test_a_healthy_api_is_alive_and_ready(api: Site) -> None:
    assert (await api.http.get("/healthz")).json() == {"status": "ok"}
    assert (await api.http.get("/readyz")).json() == {"status": "ready"}


async def test_the_apis_own_role_can_tell_that_it_is_ready(house: House) -> None:
    assert await Readiness(house.api).trouble() is None


async def test_a_database_without_our_schema_is_not_ready(tmp_path: Path) -> None:
    database = Database.open(f"sqlite:///{tmp_path / 'empty.db'}")
    trouble = await Readiness(database).trouble()
    assert trouble is not None
    assert "python -m jobs migrate" in trouble
    await database.close()


async def test_a_database_that_is_away_is_not_ready_and_nothing_more_is_said() -> None:
    database = Database.open("postgresql://someone:secret@127.0.0.1:1/none")
    assert await Readiness(database).trouble() == "The database cannot be reached."
    await database.close()


async def test_readiness_is_asked_once_a_second_however_many_ask(tmp_path: Path) -> None:
    clock = [0.0]
    database = Database.open(f"sqlite:///{tmp_path / 'empty.db'}")
    readiness = Readiness(database, clock=lambda: clock[0])
    asked = 0
    look = readiness._look

    async def counted() -> str | None:
        nonlocal asked
        asked += 1
        return await look()

    readiness._look = counted  # type: ignore[method-assign]
    await asyncio.gather(*(readiness.trouble() for _ in range(50)))
    assert asked == 1
    clock[0] = 1.1
    await readiness.trouble()
    assert asked == 2
    await database.close()


async def test_a_database_that_goes_away_makes_answers_a_503_and_comes_back(api: Site) -> None:
    file = api.settings.data_dir / "pipeline.db"
    await api.app.state.database.close()
    file.rename(file.with_suffix(".away"))
    file.mkdir()
    answer = await api.http.post(
        "/graphql", json={"query": "{ viewer { unreadNotifications } }"}, headers=api.signed_in()
    )
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert answer.json()["errors"][0]["extensions"]["code"] == "UNAVAILABLE"
    assert answer.json().keys() == {"errors"}
    assert (await api.http.get("/readyz")).status_code == 503
    assert (await api.http.get("/healthz")).status_code == 200
    file.rmdir()
    file.with_suffix(".away").rename(file)
    assert (await api.ask("{ viewer { unreadNotifications } }"))["data"]


async def test_requests_are_counted_by_route_not_by_address(api: Site) -> None:
    for number in range(3):
        await api.http.get(f"/training/jobs/{number}")
        await api.http.get(f"/nothing/{number}")
    await api.http.request("BREW", "/healthz")
    await api.ask("{ viewer { id } }")
    answer = await api.http.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain")
    lines = answer.text.splitlines()
    count = "lora_pipeline_http_requests_total"
    assert f'{count}{{method="GET",route="/training/jobs/{{id}}",status="200"}} 3.0' in lines
    assert f'{count}{{method="GET",route="none",status="404"}} 3.0' in lines
    assert f'{count}{{method="POST",route="/graphql",status="200"}} 1.0' in lines
    seconds = "lora_pipeline_http_request_seconds"
    assert f'{seconds}_bucket{{le="+Inf",route="none"}} 3.0' in lines
    assert f'{seconds}_count{{route="/training/jobs/{{id}}"}} 3.0' in lines
    [took] = [line for line in lines if line.startswith(f'{seconds}_sum{{route="/graphql"}}')]
    assert 0 < float(took.rpartition(" ")[2]) < 10
    assert "BREW" not in answer.text
    assert "ada" not in answer.text


async def test_jobs_are_counted_without_knowing_whose_they_are(house: House) -> None:
    app = Starlette(routes=health_routes(house.api, Meters()))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:
        await house.job("ada")
        await house.running("bob")
        await house.completed("cleo")
        await house.cancelled("ada", released=False)
        await house.cancelled("bob", released=False)
        lines = (await http.get("/metrics")).text.splitlines()
    assert 'lora_pipeline_jobs{status="queued"} 1.0' in lines
    assert 'lora_pipeline_jobs{status="running"} 1.0' in lines
    assert 'lora_pipeline_jobs{status="completed"} 1.0' in lines
    assert 'lora_pipeline_jobs{status="cancelled"} 2.0' in lines
    assert 'lora_pipeline_jobs{status="failed"} 0.0' in lines
    assert "lora_pipeline_unconfirmed_releases 2.0" in lines
    assert f"lora_pipeline_unconfirmed_releases_dollars_per_hour {2 * TWO_A100.hourly_rate:.1f}" in lines
    assert "lora_pipeline_database_up 1.0" in lines
    async with house.api.read() as tx:
        assert (await figures(tx, NINE + 500 * HOUR)).overdue > 490 * HOUR
        assert (await figures(tx, NINE - HOUR)).overdue == 0 * HOUR


async def start(environ: dict[str, str]) -> tuple[int, str]:
    """How `python -m server` ends, and what it says."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "server"),
        env={"PATH": os.environ["PATH"], **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(120):
            _, said = await process.communicate()
    except TimeoutError:
        process.kill()
        _, said = await process.communicate()
    return process.returncode or 0, said.decode()


async def test_the_process_refuses_to_start_with_one_sentence(sqlite_template: Path, tmp_path: Path) -> None:
    good = {"DATA_DIR": str(tmp_path), "SECRET_KEY": SECRET, "JWT_SECRET": SECRET, "LOG_FORMAT": "json"}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ready = good | {"DATABASE_URL": f"sqlite:///{sqlite_template}"}
        cases: list[tuple[dict[str, str], str]] = [
            (good | {"SECRET_KEY": ""}, "server: SECRET_KEY is not set"),
            (good, "server: The database has no schema yet"),
            (ready | {"PORT": port}, f"server: HOST and PORT: 127.0.0.1:{port} cannot be listened on: the port is taken."),
        ]  # fmt: skip
        ends = await asyncio.gather(*(start(environ) for environ, _ in cases))
    for (code, said), (_, sentence) in zip(ends, cases, strict=True):
        assert code == 1, said
        assert sentence in said
        assert "Traceback" not in said
