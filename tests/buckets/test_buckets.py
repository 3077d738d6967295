"""What every storage does, the same table over local files and a real S3 server."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import aiohttp
import pytest
from yarl import URL

from jobs.buckets import (
    ARTIFACTS,
    DATASETS,
    IMPORTS,
    BadObjectName,
    Buckets,
    ObjectMissing,
    StorageUnavailable,
    artifact_path,
    dataset_path,
    upload_path,
)
from tests.buckets.conftest import Storage

HOUR = timedelta(hours=1)
NAMES = [
    "dev/data.jsonl",
    "auth0|5f7c/data.jsonl",
    "ann@example.org/a folder/ünï 漢字 %2e+&=?#~;,'()!*$.jsonl",
    'a:b/..hidden../{x}[y]^`<>".jsonl',
]


def now() -> datetime:
    return datetime.now(UTC)


async def content(buckets: Buckets, bucket: str, path: str) -> bytes:
    return b"".join([piece async for piece in buckets.stream(bucket, path)])


@pytest.mark.parametrize("path", NAMES)
async def test_an_object_is_put_measured_read_moved_and_deleted(storage: Storage, path: str) -> None:
    buckets = storage.buckets
    assert await buckets.size(IMPORTS, path) is None

    await buckets.put(IMPORTS, path, b"first")
    await buckets.put(IMPORTS, path, b"second")
    assert (await buckets.size(IMPORTS, path), await content(buckets, IMPORTS, path)) == (6, b"second")
    assert await buckets.size(DATASETS, path) is None
    assert storage.files() == [f"{IMPORTS}/{path}"]

    await buckets.move(IMPORTS, path, f"{path}.moved")
    assert await buckets.size(IMPORTS, path) is None
    assert await content(buckets, IMPORTS, f"{path}.moved") == b"second"

    await buckets.delete(IMPORTS, f"{path}.moved")
    await buckets.delete(IMPORTS, f"{path}.moved")
    assert storage.files() == []


async def test_a_move_replaces_what_is_there(storage: Storage) -> None:
    await storage.buckets.put(DATASETS, "dev/a.upload", b"new")
    await storage.buckets.put(DATASETS, "dev/b.jsonl", b"old")
    await storage.buckets.move(DATASETS, "dev/a.upload", "dev/b.jsonl")
    assert await content(storage.buckets, DATASETS, "dev/b.jsonl") == b"new"


async def test_an_object_that_is_not_there_is_missing(storage: Storage) -> None:
    with pytest.raises(ObjectMissing):
        await content(storage.buckets, DATASETS, "dev/none")
    with pytest.raises(ObjectMissing):
        await storage.buckets.move(DATASETS, "dev/none", "dev/other")
    await storage.buckets.put(DATASETS, "dev/file", b"")
    for path in ("dev/file/below", "dev/folder"):
        assert await storage.buckets.size(DATASETS, path) is None
    assert await storage.buckets.size(DATASETS, "dev/file") == 0
    assert await content(storage.buckets, DATASETS, "dev/file") == b""


async def test_a_large_object_comes_and_goes_in_pieces(storage: Storage) -> None:
    piece = bytes(range(256)) * 1_024

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(32):
            yield piece

    await storage.buckets.put(ARTIFACTS, "dev/model.tar", pieces())
    sizes = [len(part) async for part in storage.buckets.stream(ARTIFACTS, "dev/model.tar")]
    assert sum(sizes) == 32 * len(piece)
    assert max(sizes) <= 1024**2
    assert (storage.root / ARTIFACTS / "dev/model.tar").read_bytes() == 32 * piece


async def test_a_source_that_breaks_leaves_no_object(storage: Storage) -> None:
    async def breaks() -> AsyncIterator[bytes]:
        yield b"x" * 100_000
        raise LookupError("the far side is gone")

    with pytest.raises(LookupError):
        await storage.buckets.put(ARTIFACTS, "dev/model.tar", breaks())
    assert storage.files() == []


@pytest.mark.parametrize(
    ("bucket", "path"),
    [
        ("other-bucket", "dev/a"),
        ("", "dev/a"),
        ("..", "dev/a"),
        (DATASETS, ""),
        (DATASETS, "dev"),
        (DATASETS, "dev/"),
        (DATASETS, "/dev/a"),
        (DATASETS, "dev//a"),
        (DATASETS, "dev/./a"),
        (DATASETS, "dev/../other/a"),
        (DATASETS, "./a"),
        (DATASETS, "../a"),
        (DATASETS, "de v/a"),
        (DATASETS, "dév/a"),
        (DATASETS, "d" * 129 + "/a"),
        (DATASETS, "dev/" + "ü" * 128),
        (DATASETS, "dev/" + "a/" * 600 + "a"),
        (DATASETS, "dev/a\x00b"),
        (DATASETS, "dev/a\nb"),
        (DATASETS, "dev/a\x85b"),
        (DATASETS, "dev/a\\..\\b"),
        (DATASETS, "dev/\ud800"),
    ],
)
async def test_a_name_that_cannot_be_is_refused_everywhere(storage: Storage, bucket: str, path: str) -> None:
    buckets = storage.buckets
    with pytest.raises(BadObjectName):
        buckets.get_url(bucket, path, issued_at=now())
    with pytest.raises(BadObjectName):
        buckets.put_url(bucket, path, issued_at=now())
    with pytest.raises(BadObjectName):
        await buckets.size(bucket, path)
    with pytest.raises(BadObjectName):
        await buckets.put(bucket, path, b"")
    with pytest.raises(BadObjectName):
        await buckets.delete(bucket, path)
    with pytest.raises(BadObjectName):
        await content(buckets, bucket, path)
    assert storage.files() == []


@pytest.mark.parametrize("path", NAMES)
async def test_a_signed_url_reads_its_object_for_a_day(
    storage: Storage, http: aiohttp.ClientSession, path: str
) -> None:
    await storage.buckets.put(DATASETS, path, b"0123456789")
    for age in (timedelta(), 23 * HOUR):
        url = storage.buckets.get_url(DATASETS, path, issued_at=now() - age)
        async with http.get(url) as answer:
            assert (answer.status, await answer.read()) == (200, b"0123456789")
    async with http.get(storage.buckets.get_url(DATASETS, path, issued_at=now() - 25 * HOUR)) as answer:
        assert answer.status in (400, 403)  # S3 says 403, rclone 400


async def test_a_signed_url_allows_nothing_else(storage: Storage, http: aiohttp.ClientSession) -> None:
    await storage.buckets.put(DATASETS, "dev/mine.jsonl", b"mine")
    await storage.buckets.put(DATASETS, "dev/other.jsonl", b"other")
    await storage.buckets.put(IMPORTS, "dev/mine.jsonl", b"imported")
    issued = now()
    url = storage.buckets.get_url(DATASETS, "dev/mine.jsonl", issued_at=issued)
    upload = storage.buckets.put_url(DATASETS, "dev/mine.jsonl", issued_at=issued)
    strange = storage.stranger.get_url(DATASETS, "dev/mine.jsonl", issued_at=issued)
    changed_last = url[:-1] + ("0" if url[-1] != "0" else "1")
    for method, forged in [
        ("GET", url.replace("mine", "other")),
        ("GET", url.replace(DATASETS, IMPORTS)),
        ("GET", url.partition("?")[0]),
        ("GET", changed_last),
        ("GET", url.replace("86400", "604800").replace("expires=", "expires=1")),
        ("GET", url + "&more=1"),
        ("GET", strange),
        ("GET", upload),
        ("PUT", url),
        ("DELETE", url),
        ("DELETE", upload),
    ]:
        async with http.request(
            method, URL(forged, encoded=True), data=b"" if method == "PUT" else None
        ) as answer:
            assert 400 <= answer.status < 500, (method, forged)
            assert b"mine" not in await answer.read()
    assert await content(storage.buckets, DATASETS, "dev/mine.jsonl") == b"mine"


async def test_a_signed_url_says_the_name_to_save_under(
    storage: Storage, http: aiohttp.ClientSession
) -> None:
    await storage.buckets.put(ARTIFACTS, "dev/model.tar", b"tar")
    for name in ("adapter.tar", 'a/b "c"; ü&x=1.tar'):
        url = storage.buckets.get_url(ARTIFACTS, "dev/model.tar", issued_at=now(), filename=name)
        async with http.get(url) as answer:
            disposition = answer.content_disposition
            assert disposition is not None
            assert (answer.status, disposition.type, disposition.filename) == (200, "attachment", name)


async def test_a_signed_url_takes_an_upload_of_its_size_only(
    storage: Storage, http: aiohttp.ClientSession
) -> None:
    path = upload_path("ann@example.org", UUID(int=7))
    url = storage.buckets.put_url(DATASETS, path, issued_at=now() - timedelta(minutes=59), size_bytes=5)
    for body in (b"1234", b"123456", b""):
        async with http.put(url, data=body) as answer:
            assert 400 <= answer.status < 500
        assert storage.files() == []
    async with http.put(url, data=b"12345") as answer:
        assert answer.status == 200
    assert await content(storage.buckets, DATASETS, path) == b"12345"

    late = storage.buckets.put_url(DATASETS, path, issued_at=now() - timedelta(minutes=61), size_bytes=5)
    async with http.put(late, data=b"54321") as answer:
        assert answer.status in (400, 403)
    assert await content(storage.buckets, DATASETS, path) == b"12345"


async def test_an_upload_of_unknown_size_is_taken(storage: Storage, http: aiohttp.ClientSession) -> None:
    path = artifact_path("dev", UUID(int=7))
    async with http.put(
        storage.buckets.put_url(ARTIFACTS, path, issued_at=now()), data=b"x" * 300_000
    ) as answer:
        assert answer.status == 200
    assert await storage.buckets.size(ARTIFACTS, path) == 300_000


async def test_the_url_of_a_sealed_upload_reaches_the_dataset_no_more(
    storage: Storage, http: aiohttp.ClientSession
) -> None:
    staged, sealed = upload_path("dev", UUID(int=7)), dataset_path("dev", UUID(int=7))
    url = storage.buckets.put_url(DATASETS, staged, issued_at=now(), size_bytes=4)
    async with http.put(url, data=b"good") as answer:
        assert answer.status == 200
    await storage.buckets.move(DATASETS, staged, sealed)
    async with http.put(url, data=b"evil"):
        pass
    assert await content(storage.buckets, DATASETS, sealed) == b"good"


async def test_the_same_arguments_give_the_same_url(storage: Storage) -> None:
    issued = datetime(2026, 1, 2, 3, 4, 5, 678_900, tzinfo=UTC)
    for sign in (storage.buckets.get_url, storage.buckets.put_url):
        url = sign(DATASETS, "dev/a", issued_at=issued)
        assert sign(DATASETS, "dev/a", issued_at=issued.replace(microsecond=0)) == url
        assert sign(DATASETS, "dev/a", issued_at=issued.astimezone()) == url
        assert sign(DATASETS, "dev/a", issued_at=issued + timedelta(seconds=1)) != url


@pytest.mark.parametrize("lifetime", [timedelta(), timedelta(days=7, seconds=1), timedelta(seconds=-5)])
async def test_a_lifetime_that_s3_refuses_is_refused_by_all(storage: Storage, lifetime: timedelta) -> None:
    with pytest.raises(ValueError, match="lives for"):
        storage.buckets.get_url(DATASETS, "dev/a", issued_at=now(), lifetime=lifetime)
    with pytest.raises(ValueError, match="no time zone"):
        storage.buckets.put_url(DATASETS, "dev/a", issued_at=now().replace(tzinfo=None))


async def test_reachable_buckets_pass_their_check(storage: Storage) -> None:
    await storage.buckets.check()
    assert storage.files() == []


async def test_signing_asks_nothing_of_the_storage(storage: Storage) -> None:
    assert storage.stranger.get_url(DATASETS, "dev/nothing-there", issued_at=now()).startswith("http://")
    if storage.stranger.__class__.__name__ == "S3Buckets":
        with pytest.raises(StorageUnavailable):
            await storage.stranger.check()
