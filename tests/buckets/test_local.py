"""What only files have: modes, links, half-written files, seals."""

import os
import resource
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jobs.buckets import DATASETS, BadObjectName, LocalBuckets, ObjectMissing, StorageUnavailable
from jobs.buckets.local import UploadSealed
from jobs.buckets.signed_urls import Grant


@pytest.fixture
def buckets(tmp_path: Path) -> LocalBuckets:
    return LocalBuckets(tmp_path / "storage", "http://api", b"key")


async def test_files_are_readable_by_their_owner_only(buckets: LocalBuckets, tmp_path: Path) -> None:
    await buckets.put(DATASETS, "dev/a", b"x")
    root = tmp_path / "storage"
    assert (root / DATASETS / "dev/a").stat().st_mode & 0o777 == 0o600
    assert root.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("link", ["dev", "dev/a"])
async def test_no_link_is_followed(buckets: LocalBuckets, tmp_path: Path, link: str) -> None:
    outside = tmp_path / "outside"
    (outside / "dev").mkdir(parents=True)
    (outside / "a").write_bytes(b"secret")
    place = tmp_path / "storage" / DATASETS / link
    place.parent.mkdir(parents=True)
    place.symlink_to(outside if link == "dev" else outside / "a")

    for act in (
        buckets.size(DATASETS, "dev/a"),
        buckets.put(DATASETS, "dev/a", b"changed"),
        buckets.delete(DATASETS, "dev/a"),
    ):
        with pytest.raises(BadObjectName, match="symbolic link"):
            await act
    with pytest.raises(BadObjectName, match="symbolic link"):
        await anext(buckets.stream(DATASETS, "dev/a"))
    await buckets.put(DATASETS, "other/a", b"x")
    with pytest.raises(BadObjectName, match="symbolic link"):
        await buckets.move(DATASETS, "other/a", "dev/a")
    assert (outside / "a").read_bytes() == b"secret"


async def test_a_root_behind_a_link_is_fine(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    buckets = LocalBuckets(tmp_path / "link", "http://api", b"key")
    await buckets.put(DATASETS, "dev/a", b"x")
    assert await buckets.size(DATASETS, "dev/a") == 1


async def test_what_is_no_file_is_no_object(buckets: LocalBuckets, tmp_path: Path) -> None:
    folder = tmp_path / "storage" / DATASETS / "dev"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "pipe")
    assert await buckets.size(DATASETS, "dev/pipe") is None
    with pytest.raises(ObjectMissing):
        await anext(buckets.stream(DATASETS, "dev/pipe"))


async def test_a_folder_that_cannot_be_made_is_told_as_an_outage(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    buckets = LocalBuckets(tmp_path / "file", "http://api", b"key")
    with pytest.raises(StorageUnavailable, match="The storage folder cannot be used: File exists"):
        await buckets.check()


async def test_a_disk_that_is_full_is_told_as_an_outage_and_keeps_nothing(
    buckets: LocalBuckets, tmp_path: Path
) -> None:
    async def kilobytes(number: int) -> AsyncIterator[bytes]:
        for _ in range(number):
            yield b"x" * 1_000

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # the kernel refuses as on a full disk
    try:
        for pieces in (108, 200):  # full at the last flush, and in the middle
            with pytest.raises(StorageUnavailable, match="The storage folder cannot be used: File too large"):
                await buckets.put(DATASETS, "dev/a", kilobytes(pieces))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [file for file in (tmp_path / "storage").rglob("*") if file.is_file()] == []


async def test_an_upload_that_is_overtaken_by_its_completion_is_refused(
    buckets: LocalBuckets, tmp_path: Path
) -> None:
    grant = Grant("PUT", DATASETS, "dev/7.upload", expires=0)

    async def completed_in_between() -> AsyncIterator[bytes]:
        yield b"evil"
        await buckets.put(DATASETS, "dev/7.jsonl", b"good")

    with pytest.raises(UploadSealed):
        await buckets.receive(grant, completed_in_between())
    with pytest.raises(UploadSealed):
        await buckets.receive(grant, completed_in_between())
    root = tmp_path / "storage"
    assert [str(file.relative_to(root)) for file in root.rglob("*") if file.is_file()] == [
        f"{DATASETS}/dev/7.jsonl"
    ]


async def test_what_killed_writers_left_is_swept_when_it_is_old(
    buckets: LocalBuckets, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    assert await buckets.sweep(before=now) == 0
    await buckets.put(DATASETS, "dev/a", b"x")
    left = [tmp_path / "storage/.incoming" / name for name in ("old", "new")]
    for file in left:
        file.write_bytes(b"half")
    os.utime(left[0], (0, 0))
    assert await buckets.sweep(before=now - timedelta(hours=1)) == 1
    assert [file.exists() for file in left] == [False, True]
    assert await buckets.size(DATASETS, "dev/a") == 1
