"""The service's side of a run: it serves the dataset and takes callbacks and the adapter."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

SAMPLE = Path(__file__).parents[2] / "jobs" / "samples" / "market_orders.jsonl"
SIGNATURE = "signature=canary-of-a-signed-url"


@dataclass
class Receiver:
    """What was asked of it and what came; `answer` is the status that callbacks get."""

    url: str = ""
    dataset: bytes = field(default_factory=SAMPLE.read_bytes)
    answer: int = 202
    artifact_answer: int = 200
    callbacks: list[tuple[int, dict[str, Any]]] = field(default_factory=list)  #: size in bytes, and body
    artifact: bytes | None = None
    unsigned: int = 0

    @property
    def points(self) -> list[dict[str, Any]]:
        """Every point that came by callback."""
        return [point for _, body in self.callbacks for point in body.get("points", [])]

    async def give_dataset(self, request: web.Request) -> web.Response:
        self.unsigned += SIGNATURE not in request.query_string
        return web.Response(body=self.dataset)

    async def take_callback(self, request: web.Request) -> web.Response:
        self.unsigned += SIGNATURE not in request.query_string
        body = await request.read()
        self.callbacks.append((len(body), await request.json()))
        return web.Response(status=self.answer)

    async def take_artifact(self, request: web.Request) -> web.Response:
        self.unsigned += SIGNATURE not in request.query_string
        self.artifact = await request.read()
        return web.Response(status=self.artifact_answer)


@contextlib.asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver on a free loopback port."""
    far = Receiver()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_get("/dataset", far.give_dataset)
    app.router.add_post("/callback", far.take_callback)
    app.router.add_put("/artifact", far.take_artifact)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    far.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield far
    finally:
        await runner.cleanup()
