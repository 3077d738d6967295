"""The executor's HTTP side: three verbs behind a bearer key, every refusal as `{"error": sentence}`."""

import contextlib
import hmac
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from jobs.executor.contract import MAX_BODY_BYTES, Refusal, read_submission
from jobs.executor.dispatcher import Dispatcher
from jobs.executor.engines.process import ProcessEngine
from jobs.executor.settings import Settings
from jobs.executor.store import RunStore

_DEADLINE = aiohttp.ClientTimeout(total=5)

logger = logging.getLogger(__name__)


def create_app(settings: Settings, store: RunStore, environment: Mapping[str, str]) -> Starlette:
    """The executor as an ASGI app; trainers get what is harmless of `environment`."""

    @contextlib.asynccontextmanager
    async def life(app: Starlette) -> AsyncIterator[None]:
        engine = ProcessEngine(
            settings.trainer_python, environment, end_with_parent=settings.end_runs_with_parent
        )
        async with aiohttp.ClientSession(timeout=_DEADLINE) as http:

            async def tell(url: str, document: dict[str, Any]) -> None:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):  # it polls anyway
                    await http.post(url, json=document, allow_redirects=False)

            app.state.dispatcher = dispatcher = Dispatcher(store, engine, slots=settings.slots, tell=tell)
            await dispatcher.start()
            try:
                yield
            finally:
                await dispatcher.close()
                store.close()

    verbs = [
        Route("/submit", submit, methods=["POST"]),
        Route("/status/{external_job_id}", status, methods=["GET"]),
        Route("/cancel/{external_job_id}", cancel, methods=["POST"]),
    ]
    return Starlette(
        routes=[
            Route("/healthz", health, methods=["GET"]),
            Mount("/training", routes=verbs, middleware=[Middleware(BearerKey, key=settings.key)]),
        ],
        exception_handlers={HTTPException: _refused},
        lifespan=life,
    )


async def health(_: Request) -> Response:
    """That the process is alive."""
    return JSONResponse({"status": "ok"})


async def submit(request: Request) -> Response:
    """Take a job, or find it taken; the work is done later."""
    wish = read_submission(await _body(request), request.headers.get("idempotency-key"))
    return JSONResponse({"external_job_id": _dispatcher(request).submit(wish).external_id})


async def status(request: Request) -> Response:
    """Where a run stands."""
    return JSONResponse(await _dispatcher(request).document(request.path_params["external_job_id"]))


async def cancel(request: Request) -> Response:
    """Stop a run; it is over when its status says so."""
    run = _dispatcher(request).cancel(request.path_params["external_job_id"])
    return JSONResponse({"external_job_id": run.external_id})


class BearerKey:
    """Lets through who holds the key."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self._app, self._expected = app, f"bearer {key}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401 to everybody else, before anything of the request is read."""
        given = Headers(scope=scope).getlist("authorization")
        scheme, _, key = given[0].partition(" ") if len(given) == 1 else ("", "", "")
        if hmac.compare_digest(f"{scheme.lower()} {key.strip()}".encode("latin-1"), self._expected):
            await self._app(scope, receive, send)
            return
        answer = JSONResponse(
            {"error": "The bearer key is missing or wrong."}, 401, {"WWW-Authenticate": "Bearer"}
        )
        await answer(scope, receive, send)


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise Refusal(413, f"The body is larger than {MAX_BODY_BYTES // 1024} KiB.")
    return bytes(body)


def _dispatcher(request: Request) -> Dispatcher:
    dispatcher: Dispatcher = request.app.state.dispatcher
    return dispatcher


async def _refused(_: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)
