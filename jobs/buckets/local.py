"""Buckets as folders: an object is the file `{root}/{bucket}/{path}`, and never anything outside.

Files are written in `{root}/.incoming` and renamed once they are whole and safe; threads wait for the disk.
"""

import asyncio
import contextlib
import os
import stat
import tempfile
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, ParamSpec, TypeVar

from jobs.buckets.interface import (
    DAY,
    HOUR,
    MAX_OBJECT_BYTES,
    BadObjectName,
    ObjectMissing,
    StorageError,
    StorageUnavailable,
    check_object,
    lifetime_seconds,
)
from jobs.buckets.signed_urls import Grant, UrlSigner

_PIECE = 64 * 1024  # bytes
_P = ParamSpec("_P")
_T = TypeVar("_T")


class UploadTooLarge(StorageError):
    """More bytes came than the URL allows; nothing is kept."""


class UploadTooShort(StorageError):
    """Fewer bytes came than the URL demands; nothing is kept."""


class UploadSealed(StorageError):
    """This upload is over: its `….upload` has become `….jsonl`, which nobody may replace."""


class LocalBuckets:
    """`Buckets` in a folder; `signer` reads what the URLs that the API serves allow."""

    def __init__(self, root: Path, public_url: str, key: bytes) -> None:
        self._root = Path(os.path.realpath(root))
        self._incoming = self._root / ".incoming"
        self.signer = UrlSigner(public_url, key)

    def get_url(
        self,
        bucket: str,
        path: str,
        *,
        issued_at: datetime,
        lifetime: timedelta = DAY,
        filename: str | None = None,
    ) -> str:
        """See `Buckets.get_url`."""
        check_object(bucket, path)
        return self.signer.url(Grant("GET", bucket, path, _expiry(issued_at, lifetime), filename=filename))

    def put_url(
        self,
        bucket: str,
        path: str,
        *,
        issued_at: datetime,
        lifetime: timedelta = HOUR,
        size_bytes: int | None = None,
    ) -> str:
        """See `Buckets.put_url`."""
        check_object(bucket, path)
        return self.signer.url(
            Grant("PUT", bucket, path, _expiry(issued_at, lifetime), size_bytes=size_bytes)
        )

    async def size(self, bucket: str, path: str) -> int | None:
        """See `Buckets.size`."""
        try:
            _, found = await self.file(bucket, path)
        except ObjectMissing:
            return None
        return found.st_size

    async def stream(self, bucket: str, path: str) -> AsyncGenerator[bytes, None]:
        """See `Buckets.stream`."""
        target, _ = await self.file(bucket, path)
        with await _on_disk(lambda: target.open("rb")) as file:
            while piece := await _on_disk(file.read, _PIECE):
                yield piece

    async def put(self, bucket: str, path: str, data: bytes | AsyncIterable[bytes]) -> None:
        """See `Buckets.put`."""
        await self._write(bucket, path, _once(data) if isinstance(data, bytes) else data, None)

    async def receive(self, grant: Grant, body: AsyncIterable[bytes], announced: int | None = None) -> None:
        """Take an upload: exactly the bytes that `grant` allows, or, whatever `body` raises, nothing.

        A wrong `announced` length (bytes) is refused before any of `body` is asked for.
        Raises `UploadTooLarge`, `UploadTooShort`, `UploadSealed`, `StorageUnavailable`.
        """
        if announced is not None:
            _refuse_when_too_large(announced, grant.size_bytes)
            _refuse_when_too_short(announced, grant.size_bytes)
        await self._write(grant.bucket, grant.path, body, grant.size_bytes)

    async def move(self, bucket: str, source: str, target: str) -> None:
        """See `Buckets.move`."""
        found, _ = await self.file(bucket, source)
        await _on_disk(lambda: _replace(found, self._path(bucket, target)))

    async def delete(self, bucket: str, path: str) -> None:
        """See `Buckets.delete`."""
        with contextlib.suppress(ObjectMissing):
            target, _ = await self.file(bucket, path)
            await _on_disk(target.unlink)

    async def check(self) -> None:
        """See `Buckets.check`: a file can be made and removed."""

        def try_it() -> None:
            with self._temporary() as file:
                Path(file.name).unlink()

        await _on_disk(try_it)

    async def sweep(self, *, before: datetime) -> int:
        """Remove what writers that were killed left in `.incoming`, last written before then; how many."""

        def remove() -> int:
            left = [file for file in self._incoming.glob("*") if file.stat().st_mtime < before.timestamp()]
            for file in left:
                file.unlink(missing_ok=True)
            return len(left)

        return await _on_disk(remove)

    async def file(self, bucket: str, path: str) -> tuple[Path, os.stat_result]:
        """The object's file and what the disk says of it. Raises `ObjectMissing`, `StorageUnavailable`."""

        def look() -> tuple[Path, os.stat_result]:
            target = self._path(bucket, path)
            found = target.lstat()
            if not stat.S_ISREG(found.st_mode):
                raise FileNotFoundError(f"{target} is not a file")
            return target, found

        return await _on_disk(look)

    async def _write(self, bucket: str, path: str, body: AsyncIterable[bytes], size: int | None) -> None:
        target = await _on_disk(self._path, bucket, path)
        await _on_disk(_refuse_when_sealed, target)
        file = await _on_disk(self._temporary)
        try:
            received = 0
            async for piece in body:
                received += len(piece)
                _refuse_when_too_large(received, size)
                await _on_disk(file.write, piece)
            _refuse_when_too_short(received, size)
            await _on_disk(_publish, file, target)
        finally:  # without waiting: this may be a cancellation
            _discard(file)

    def _path(self, bucket: str, path: str) -> Path:
        check_object(bucket, path)
        target = self._root / bucket / path
        if os.path.realpath(target) != str(target):
            raise BadObjectName("This path leads through a symbolic link.")
        return target

    def _temporary(self) -> IO[bytes]:
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._incoming.mkdir(mode=0o700, exist_ok=True)
        return tempfile.NamedTemporaryFile(dir=self._incoming, delete=False)  # with mode 0600


