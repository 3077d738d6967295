"""The API over real HTTP, as `python -m server` serves it."""

import asyncio
import contextlib
import shutil
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp

from jobs.settings import Settings
from jobs.tokens import make_token
from server.__main__ import server_config
from server.app import create_app
from server.http_protocol import PatientProtocol

SECRET = "a secret for tests, 32 bytes or more"
JSON = {"Content-Type": "application/json"}
MODERN = "application/graphql-response+json"


@contextlib.asynccontextmanager
async def listening(app: ASGIApp, protocol: type[PatientProtocol] = PatientProtocol) -> AsyncIterator[str]:
    """The base URL at which `app` is served, its lifespan included, for as long as the block runs."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(server_config(app, protocol))
        running = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            async with asyncio.timeout(10):
                while not server.started:  # noqa: ASYNC110 - uvicorn tells it by this flag alone
                    await asyncio.sleep(0.005)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await running


def settings_of(folder: Path, **changes: str) -> Settings:
    """Settings whose database and storage lie in `folder`."""
    return Settings.from_env(
        {
            "DATA_DIR": str(folder),
            "SECRET_KEY": SECRET,
            "JWT_SECRET": SECRET,
            "REDIS_URL": f"unix://{folder}/no-redis",
            **changes,
        }
    )


@dataclass
class Site:
    """A served API and a client of it."""

    app: Starlette
    settings: Settings
    url: str
    http: httpx.AsyncClient

    @property
    def port(self) -> int:
        """Where raw bytes go."""
        return int(self.url.rpartition(":")[2])

    def signed_in(self, user: str = "ada") -> dict[str, str]:
        """The header of a user."""
        return {"Authorization": f"Bearer {token(user)}"}

    async def ask(self, query: str, user: str = "ada", **more: Any) -> dict[str, Any]:
        """The answer to a question by POST."""
        answer = await self.http.post("/graphql", json={"query": query, **more}, headers=self.signed_in(user))
        found: dict[str, Any] = answer.json()
        return found

    async def raw(self, request: bytes, *, then_close: bool = False) -> bytes:
        """Everything that comes back for these bytes, until the server hangs up or five seconds have passed."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(request)
            if then_close:
                writer.write_eof()
            async with asyncio.timeout(5):
                return await reader.read()
        finally:
            writer.close()


def token(user: str = "ada", *, now: datetime | None = None, **more: Any) -> str:
    """A good token."""
    return make_token(
        SECRET.encode(), user, now=now or datetime.now(UTC), lifetime=timedelta(hours=1), **more
    )


@contextlib.asynccontextmanager
async def site(
    settings: Settings, *, template: Path | None = None, protocol: type[PatientProtocol] = PatientProtocol
) -> AsyncIterator[Site]:
    """The API with these settings; its SQLite database is a copy of `template` where given."""
    if template is not None:
        shutil.copy(template, settings.data_dir / "pipeline.db")
    app = create_app(settings)
    async with listening(app, protocol) as url, httpx.AsyncClient(base_url=url, timeout=10) as http:
        yield Site(app, settings, url, http)
