"""What only S3 has: a prefix, a server that can be away, keys that can be wrong."""

from datetime import UTC, datetime
from time import monotonic

import aiohttp
import pytest

from jobs.buckets import ARTIFACTS, BUCKETS, DATASETS, ObjectMissing, S3Buckets, StorageUnavailable
from tests.services import S3Server, s3
from tests.services.process import free_port


async def test_a_prefix_stands_before_every_path(s3_server: S3Server, http: aiohttp.ClientSession) -> None:
    folder = s3_server.bucket(DATASETS)
    buckets = S3Buckets.from_env(s3_server.environment(), "team/a")
    await buckets.put(DATASETS, "dev/prefixed", b"there")
    assert (folder / "team/a/dev/prefixed").read_bytes() == b"there"
    assert await buckets.size(DATASETS, "dev/prefixed") == 5
    async with http.get(buckets.get_url(DATASETS, "dev/prefixed", issued_at=datetime.now(UTC))) as answer:
        assert await answer.read() == b"there"


async def test_a_wrong_key_is_our_outage_and_says_so_without_secrets(s3_server: S3Server) -> None:
    s3_server.bucket(DATASETS)
    wrong = S3Buckets.from_env(s3_server.environment() | {"AWS_SECRET_ACCESS_KEY": "wrong-secret"})
    with pytest.raises(StorageUnavailable, match="lora-datasets gave no usable answer") as raised:
        await wrong.put(DATASETS, "dev/a", b"")
    assert "wrong-secret" not in str(raised.value)
    assert "\n" not in str(raised.value)


async def test_a_server_that_is_away_is_told_from_an_object_that_is_missing() -> None:
    away = S3Buckets.from_env(
        {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}",
            "AWS_ACCESS_KEY_ID": "ID",
            "AWS_SECRET_ACCESS_KEY": "secret",
        }
    )
    began = monotonic()
    with pytest.raises(StorageUnavailable):
        await away.size(DATASETS, "dev/a")
    with pytest.raises(StorageUnavailable):
        await away.check()
    assert monotonic() - began < 5


async def test_a_bucket_that_is_not_there_fails_the_check_by_name() -> None:
    with s3() as server:
        for bucket in BUCKETS - {ARTIFACTS}:
            server.bucket(bucket)
        with pytest.raises(
            StorageUnavailable, match=r"model-artifacts cannot be read: it is not there\. Make it"
        ):
            await S3Buckets.from_env(server.environment()).check()


async def test_a_bucket_that_is_not_there_is_told_from_an_object_that_is_missing() -> None:
    with s3() as server:
        server.bucket(DATASETS)
        buckets = S3Buckets.from_env(server.environment())
        assert await buckets.size(DATASETS, "dev/a") is None
        with pytest.raises(ObjectMissing):
            await anext(buckets.stream(DATASETS, "dev/a"))
        for asked in (
            buckets.size(ARTIFACTS, "dev/a"),
            buckets.put(ARTIFACTS, "dev/a", b"there"),
            buckets.move(ARTIFACTS, "dev/a", "dev/b"),
            anext(buckets.stream(ARTIFACTS, "dev/a")),
        ):
            with pytest.raises(StorageUnavailable, match=r"The bucket model-artifacts .* is not there"):
                await asked
