"""`python -m server`: the API, on HOST and PORT."""

import asyncio
import errno
import os
import socket
import sys

import structlog
import uvicorn
from starlette.types import ASGIApp

from jobs.buckets import StorageMisconfigured
from jobs.database import Database, DatabaseUnavailable, SchemaMismatch
from jobs.database.migrate import check_schema
from jobs.garbage import collect_less
from jobs.logs import configure_logging
from jobs.settings import Settings, SettingsError
from server.app import create_app
from server.http_protocol import PatientProtocol

GRACE = 8  #: seconds that running requests have when the process is told to end

logger = structlog.get_logger(__name__)


class CannotListen(Exception):
    """HOST and PORT cannot be listened on."""


def main() -> int:
    """Serve until SIGINT or SIGTERM; 1 when it cannot begin, with a sentence on standard error."""
    try:
        settings = Settings.from_env(os.environ)
        configure_logging(settings.log_format)
        app = create_app(settings)
        asyncio.run(_check(settings))
        with _listener(settings.host, settings.port) as listener:
            collect_less()
            logger.info("listening", host=settings.host, port=settings.port, public_url=settings.public_url)
            uvicorn.Server(server_config(app)).run(sockets=[listener])
    except (SettingsError, StorageMisconfigured, SchemaMismatch, DatabaseUnavailable, CannotListen) as exc:
        print(f"server: {exc}", file=sys.stderr)
        return 1
    return 0


def server_config(app: ASGIApp, protocol: type[PatientProtocol] = PatientProtocol) -> uvicorn.Config:
    """How uvicorn serves it: nothing about a client is believed but what it says itself, and nothing is said of us."""
    return uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        proxy_headers=False,
        server_header=False,
        access_log=False,  # addresses hold tokens and signatures
        log_config=None,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=GRACE,
        backlog=1024,
    )


async def _check(settings: Settings) -> None:
    database = Database.open(settings.database_url, pool_size=1)
    try:
        await check_schema(database)
    finally:
        await database.close()


def _listener(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=1024)
    except OSError as exc:
        why = "the port is taken" if exc.errno == errno.EADDRINUSE else exc.strerror
        raise CannotListen(f"HOST and PORT: {host}:{port} cannot be listened on: {why}.") from exc


if __name__ == "__main__":
    sys.exit(main())
