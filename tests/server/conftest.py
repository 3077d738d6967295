"""The API as its tests ask it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from jobs.buckets import LocalBuckets
from jobs.database import Database
from jobs.database.security import API
from jobs.settings import Settings
from tests.server.house import House
from tests.server.polls import ask, counted
from tests.server.web import Site, settings_of, site
from tests.services import PostgresServer

SECRET = "a secret for tests, 32 bytes or more"


@pytest.fixture
async def api_database(
    database_url: str, database: Database, request: pytest.FixtureRequest
) -> AsyncIterator[Database]:
    """The same database as the API opens it: on Postgres as a login that row-level security holds."""
    if database.dialect == "sqlite":
        yield database
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    role = server.login_role("api_login", member_of=API)
    opened = Database.open(server.url(urlsplit(database_url).path.lstrip("/"), role=role))
    yield opened
    await opened.close()


@pytest.fixture
def house(database: Database, api_database: Database, database_url: str, tmp_path: Path) -> House:
    """An empty house."""
    settings = Settings.from_env(
        {
            "DATABASE_URL": database_url,
            "DATA_DIR": str(tmp_path),
            "SECRET_KEY": SECRET,
            "JWT_SECRET": SECRET,
            "PUBLIC_URL": "https://pipeline.example",
        }
    )
    buckets = LocalBuckets(tmp_path / "storage", settings.public_url, settings.secret_key)
    return House(database, api_database, buckets, settings)


@pytest.fixture
async def served(
    house: House, database_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Site]:
    """The API on the house's database, its memory trusted."""
    url = database_url
    if not url.startswith("sqlite"):
        server: PostgresServer = request.getfixturevalue("postgres_server")
        url = server.url(urlsplit(url).path.lstrip("/"), role="api_login")
    async with site(settings_of(tmp_path, DATABASE_URL=url)) as there:
        job = await house.job("nobody")
        async with asyncio.timeout(20):
            while (await counted(there)).get("remembered", 0) == 0:
                await ask(there, job, user="nobody")
        yield there