def _expiry(issued_at: datetime, lifetime: timedelta) -> int:
    return int(issued_at.timestamp()) + lifetime_seconds(issued_at, lifetime)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _on_disk(act: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """`act` in a thread, the disk's errors as ours."""
    try:
        return await asyncio.to_thread(act, *args, **kwargs)
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise ObjectMissing("There is no such object.") from exc
    except OSError as exc:
        raise StorageUnavailable(f"The storage folder cannot be used: {exc.strerror}.") from exc


def _refuse_when_sealed(target: Path) -> None:
    if target.suffix == ".upload" and target.with_suffix(".jsonl").exists():
        raise UploadSealed("This upload is complete; its link works no more.")


def _refuse_when_too_large(received: int, size: int | None) -> None:
    most = MAX_OBJECT_BYTES if size is None else size
    if received > most:
        raise UploadTooLarge(
            f"This link takes {most} bytes, and more came; ask for a link of the file's size."
        )


def _refuse_when_too_short(received: int, size: int | None) -> None:
    if size is not None and received < size:
        raise UploadTooShort(f"{received} bytes came, but this link is for {size}; send the whole file.")


def _discard(file: IO[bytes]) -> None:
    """Remove what was not published; after publishing, nothing has this name any more."""
    with contextlib.suppress(OSError):  # a full disk cannot take what is still buffered either
        file.close()
    Path(file.name).unlink(missing_ok=True)


def _publish(file: IO[bytes], target: Path) -> None:
    """The finished file under its own name, on the disk; a completion may have been quicker."""
    file.flush()
    os.fsync(file.fileno())
    file.close()
    _refuse_when_sealed(target)
    _replace(Path(file.name), target)


def _replace(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the new name outlives a power cut too
    finally:
        os.close(folder)
