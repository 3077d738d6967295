"""Both storages behind real HTTP servers, as one fixture."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
from starlette.applications import Starlette

from jobs.buckets import BUCKETS, Buckets, LocalBuckets, S3Buckets, open_buckets
from server.files import file_routes
from tests.buckets.serving import served
from tests.services import S3Server

KEY = bytes(range(32))


async def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Storage:
    """Buckets, the same opened with a wrong key, and the folder of the objects' files."""

    buckets: Buckets
    stranger: Buckets
    root: Path

    def files(self) -> list[str]:
        """Every file that is there, relative to the root."""
        return sorted(str(file.relative_to(self.root)) for file in self.root.rglob("*") if file.is_file())


@pytest.fixture(scope="session", params=["local", "s3"])
async def shared_storage(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Storage]:
    """One storage of each kind for all tests."""
    if request.param == "s3":
        server: S3Server = request.getfixturevalue("s3_server")
        for bucket in BUCKETS:
            server.bucket(bucket)
        wrong = server.environment() | {"AWS_SECRET_ACCESS_KEY": "another"}
        yield Storage(S3Buckets.from_env(server.environment()), S3Buckets.from_env(wrong), server.root)
        return
    root = tmp_path_factory.mktemp("storage")
    opened: list[LocalBuckets] = []

    def app(url: str) -> Starlette:
        for key in (KEY, bytes(32)):
            buckets = open_buckets(root.as_uri(), url, key, environ={})
            assert isinstance(buckets, LocalBuckets)
            opened.append(buckets)
        return Starlette(routes=file_routes(opened[0], clock=_now))

    async with served(app):
        yield Storage(opened[0], opened[1], root)


@pytest.fixture
async def storage(shared_storage: Storage) -> Storage:
    """A storage without any object."""
    for file in shared_storage.files():
        bucket, _, path = file.partition("/")
        await shared_storage.buckets.delete(bucket, path)  # not behind the server's back: it remembers
    return shared_storage


@pytest.fixture(scope="session")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A client that knows nothing but URLs."""
    async with aiohttp.ClientSession() as session:
        yield session
