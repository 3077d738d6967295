"""Local storage over real HTTP: what a signed URL opens, and that nothing else does."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
from starlette.applications import Starlette
from yarl import URL

from jobs.buckets import DATASETS, IMPORTS, LocalBuckets
from jobs.database import KeptClock
from server.files import file_routes
from tests.buckets.serving import served
from tests.server.web import settings_of
from tests.server.web import site as api_at

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CONTENT = bytes(range(256)) * 40
PATH = "ann@example.org/a b.jsonl"


@dataclass
class Site:
    """A served storage folder, the clock it goes by, and a client."""

    buckets: LocalBuckets
    root: Path
    url: str
    http: aiohttp.ClientSession
    now: datetime = field(default=NOW)

    async def ask(
        self, method: str, url: str, body: bytes | AsyncIterator[bytes] | None = None, **headers: str
    ) -> tuple[int, bytes]:
        async with self.http.request(method, URL(url, encoded=True), data=body, headers=headers) as answer:
            return answer.status, await answer.read()

    def files(self) -> list[str]:
        return sorted(str(file.relative_to(self.root)) for file in self.root.rglob("*") if file.is_file())


async def until(condition: Callable[[], bool]) -> None:
    """Return once it holds; TimeoutError after ten seconds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - a folder tells nobody
            await asyncio.sleep(0.01)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    made: list[Site] = []

    async with aiohttp.ClientSession() as http:

        async def now() -> datetime:
            return made[0].now

        def app(url: str) -> Starlette:
            buckets = LocalBuckets(tmp_path / "storage", url, b"key")
            made.append(Site(buckets, tmp_path / "storage", url, http))
            return Starlette(routes=file_routes(buckets, clock=now))

        async with served(app):
            await made[0].buckets.put(DATASETS, PATH, CONTENT)
            yield made[0]


async def test_an_object_is_read_whole_in_part_or_not_at_all(site: Site) -> None:
    url = site.buckets.get_url(DATASETS, PATH, issued_at=NOW)
    assert await site.ask("GET", url) == (200, CONTENT)
    assert await site.ask("GET", url, Range="bytes=10-19") == (206, CONTENT[10:20])
    assert await site.ask("GET", url, Range="bytes=-5") == (206, CONTENT[-5:])
    assert (await site.ask("GET", url, Range="bytes=99999-"))[0] == 416
    async with site.http.head(URL(url, encoded=True)) as answer:
        assert (answer.status, answer.content_length, await answer.read()) == (200, len(CONTENT), b"")


async def test_no_browser_runs_keeps_or_guesses_what_is_served(site: Site) -> None:
    good = site.buckets.get_url(DATASETS, PATH, issued_at=NOW)
    for url, status in ((good, 200), (good + "0", 403)):
        async with site.http.get(URL(url, encoded=True)) as answer:
            assert answer.status == status
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Content-Security-Policy"] == "sandbox"
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert answer.headers["Cache-Control"] == "private, no-store"
            if status == 200:
                assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''a%20b.jsonl"
                assert answer.content_type == "application/octet-stream"


FORGERIES: list[Callable[[str], str]] = [
    lambda url: url.partition("?")[0],
    lambda url: url.rpartition("&signature=")[0],
    lambda url: url.partition("?")[0] + "?signature=" + url.rpartition("=")[2],
    lambda url: url[:-1],
    lambda url: url + "0",
    lambda url: url + "&more=1",
    lambda url: url + "&expires=9999999999",
    lambda url: url.replace("?", "?more=1&"),
    lambda url: url.replace("?", "?filename=x&"),
    lambda url: url.replace("expires=1", "expires=2"),
    lambda url: url.replace("&signature", "&size=5&signature"),
    lambda url: url.replace("signature=", "signature=%C3%BC"),
    lambda url: url.replace("a%20b", "other"),
    lambda url: url.replace("a%20b", "%61%20b"),
    lambda url: url.replace("ann@", "ann%40"),
    lambda url: url.replace("org/a", "org%2Fa"),
    lambda url: url.replace("org/a", "org%2fa"),
    lambda url: url.replace("org/a", "org//a"),
    lambda url: url.replace("org/a", "org/./a"),
    lambda url: url.replace("org/a", "org/x/../a"),
    lambda url: url.replace("org/a", "org/x/%2e%2e/a"),
    lambda url: url.replace("org/a", "org/%2e%2e/ann@example.org/a"),
    lambda url: url.replace("ann@", "../lora-datasets/ann@"),
    lambda url: url.replace("ann@", "..%2flora-datasets/ann@"),
    lambda url: url.replace("ann@", "%00ann@"),
    lambda url: url.replace("lora-datasets", "training-files"),
    lambda url: url.replace("lora-datasets/", ""),
    lambda url: url.replace("/storage/", "/storage//"),
    lambda url: url + "&a=1" * 50,
    lambda url: url.partition("?")[0] + "?&&&",
]


