"""Whatever goes wrong, the answer has a stable code, says what to do, and names the request that the log knows."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.server.web import MODERN
from tests.services.api import Api, api

VIEWER = {"query": "{ viewer { id } }"}


@pytest.fixture(scope="module")
def running(sqlite_template: Path) -> Iterator[Api]:
    with api(sqlite_template) as started:
        yield started


@pytest.fixture(scope="module")
def http(running: Api) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.url, headers=running.signed_in(), timeout=30) as client:
        yield client


def asking(query: str, **variables: Any) -> dict[str, Any]:
    """A question by POST."""
    return {"method": "POST", "json": {"query": query, "variables": variables}}


PAGE_OF_PAGES = "{ jobs(first: 100) { nodes { metrics(last: 1000) { step } } } }"
WRONG: dict[str, tuple[int, str, dict[str, Any]]] = {
    "no token": (401, "UNAUTHENTICATED", {"method": "POST", "json": VIEWER, "headers": {"Authorization": ""}}),
    "no JSON": (400, "BAD_REQUEST", {"method": "POST", "content": b"{", "headers": {"Content-Type": "application/json"}}),
    "a form": (415, "UNSUPPORTED_MEDIA_TYPE", {"method": "POST", "data": {"query": "{a}"}}),
    "another answer": (406, "NOT_ACCEPTABLE", {"method": "POST", "json": VIEWER, "headers": {"Accept": "image/png"}}),
    "too large": (413, "BODY_TOO_LARGE", {"method": "POST", "json": VIEWER | {"extensions": {"a": "x" * 110_000}}}),
    "another method": (405, "METHOD_NOT_ALLOWED", {"method": "DELETE"}),
    "a mutation by GET": (405, "METHOD_NOT_ALLOWED", {"method": "GET", "params": {"query": "mutation { __typename }"}}),
    "no GraphQL": (400, "GRAPHQL_PARSE_FAILED", asking("{")),
    "not of this schema": (400, "GRAPHQL_VALIDATION_FAILED", asking("{ viewer { nothing } }")),
    "a missing variable": (400, "BAD_USER_INPUT", asking("query ($id: ID!) { job(id: $id) { id } }")),
    "no page": (200, "BAD_USER_INPUT", asking("{ jobs(first: 0) { totalCount } }")),
    "no cursor": (200, "BAD_USER_INPUT", asking('{ jobs(after: "x") { totalCount } }')),
    "too deep": (400, "QUERY_TOO_DEEP", asking("{a" * 20 + "}" * 20)),
    "too costly": (400, "QUERY_TOO_COSTLY", asking(PAGE_OF_PAGES)),
    "which operation": (400, "OPERATION_NAME_NEEDED", asking("query A { __typename } query B { __typename }")),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_an_error_says_what_it_is_and_where_it_is_logged(running: Api, http: httpx.Client, what: str) -> None:
    status, code, request = WRONG[what]
    headers = {"Accept": MODERN} | request.get("headers", {})
    answer = http.request(url="/graphql", **request | {"headers": headers})
    assert answer.status_code == status
    errors = answer.json()["errors"]
    assert {error["extensions"]["code"] for error in errors} == {code}
    assert all(len(error["message"].split()) >= 3 for error in errors)
    assert code in str(lines_of(running, answer.headers["X-Request-Id"]))


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("PUT", "/healthz", 405),
        ("POST", "/callbacks/training/5?token=x", 404),
        ("POST", "/callbacks/training/5/?token=x", 404),
        ("GET", "/callbacks/training/5?token=x", 405),
        ("GET", "/storage/lora-datasets/ada/x.jsonl?signature=x", 403),
        ("GET", "/static/nothing.js", 404),
    ],
)
def test_elsewhere_too(running: Api, http: httpx.Client, method: str, path: str, status: int) -> None:
    answer = http.request(method, path)
    assert answer.status_code == status
    assert len(answer.json()["error"].split()) >= 3
    [line] = lines_of(running, answer.headers["X-Request-Id"])
    assert (line["event"], line["status"]) == ("refused", status)


def lines_of(running: Api, request_id: str) -> list[dict[str, Any]]:
    """What is logged about a request."""
    lines = [json.loads(line) for line in running.log.read_text().splitlines()]
    return [line for line in lines if line.get("request_id") == request_id]
