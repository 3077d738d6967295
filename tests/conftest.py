"""Fixtures every test may ask for: real servers and a real browser, one of each a test process."""

import asyncio
import itertools
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from playwright.async_api import Browser, async_playwright

from jobs.buckets import BUCKETS
from jobs.database import Database
from jobs.database.migrate import migrate
from tests.services import PostgresServer, S3Server, ValkeyServer, postgres, s3, valkey

settings.register_profile("patient", deadline=None)  # a busy machine is no bug
settings.load_profile("patient")

_numbers = itertools.count(1)
_QUIET_BROWSER = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A real PostgreSQL; ask it for a `fresh_database()`."""
    with postgres() as server:
        yield server


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[ValkeyServer]:
    """A real Valkey on a loopback port, shared: a test that kills it starts it again."""
    with valkey() as server:
        yield server


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """A real S3 server with our buckets; it remembers for minutes what its folder held, so they are made first."""
    with s3() as server:
        for bucket in BUCKETS:
            server.bucket(bucket)
        yield server


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Headless Chromium: the one `CHROMIUM` names, else the one on the PATH; a test opens its own context."""
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.fail("No Chromium on the PATH: install the package chromium, or name one with CHROMIUM=/path.")
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=program, args=list(_QUIET_BROWSER))
        yield chromium
        await chromium.close()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy."""
    file = tmp_path_factory.mktemp("sqlite") / "template.db"
    asyncio.run(migrate(f"sqlite:///{file}"))
    return file


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> str:
    """A migrated Postgres database to copy."""
    url = postgres_server.fresh_database()
    asyncio.run(migrate(url))
    return url


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a migrated, empty database that nobody else uses; on Postgres as superuser."""
    if request.param == "sqlite":
        file = tmp_path / f"{next(_numbers)}.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), file)
        yield f"sqlite:///{file}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = server.fresh_database(template=request.getfixturevalue("postgres_template"))
    yield url
    server.drop_database(url)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """That database, open, for the service."""
    opened = Database.open(database_url)
    yield opened
    await opened.close()
