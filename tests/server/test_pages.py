"""The static pages: they load without a token, only from here, and nothing else of the disk can be loaded."""

import gzip
import hashlib
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from jobs.buckets import open_buckets
from server.app import _upload_origins
from server.health import Meters
from server.middleware import Edge
from server.pages import Pages
from server.replies import http_exception
from tests.server.web import Site, settings_of, site

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
SCRIPT = b"console.log('a script that is worth packing');\n" * 100


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A built frontend, and a secret beside it."""
    static = tmp_path / "_static"
    (static / "graphiql").mkdir(parents=True)
    (static / "index.html").write_text("<!doctype html><title>Training jobs</title>")
    (static / "graphiql.html").write_text("<!doctype html><title>GraphiQL</title>")
    (static / "app.js").write_bytes(SCRIPT)
    (static / "graphiql" / "icons.ttf").write_bytes(b"\0" * 5_000)
    (static / ".hidden").write_text("a secret")
    (tmp_path / "secret.txt").write_text("a secret")
    return static


@pytest.fixture
async def http(folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    pages = Pages(folder, upload_origins=["https://s3.example:9000"])
    app = Starlette(
        routes=pages.routes(),
        middleware=[Middleware(Edge, meters=Meters())],
        exception_handlers={HTTPException: http_exception},
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        yield client


@pytest.mark.parametrize(
    "path", ["/training/jobs", "/training/jobs/new", "/training/jobs/7f1c", "/training/jobs/%2e%2e%2fx"]
)
async def test_every_address_of_the_monitor_is_the_same_page(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(path)
    if "%2f" in path:  # a slash is a slash however it is written
        assert answer.status_code == 404
        return
    assert (answer.status_code, answer.text[:15]) == (200, "<!doctype html>")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-cache"
    head = await http.head(path)
    assert (head.status_code, head.headers["ETag"]) == (200, answer.headers["ETag"])


async def test_the_root_leads_to_the_monitor(http: httpx.AsyncClient) -> None:
    answer = await http.get("/")
    assert (answer.status_code, answer.headers["Location"]) == (307, "/training/jobs")


async def test_a_page_may_load_from_here_and_upload_to_the_storage_only(http: httpx.AsyncClient) -> None:
    policy = (await http.get("/training/jobs")).headers["Content-Security-Policy"].split("; ")
    assert policy[0] == "default-src 'self'"
    assert "connect-src 'self' https://s3.example:9000" in policy
    assert {"frame-ancestors 'none'", "base-uri 'none'", "object-src 'none'", "form-action 'self'"} <= {
        *policy
    }
    assert not any("unsafe" in rule or "*" in rule for rule in policy)


async def test_no_file_but_the_built_ones_is_given_out(http: httpx.AsyncClient) -> None:
    for name in (
        "",
        "%2e%2e/secret.txt",
        "..%2fsecret.txt",
        "graphiql",
        "graphiql/",
        "/etc/passwd",
        "//etc/passwd",
        ".hidden",
        "app.js/",
        "app.js%00.html",
        "app.js\\",
        "nothing.js",
        "a" * 5_000,
    ):
        answer = await http.get(f"/static/{name}")
        assert answer.status_code == 404, name
        assert answer.headers["Content-Type"] == "application/json; charset=utf-8"


async def test_an_asset_is_kept_for_a_year_under_its_version_only(http: httpx.AsyncClient) -> None:
    version = hashlib.sha256(SCRIPT).hexdigest()[:10]
    answer = await http.get(f"/static/app.js?v={version}")
    assert answer.content == SCRIPT
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    for other in ("", "?v=", "?v=0123456789"):
        assert (await http.get(f"/static/app.js{other}")).headers["Cache-Control"] == "no-cache"


async def test_text_is_packed_for_those_who_unpack_it(http: httpx.AsyncClient) -> None:
    packed = await http.get("/static/app.js", headers={"Accept-Encoding": "gzip"})
    plain = await http.get("/static/app.js", headers={"Accept-Encoding": "identity"})
    refused = await http.get("/static/app.js", headers={"Accept-Encoding": "gzip;q=0, br"})
    assert packed.content == plain.content == refused.content == SCRIPT
    assert packed.headers["Content-Encoding"] == "gzip"
    assert int(packed.headers["Content-Length"]) == len(gzip.compress(SCRIPT, 6, mtime=0)) < len(SCRIPT)
    assert "Content-Encoding" not in plain.headers
    assert "Content-Encoding" not in refused.headers
    assert packed.headers["ETag"] != plain.headers["ETag"]
    assert packed.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"
    font = await http.get("/static/graphiql/icons.ttf", headers={"Accept-Encoding": "gzip"})
    assert font.headers["Content-Type"] == "font/ttf"
    assert "Content-Encoding" not in font.headers


async def test_what_the_browser_has_already_is_not_sent_again(http: httpx.AsyncClient, folder: Path) -> None:
    etag = (await http.get("/training/jobs")).headers["ETag"]
    for known in (etag, f'"x", W/{etag}'):
        answer = await http.get("/training/jobs", headers={"If-None-Match": known})
        assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", etag)
    (folder / "index.html").write_text("<!doctype html><title>A new release</title>")
    answer = await http.get("/training/jobs", headers={"If-None-Match": etag})
    assert (answer.status_code, "A new release" in answer.text) == (200, True)


async def test_pages_that_were_not_built_say_how_to_build_them(tmp_path: Path) -> None:
    app = Starlette(routes=Pages(tmp_path).routes(), middleware=[Middleware(Edge, meters=Meters())])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:
        answer = await http.get("/training/jobs")
    assert (answer.status_code, answer.json()) == (
        503,
        {"error": "The pages have not been built yet: run scripts/setup."},
    )


@pytest.fixture(scope="module")
async def api(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with site(settings_of(tmp_path_factory.mktemp("api")), template=sqlite_template) as served:
        yield served


async def test_graphiql_comes_to_a_browser_without_a_token_and_to_nobody_else(api: Site) -> None:
    page = await api.http.get("/graphql", headers={"Accept": BROWSER})
    assert page.status_code == 200
    assert "graphiql" in page.text
    policy = page.headers["Content-Security-Policy"].split("; ")
    assert "style-src 'self' 'unsafe-inline'" in policy
    assert "default-src 'self'" in policy
    for accept in ("*/*", "application/json", "application/json, text/html;q=0.9", "text/html;q=0"):
        assert (await api.http.get("/graphql", headers={"Accept": accept})).status_code == 401
    asked = await api.http.get("/graphql?query=%7Ba%7D", headers={"Accept": BROWSER})
    assert asked.status_code == 401
    posted = await api.http.post("/graphql", headers={"Accept": BROWSER})
    assert posted.status_code == 401


async def test_dots_lead_nowhere(api: Site) -> None:
    for path in (
        "/static/../app.py",
        "/static/graphiql/../../app.py",
        "/static/./app.js",
        "/static/..",
        "/../../x",
    ):
        said = await api.raw(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        assert said.startswith(b"HTTP/1.1 404 "), path


async def test_the_built_pages_name_assets_that_are_there(api: Site) -> None:
    for path in ("/training/jobs", "/graphql"):
        page = (await api.http.get(path, headers={"Accept": BROWSER})).text
        assets = re.findall(r"(?:src|href)=\"(/static/[^\"]+)\"", page)
        assert len(assets) >= 2
        for asset in assets:
            answer = await api.http.get(asset)
            assert answer.status_code == 200, asset
            assert answer.headers["Cache-Control"].endswith("immutable"), asset


SECURED = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


async def test_every_answer_is_secured(api: Site) -> None:
    for method, path in (
        *(("GET", path) for path in ("/", "/training/jobs", "/graphql", "/static/app.js", "/static/none")),
        *(
            ("GET", path)
            for path in ("/healthz", "/readyz", "/metrics", "/nothing", "/storage/lora-datasets/a/b")
        ),
        *(("POST", path) for path in ("/graphql", "/callbacks/training/1", "/healthz", "/training/jobs")),
    ):
        answer = await api.http.request(method, path)
        assert {name: answer.headers.get(name) for name in SECURED} == SECURED, path
        assert "Content-Security-Policy" in answer.headers, path
        is_page = answer.headers.get("Content-Type", "").startswith("text/html")
        assert (answer.headers.get("Cross-Origin-Opener-Policy") == "same-origin") is is_page, path
        assert ("Permissions-Policy" in answer.headers) is is_page, path
        assert "Cache-Control" in answer.headers, path
        assert "Server" not in answer.headers, path


def test_uploads_may_go_to_where_signed_urls_lead(tmp_path: Path) -> None:
    local = open_buckets(tmp_path.as_uri(), "https://pipeline.example", b"k" * 32, environ={})
    assert _upload_origins(local) == ["https://pipeline.example"]
    account = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "eu-central-1"}
    amazon = open_buckets("s3://", "https://pipeline.example", b"k" * 32, environ=account)
    assert _upload_origins(amazon) == ["https://lora-datasets.s3.eu-central-1.amazonaws.com"]
    minio = account | {"AWS_ENDPOINT_URL": "http://minio:9000"}
    own = open_buckets("s3://", "https://pipeline.example", b"k" * 32, environ=minio)
    assert _upload_origins(own) == ["http://minio:9000"]
