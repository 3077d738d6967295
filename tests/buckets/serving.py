"""A real HTTP server over an ASGI app, on a loopback port, in this process."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable

import uvicorn
from starlette.applications import Starlette


@contextlib.asynccontextmanager
async def served(make_app: Callable[[str], Starlette]) -> AsyncIterator[str]:
    """The base URL at which `make_app(base URL)` is served for as long as the block runs."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = uvicorn.Server(uvicorn.Config(make_app(url), log_level="warning", ws="none", lifespan="off"))
        running = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            async with asyncio.timeout(10):
                while not server.started:  # noqa: ASYNC110 - uvicorn tells it by this flag alone
                    await asyncio.sleep(0.005)
            yield url
        finally:
            server.should_exit = True
            await running
