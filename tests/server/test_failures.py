"""When our own code fails, is slow or finds no database: what the client hears, and what is logged."""

import asyncio
import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import strawberry
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from strawberry.scalars import JSON

from jobs.database import DatabaseUnavailable, SteadyClock
from jobs.database.changes import SqliteChanges
from jobs.logs import configure_logging
from server.auth import Authenticator
from server.caching import Answers
from server.context import Context
from server.graphql_http import GraphQLEndpoint
from server.health import Meters
from server.middleware import Edge
from server.quotas import Quota
from tests.server.web import MODERN, settings_of, token

SECONDS = 0.3
cancelled: list[str] = []


@strawberry.type
class Query:
    """Everything that can go wrong."""

    @strawberry.field
    def fine(self) -> int:
        return 1

    @strawberry.field
    def broken(self) -> int | None:
        raise ValueError("password=hunter2 on db.internal")

    @strawberry.field
    def needed(self) -> int:
        raise ValueError("password=hunter2 on db.internal")

    @strawberry.field
    def away(self) -> int | None:
        raise DatabaseUnavailable("db.internal:5432 refused")

    @strawberry.field
    async def slow(self) -> int:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            cancelled.append("slow")
            raise
        return 1

    @strawberry.field
    def not_a_number(self) -> float | None:
        return float("nan")

    @strawberry.field
    def anything(self) -> JSON:
        return cast("JSON", {"nan": float("nan"), "inf": [float("inf")], "text": "</script>\u2028"})


@strawberry.type
class Mutation:
    """One that fails."""

    @strawberry.mutation
    def away(self) -> int:
        raise DatabaseUnavailable("db.internal:5432 refused")


async def noon() -> datetime:
    return datetime(2026, 3, 1, 12, tzinfo=UTC)


async def page(_: Request) -> Response:
    return Response("page")


async def raises(request: Request) -> Response:
    error: type[Exception] = {
        "bug": ValueError,
        "away": DatabaseUnavailable,
        "gone": ClientDisconnect,
    }[request.path_params["kind"]]
    raise error("password=hunter2 on db.internal")


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    endpoint = GraphQLEndpoint(
        strawberry.Schema(Query, Mutation),
        Authenticator(settings_of(tmp_path)),
        lambda _, request_id, __: cast("Context", _Context(request_id)),
        page,
        clock=SteadyClock(noon),
        answers=Answers(SqliteChanges("file:nothing")),
        quota=Quota(per_minute=10_000, at_once=10),
        seconds=SECONDS,
    )
    app = Starlette(
        routes=[Route("/graphql", endpoint), Route("/raises/{kind}", raises)],
        middleware=[Middleware(Edge, meters=Meters())],
    )
    transport = httpx.ASGITransport(app)
    headers = {"Authorization": f"Bearer {token()}", "Accept": MODERN, "X-Request-Id": "request-42"}
    async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers) as client:
        yield client


class _Context:
    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        self.shown: list[Any] = []

    async def close(self) -> None:
        pass


@contextmanager
def logged() -> Iterator[list[dict[str, Any]]]:
    """Everything that is logged in the block, as it is logged in production."""
    root, before = logging.getLogger(), logging.getLogger().handlers[:]
    stream, lines = io.StringIO(), list[dict[str, Any]]()
    try:
        configure_logging("json", stream)
        yield lines
    finally:
        root.handlers[:] = before
        lines += [json.loads(line) for line in stream.getvalue().splitlines()]


async def ask(http: httpx.AsyncClient, query: str) -> httpx.Response:
    return await http.post("/graphql", json={"query": query})


async def test_a_bug_is_masked_logged_whole_and_findable_by_its_request_id(http: httpx.AsyncClient) -> None:
    with logged() as lines:
        answer = await ask(http, "{ fine broken }")
    assert answer.status_code == 200
    assert answer.json()["data"] == {"fine": 1, "broken": None}
    [error] = answer.json()["errors"]
    assert error["path"] == ["broken"]
    assert error["extensions"] == {"code": "INTERNAL", "requestId": "request-42"}
    assert "request-42" in error["message"]
    assert "hunter2" not in answer.text
    assert "db.internal" not in answer.text
    [line] = [line for line in lines if "exception" in line]
    assert line["request_id"] == "request-42"
    assert "ValueError" in line["exception"]
    assert "hunter2" not in line["exception"]


async def test_a_bug_that_takes_the_whole_answer_leaves_null(http: httpx.AsyncClient) -> None:
    answer = await ask(http, "{ fine needed }")
    assert (answer.status_code, answer.json()["data"]) == (200, None)
    assert answer.json()["errors"][0]["extensions"]["code"] == "INTERNAL"


@pytest.mark.parametrize("query", ["{ fine away }", "mutation { away }"])
async def test_without_a_database_there_is_no_answer_but_come_again(
    http: httpx.AsyncClient, query: str
) -> None:
    for accept in (MODERN, "application/json"):
        answer = await http.post("/graphql", json={"query": query}, headers={"Accept": accept})
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
        assert answer.json().keys() == {"errors"}
        assert answer.json()["errors"][0]["extensions"]["code"] == "UNAVAILABLE"
        assert "db.internal" not in answer.text


async def test_what_takes_too_long_is_given_up(http: httpx.AsyncClient) -> None:
    cancelled.clear()
    answer = await ask(http, "{ fine slow }")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert answer.json()["errors"][0]["extensions"]["code"] == "TIMEOUT"
    assert cancelled == ["slow"]
    assert (await ask(http, "{ fine }")).json() == {"data": {"fine": 1}}


async def test_what_is_no_number_is_no_json(http: httpx.AsyncClient) -> None:
    answer = await ask(http, "{ fine notANumber }")
    assert answer.json()["data"] == {"fine": 1, "notANumber": None}
    answer = await ask(http, "{ anything }")
    assert answer.json() == {"data": {"anything": {"nan": None, "inf": [None], "text": "</script>\u2028"}}}


async def test_elsewhere_too_a_bug_is_a_500_and_an_outage_a_503(http: httpx.AsyncClient) -> None:
    with logged() as lines:
        bug, away = await http.get("/raises/bug"), await http.get("/raises/away")
    assert bug.status_code == 500
    assert bug.json().keys() == {"error", "requestId"}
    assert away.status_code == 503
    assert away.headers["Retry-After"] == "2"
    assert "hunter2" not in bug.text + away.text
    assert [line["event"] for line in lines if line["level"] == "error"] == ["internal error"]
    assert {line["status"] for line in lines if line["event"] == "request"} == {500, 503}


async def test_a_client_that_has_gone_is_no_error(http: httpx.AsyncClient) -> None:
    with logged() as lines, pytest.raises(AssertionError):  # httpx's way to say that there was no answer
        await http.get("/raises/gone")
    assert lines == []


async def test_a_client_that_hangs_up_before_its_question_is_complete_is_no_error(
    http: httpx.AsyncClient,
) -> None:
    app = http._transport.app  # type: ignore[attr-defined]
    sent: list[Any] = []

    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/graphql",
        "query_string": b"",
        "headers": [
            (b"authorization", f"Bearer {token()}".encode()),
            (b"content-type", b"application/json"),
        ],
    }
    with logged() as lines:
        await app(scope, receive, send)
    assert lines == []
    assert sent[0]["status"] == 400