async def test_a_url_that_was_changed_opens_nothing(site: Site) -> None:
    for bucket, path in ((DATASETS, "ann@example.org/other.jsonl"), (IMPORTS, PATH)):
        await site.buckets.put(bucket, path, b"not yours")
    url = site.buckets.get_url(DATASETS, PATH, issued_at=NOW)
    for forge in FORGERIES:
        forged = forge(url)
        assert forged != url
        status, body = await site.ask("GET", forged)
        assert (status, body[:19]) == (403, b'{"error":"This link'), forged


async def test_a_url_opens_for_its_method_key_and_time_only(site: Site) -> None:
    read = site.buckets.get_url(DATASETS, PATH, issued_at=NOW)
    write = site.buckets.put_url(DATASETS, PATH, issued_at=NOW)
    strange = LocalBuckets(site.root, site.url, b"another").get_url(DATASETS, PATH, issued_at=NOW)
    assert (await site.ask("GET", write))[0] == 403
    assert (await site.ask("HEAD", write))[0] == 403
    assert (await site.ask("PUT", read, b"evil"))[0] == 403
    assert (await site.ask("GET", strange))[0] == 403
    for method in ("POST", "DELETE", "PATCH", "OPTIONS"):
        assert (await site.ask(method, read))[0] == 405
        assert (await site.ask(method, write))[0] == 405

    site.now = NOW + timedelta(hours=24, seconds=-1)
    assert (await site.ask("GET", read))[0] == 200
    site.now = NOW + timedelta(hours=24)
    assert await site.ask("GET", read) == (403, b'{"error":"This link has expired; ask for a new one."}')
    assert await site.ask("PUT", write, b"evil") == (
        403,
        b'{"error":"This link has expired; ask for a new one."}',
    )
    assert (site.root / DATASETS / PATH).read_bytes() == CONTENT


async def test_an_object_that_is_gone_is_a_404(site: Site) -> None:
    url = site.buckets.get_url(DATASETS, "dev/none", issued_at=NOW)
    assert await site.ask("GET", url) == (404, b'{"error":"There is no such object."}')


async def test_an_upload_must_have_exactly_its_size(site: Site) -> None:
    before = site.files()
    url = site.buckets.put_url(DATASETS, "dev/7.upload", issued_at=NOW, size_bytes=200_000)

    async def pieces(*sizes: int) -> AsyncIterator[bytes]:
        for size in sizes:
            yield b"x" * size

    assert (await site.ask("PUT", url, b"x" * 200_001))[0] == 413
    assert (await site.ask("PUT", url, pieces(150_000, 50_001)))[0] == 413
    assert (await site.ask("PUT", url, b"x" * 199_999))[0] == 422
    status, body = await site.ask("PUT", url, pieces(100_000, 99_999))
    assert (status, body) == (
        422,
        b'{"error":"199999 bytes came, but this link is for 200000; send the whole file."}',
    )
    assert site.files() == before

    content = os.urandom(200_000)
    assert (await site.ask("PUT", url, content)) == (200, b"")
    assert (site.root / DATASETS / "dev/7.upload").read_bytes() == content
    assert (await site.ask("PUT", url, pieces(100_000, 100_000)))[0] == 200
    assert site.files() == sorted([*before, f"{DATASETS}/dev/7.upload"])


