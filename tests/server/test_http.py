"""GraphQL over HTTP: what a well-formed request gets, and that a malformed one gets a 4xx and harms nobody."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.server.web import JSON, MODERN, Site, settings_of, site

VIEWER = "{ viewer { id } }"
ADA = {"data": {"viewer": {"id": "ada"}}}


@pytest.fixture(scope="module")
async def api(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with site(settings_of(tmp_path_factory.mktemp("api")), template=sqlite_template) as served:
        yield served


async def test_a_question_is_answered_by_post_and_by_get(api: Site) -> None:
    posted = await api.http.post("/graphql", json={"query": VIEWER}, headers=api.signed_in())
    got = await api.http.get("/graphql", params={"query": VIEWER}, headers=api.signed_in())
    for answer in (posted, got):
        assert (answer.status_code, answer.json()) == (200, ADA)
        assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
        assert answer.headers["Vary"] == "Accept, Accept-Encoding, Authorization"
    assert posted.headers["Cache-Control"] == "no-store"
    assert "ETag" not in posted.headers


async def test_variables_and_the_name_of_the_operation_come_with_it(api: Site) -> None:
    query = "query A($first: Int!) { jobs(first: $first) { totalCount } } query B { viewer { id } }"
    more = {"variables": {"first": 5}, "operationName": "A", "extensions": {"any": 1}}
    by_post = await api.http.post("/graphql", json={"query": query, **more}, headers=api.signed_in())
    params = {"query": query, "variables": '{"first": 5}', "operationName": "A", "extensions": "{}"}
    by_get = await api.http.get("/graphql", params=params, headers=api.signed_in())
    assert by_post.json() == by_get.json() == {"data": {"jobs": {"totalCount": 0}}}
    nulls = {"query": VIEWER, "variables": None, "operationName": None, "extensions": None}
    assert (await api.http.post("/graphql", json=nulls, headers=api.signed_in())).json() == ADA


ACCEPTED = {
    "": "application/json",
    "*/*": "application/json",
    "application/*": "application/json",
    "application/json": "application/json",
    "APPLICATION/JSON; charset=utf-8": "application/json",
    MODERN: MODERN,
    f"{MODERN}, application/json": MODERN,
    f"application/json, {MODERN}": MODERN,
    f"application/json;q=0.9,{MODERN};q=0.5": "application/json",
    f"{MODERN}, application/json;q=0.9": MODERN,
    f"{MODERN};q=0, */*": "application/json",
    f"application/json;q=0, */*;q=0.1, {MODERN};q=0.2": MODERN,
    "text/html, */*;q=0.8": "application/json",
    f"text/plain, {MODERN};q=0.1": MODERN,
}


@pytest.mark.parametrize("accept", ACCEPTED)
async def test_the_answer_has_the_type_that_is_liked_best(api: Site, accept: str) -> None:
    headers = api.signed_in() | {"Accept": accept}
    answer = await api.http.post("/graphql", json={"query": VIEWER}, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == f"{ACCEPTED[accept]}; charset=utf-8"


@pytest.mark.parametrize(
    "accept", ["text/html", "image/*", "application/json;q=0", "multipart/mixed", "text/event-stream", "x"]
)
async def test_an_answer_of_a_type_that_we_do_not_have_is_refused(api: Site, accept: str) -> None:
    headers = api.signed_in() | {"Accept": accept}
    answer = await api.http.post("/graphql", json={"query": VIEWER}, headers=headers)
    assert answer.status_code == 406
    assert answer.json()["errors"][0]["extensions"]["code"] == "NOT_ACCEPTABLE"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{ viewer { nothing } }", "GRAPHQL_VALIDATION_FAILED"),
        ("query A($id: ID!) { job(id: $id) { id } }", "BAD_USER_INPUT"),
        ("{ a { b { c { d { e { f { g { h { i { j { k } } } } } } } } } } }", "QUERY_TOO_DEEP"),
        ("query A { viewer { id } } query B { viewer { id } }", "OPERATION_NAME_NEEDED"),
    ],
)
async def test_what_the_document_does_wrong_is_400_for_new_clients_and_200_for_old(
    api: Site, query: str, code: str
) -> None:
    for accept, status in ((MODERN, 400), ("application/json", 200)):
        headers = api.signed_in() | {"Accept": accept}
        answer = await api.http.post("/graphql", json={"query": query}, headers=headers)
        assert answer.status_code == status
        assert answer.json().keys() == {"errors"}
        assert [error["extensions"]["code"] for error in answer.json()["errors"]] == [code]


async def test_the_operation_that_is_named_must_be_there(api: Site) -> None:
    answer = await api.ask("query A { viewer { id } }", operationName="B")
    assert answer["errors"][0]["extensions"]["code"] == "UNKNOWN_OPERATION"


DEEP = b"[" * 50_000 + b"]" * 50_000
MALFORMED: dict[str, bytes] = {
    "a string": b'"x"',
    "a number": b"5",
    "null": b"null",
    "nothing": b"",
    "an empty list": b"[]",
    "a batch": json.dumps([{"query": VIEWER}] * 2).encode(),
    "a batch of 1,500": json.dumps([{"query": VIEWER}] * 1_500).encode(),
    "no question": b"{}",
    "bytes that are no text": b'{"query":"\xff\xfe"}',
    "a byte order mark": b'\xef\xbb\xbf{"query":"{ viewer { id } }"}',
    "UTF-16": '{"query":"{ viewer { id } }"}'.encode("utf-16"),
    "open brackets": b"[" * 100_000,
    "nested lists in variables": b'{"query":"{a}","variables":{"a":' + DEEP[25_000:75_000] + b"}}",
    "an endless number": b'{"query":"{a}","variables":{"a":' + b"9" * 5_000 + b"}}",
    "not a number": b'{"query":"{a}","variables":{"a":NaN}}',
    "half a character": b'{"query":"\\ud800"}',
    "half a character with text": b'{"query":"{ viewer { id } } # \\ud800 x"}',
    "two documents": b'{"query":"{a}"} {"query":"{a}"}',
    "a number as query": b'{"query":5}',
    "a list as query": b'{"query":["{a}"]}',
    "null as query": b'{"query":null}',
    "a number as operationName": b'{"query":"{a}","operationName":5}',
    "a list as variables": b'{"query":"{a}","variables":[1]}',
    "text as variables": b'{"query":"{a}","variables":"{}"}',
    "a list as extensions": b'{"query":"{a}","extensions":[]}',
    "half a body": b'{"query":"{ viewer { id',
}


@pytest.mark.parametrize("what", MALFORMED)
@pytest.mark.parametrize("accept", [MODERN, "application/json"])
async def test_a_malformed_body_is_a_400(api: Site, what: str, accept: str) -> None:
    headers = api.signed_in() | JSON | {"Accept": accept}
    answer = await api.http.post("/graphql", content=MALFORMED[what], headers=headers)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"
    assert len(answer.content) < 500
    assert await api.ask(VIEWER) == ADA


@pytest.mark.parametrize(
    "question",
    [
        "variables={}",
        f"query={quote(VIEWER)}&query={quote(VIEWER)}",
        f"query={quote(VIEWER)}&variables=[]",
        f"query={quote(VIEWER)}&variables=",
        f"query={quote(VIEWER)}&variables={quote('[' * 3_000)}",
        f"query={quote(VIEWER)}&extensions=5",
        "query=%ff%fe",
        "&".join(f"a{number}=1" for number in range(30)),
    ],
)
async def test_a_malformed_address_is_a_400(api: Site, question: str) -> None:
    answer = await api.http.get(f"/graphql?{question}", headers=api.signed_in())
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/jsonfoo"},
        {"Content-Type": "application/graphql"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application/json; charset=utf-16"},
        JSON | {"Content-Encoding": "gzip"},
        JSON | {"Content-Encoding": "br"},
    ],
)
async def test_a_body_that_is_not_declared_as_json_is_a_415(api: Site, headers: dict[str, str]) -> None:
    body = json.dumps({"query": VIEWER}).encode()
    answer = await api.http.post("/graphql", content=body, headers=api.signed_in() | headers)
    assert answer.status_code == 415
    assert answer.json()["errors"][0]["extensions"]["code"] == "UNSUPPORTED_MEDIA_TYPE"


async def test_json_may_be_declared_in_any_case_and_with_its_charset(api: Site) -> None:
    for kind in ("Application/JSON", 'application/json; charset="UTF-8"', "application/json;charset=utf8"):
        headers = api.signed_in() | {"Content-Type": kind}
        body = json.dumps({"query": VIEWER}).encode()
        assert (await api.http.post("/graphql", content=body, headers=headers)).json() == ADA


@pytest.mark.parametrize("pad", [b" " * 102_400, b"#" + b"x" * 102_400])
async def test_a_body_beyond_100_kib_is_a_413_whether_announced_or_not(api: Site, pad: bytes) -> None:
    body = b'{"query":"{ viewer { id } } ' + pad + b'"}'

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 10_000):
            yield body[start : start + 10_000]

    for content in (body, pieces()):
        answer = await api.http.post("/graphql", content=content, headers=api.signed_in() | JSON)
        assert answer.status_code == 413
        assert answer.json()["errors"][0]["extensions"]["code"] == "BODY_TOO_LARGE"
    small = b'{"query":"{ viewer { id } }"' + b" " * 100_000 + b"}"
    assert (await api.http.post("/graphql", content=small, headers=api.signed_in() | JSON)).json() == ADA


async def test_methods_other_than_get_and_post_are_a_405(api: Site) -> None:
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE"):
        answer = await api.http.request(method, "/graphql", headers=api.signed_in())
        assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, POST")


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("mutation { __typename }", None),
        ('mutation { cancelJob(id: "1") { __typename } }', None),
        ("query A { viewer { id } } mutation B { __typename }", "B"),
    ],
)
async def test_a_mutation_by_get_is_a_405_and_not_done(api: Site, query: str, name: str | None) -> None:
    params = {"query": query} | ({"operationName": name} if name else {})
    answer = await api.http.get("/graphql", params=params, headers=api.signed_in())
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    assert answer.json().keys() == {"errors"}


async def test_a_repeated_question_by_get_costs_a_304(api: Site) -> None:
    first = await api.http.get("/graphql", params={"query": VIEWER}, headers=api.signed_in())
    etag = first.headers["ETag"]
    assert first.headers["Cache-Control"] == "private, no-cache"
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        headers = api.signed_in() | {"If-None-Match": known}
        again = await api.http.get("/graphql", params={"query": VIEWER}, headers=headers)
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", etag)
    for user, changed in (("bob", {}), ("ada", {"Accept": MODERN})):
        headers = api.signed_in(user) | {"If-None-Match": etag} | changed
        assert (await api.http.get("/graphql", params={"query": VIEWER}, headers=headers)).status_code == 200


async def test_every_answer_names_its_request(api: Site) -> None:
    ids = {(await api.http.get(path)).headers["X-Request-Id"] for path in ("/healthz", "/none", "/graphql")}
    assert len(ids) == 3
    for given, kept in (("trace-1234.abc", True), ("short", False), ("<script>alert(1)</script>", False)):
        answer = await api.http.get("/healthz", headers={"X-Request-Id": given})
        assert (answer.headers["X-Request-Id"] == given) is kept


async def test_addresses_have_no_other_spelling(api: Site) -> None:
    for path in (
        "/graphql/",
        "//graphql",
        "/healthz/",
        "/training/jobs/",
        "/training//jobs",
        "/none",
        "/.git/x",
    ):
        answer = await api.http.get(api.url + path, headers=api.signed_in())
        assert (answer.status_code, answer.json()) == (404, {"error": "There is nothing at this address."})


async def test_a_web_socket_is_not_opened(api: Site) -> None:
    upgrade = (
        b"GET /graphql HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
    )
    assert (await api.raw(upgrade, then_close=True)).startswith(b"HTTP/1.1 401 ")


async def test_the_same_answer_comes_to_many_at_once(api: Site) -> None:
    answers: list[Any] = await asyncio.gather(*(api.ask(VIEWER, f"user-{number}") for number in range(40)))
    assert [answer["data"]["viewer"]["id"] for answer in answers] == [f"user-{n}" for n in range(40)]
