"""One cluster, one Valkey and one nursery of workers for all tests that kill; a database for each site."""

import contextlib
import itertools
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from jobs.database.security import API
from tests.kills.site import Nursery, Site, opened
from tests.services import PostgresServer, ValkeyServer
from tests.services.scripted_cluster import RemoteCluster, scripted_cluster_process

OpenSite = Callable[[], AbstractAsyncContextManager[Site]]
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Where workers come from."""
    made = Nursery()
    yield made
    made.close()


@pytest.fixture(scope="session")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RemoteCluster]:
    """A scripted cluster that no kill of ours reaches."""
    async with scripted_cluster_process(tmp_path_factory.mktemp("cluster")) as made:
        yield made


@pytest.fixture
def open_sqlite_site(
    sqlite_template: Path,
    tmp_path: Path,
    valkey_server: ValkeyServer,
    cluster: RemoteCluster,
    nursery: Nursery,
) -> OpenSite:
    """Opens sites for one worker at a time."""

    @contextlib.asynccontextmanager
    async def open_one() -> AsyncIterator[Site]:
        folder = tmp_path / f"site-{next(_numbers)}"
        folder.mkdir()
        url = f"sqlite:///{shutil.copy(sqlite_template, folder / 'site.db')}"
        async with opened(url, folder, valkey_server.url, cluster, nursery) as site:
            yield site

    return open_one


@pytest.fixture
def open_postgres_site(
    postgres_template: str,
    postgres_server: PostgresServer,
    tmp_path: Path,
    valkey_server: ValkeyServer,
    cluster: RemoteCluster,
    nursery: Nursery,
) -> OpenSite:
    """Opens sites for several workers at the same time."""

    @contextlib.asynccontextmanager
    async def open_one() -> AsyncIterator[Site]:
        folder = tmp_path / f"site-{next(_numbers)}"
        folder.mkdir()
        url = postgres_server.fresh_database(template=postgres_template)
        api_url = url.replace("postgres@", f"{postgres_server.login_role('api_login', member_of=API)}@")
        async with opened(url, folder, valkey_server.url, cluster, nursery, api_url=api_url) as site:
            yield site
        postgres_server.drop_database(url)

    return open_one


@pytest.fixture(params=["sqlite", "postgres"])
def open_site(request: pytest.FixtureRequest) -> OpenSite:
    """Opens sites, on either database."""
    chosen: OpenSite = request.getfixturevalue(f"open_{request.param}_site")
    return chosen


@pytest.fixture
async def site(open_site: OpenSite) -> AsyncIterator[Site]:
    """A site without workers, on either database."""
    async with open_site() as made:
        yield made


@pytest.fixture
async def sqlite_site(open_sqlite_site: OpenSite) -> AsyncIterator[Site]:
    """A site for one worker at a time."""
    async with open_sqlite_site() as made:
        yield made


@pytest.fixture
async def postgres_site(open_postgres_site: OpenSite) -> AsyncIterator[Site]:
    """A site for several workers at the same time."""
    async with open_postgres_site() as made:
        yield made