async def test_the_url_of_an_upload_is_dead_after_its_completion(site: Site) -> None:
    url = site.buckets.put_url(DATASETS, "dev/7.upload", issued_at=NOW, size_bytes=4)
    assert (await site.ask("PUT", url, b"good"))[0] == 200
    await site.buckets.move(DATASETS, "dev/7.upload", "dev/7.jsonl")
    assert await site.ask("PUT", url, b"evil") == (
        410,
        b'{"error":"This upload is complete; its link works no more."}',
    )
    assert (site.root / DATASETS / "dev/7.jsonl").read_bytes() == b"good"
    assert f"{DATASETS}/dev/7.upload" not in site.files()


async def test_a_client_that_goes_away_leaves_no_file(site: Site) -> None:
    before = site.files()
    parts = urlsplit(site.buckets.put_url(DATASETS, "dev/7.upload", issued_at=NOW, size_bytes=10**9))
    _, writer = await asyncio.open_connection("127.0.0.1", parts.port)
    writer.write(
        f"PUT {parts.path}?{parts.query} HTTP/1.1\r\nHost: x\r\nContent-Length: {10**9}\r\n\r\n".encode()
    )
    writer.write(b"x" * 300_000)
    await writer.drain()
    await until(lambda: site.files() != before)  # the server has begun to write
    writer.transport.abort()
    await until(lambda: site.files() == before)


async def test_uploads_at_the_same_time_leave_one_whole_file(site: Site) -> None:
    url = site.buckets.put_url(DATASETS, "dev/7.upload", issued_at=NOW, size_bytes=1_000_000)
    contents = [bytes([number]) * 1_000_000 for number in range(8)]
    answers = await asyncio.gather(*(site.ask("PUT", url, content) for content in contents))
    assert {status for status, _ in answers} == {200}
    assert (site.root / DATASETS / "dev/7.upload").read_bytes() in contents


async def test_a_large_file_goes_up_and_down_unchanged(site: Site) -> None:
    block = os.urandom(1024**2)
    up, down = hashlib.sha256(), hashlib.sha256()

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(32):
            up.update(block)
            yield block

    url = site.buckets.put_url(DATASETS, "dev/7.upload", issued_at=NOW, size_bytes=32 * 1024**2)
    assert (await site.ask("PUT", url, pieces()))[0] == 200
    async with site.http.get(site.buckets.get_url(DATASETS, "dev/7.upload", issued_at=NOW)) as answer:
        async for piece in answer.content.iter_any():
            down.update(piece)
    assert down.digest() == up.digest()


async def test_a_disk_that_cannot_be_used_is_a_503(site: Site) -> None:
    url = site.buckets.put_url(DATASETS, "dev/7.upload", issued_at=NOW)
    (site.root / ".incoming").rmdir()
    (site.root / ".incoming").write_bytes(b"in the way")
    assert await site.ask("PUT", url, b"x") == (
        503,
        b'{"error":"The storage folder cannot be used: File exists."}',
    )


@pytest.mark.parametrize("hours", [2, -2])
async def test_links_are_good_by_the_databases_clock_whatever_the_machines_says(
    sqlite_template: Path, tmp_path: Path, hours: int
) -> None:
    machine = lambda: datetime.now(UTC) + timedelta(hours=hours)  # noqa: E731
    KeptClock(tmp_path / "pipeline.db", machine=machine).keep()
    wanted = '{name: "Pairs", fileName: "pairs.jsonl", sizeBytes: 7}'
    async with api_at(settings_of(tmp_path), template=sqlite_template) as api:
        answer = await api.ask(
            f"mutation {{ createDatasetUpload(input: {wanted}) {{ ... on DatasetUpload {{ uploadUrl }} }} }}"
        )
        url = urlsplit(answer["data"]["createDatasetUpload"]["uploadUrl"])
        put = await api.http.put(f"{url.path}?{url.query}", content=b"7 bytes")
        assert put.status_code == 200
