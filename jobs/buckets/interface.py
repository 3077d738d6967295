"""What every storage can do, the names it takes, and how it fails."""

import re
from collections.abc import AsyncGenerator, AsyncIterable
from datetime import datetime, timedelta
from typing import Protocol
from urllib.parse import quote
from uuid import UUID

from jobs.domain.errors import PipelineError
from jobs.domain.users import is_user_id

DATASETS = "lora-datasets"  #: what users upload
IMPORTS = "training-files"  #: what others put there, for users to import
ARTIFACTS = "model-artifacts"  #: what trainings leave
BUCKETS = frozenset({DATASETS, IMPORTS, ARTIFACTS})

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
LONGEST_LIFETIME = timedelta(days=7)  #: S3 refuses URLs that live longer
MAX_OBJECT_BYTES = 5 * 1024**3  #: S3 takes no more in one PUT

_UNWANTED = re.compile(r"[\x00-\x1f\x7f-\x9f\\\ud800-\udfff]")
_LONGEST_PATH, _LONGEST_SEGMENT = 1_024, 255  # bytes: S3's limit, and a file system's


class StorageError(PipelineError):
    """Anything that goes wrong with objects and their URLs."""


class StorageMisconfigured(StorageError):
    """A setting is missing or wrong; the sentence names it. The process should not start."""


class StorageUnavailable(StorageError):
    """The storage gave no usable answer, or refused us: not the object's fault. Ask again later."""


class ObjectMissing(StorageError):
    """There is no such object."""


class BadObjectName(StorageError):
    """No object can have this name: the bucket is none of ours, or the path is not `{user_id}/…`."""


class Buckets(Protocol):
    """Objects, named by bucket and path. Every method raises `BadObjectName` for a name that cannot be."""

    def get_url(
        self,
        bucket: str,
        path: str,
        *,
        issued_at: datetime,
        lifetime: timedelta = DAY,
        filename: str | None = None,
    ) -> str:
        """A URL that reads this object for `lifetime` from `issued_at`; browsers save it as `filename`.

        Whether the object exists is not asked. The same arguments give the same URL. `lifetime` is at most
        `LONGEST_LIFETIME`.
        """

    def put_url(
        self,
        bucket: str,
        path: str,
        *,
        issued_at: datetime,
        lifetime: timedelta = HOUR,
        size_bytes: int | None = None,
    ) -> str:
        """A URL to which this object can be PUT, of exactly `size_bytes` where given; else as `get_url`."""

    async def size(self, bucket: str, path: str) -> int | None:
        """The object's bytes; None when there is no such object. Raises `StorageUnavailable`."""

    def stream(self, bucket: str, path: str) -> AsyncGenerator[bytes, None]:
        """The object's content in pieces of some 64 KiB. Raises `ObjectMissing`, `StorageUnavailable`."""

    async def put(self, bucket: str, path: str, data: bytes | AsyncIterable[bytes]) -> None:
        """Make or replace the object; it appears whole or not at all. Raises `StorageUnavailable`."""

    async def move(self, bucket: str, source: str, target: str) -> None:
        """Rename an object, replacing `target`. Raises `ObjectMissing`, `StorageUnavailable`."""

    async def delete(self, bucket: str, path: str) -> None:
        """Remove the object; one that is not there is fine. Raises `StorageUnavailable`."""

    async def check(self) -> None:
        """Return when every bucket can be used; else raise `StorageUnavailable` with the reason."""


def upload_path(user_id: str, dataset_id: UUID) -> str:
    """Where a client puts a file that nobody has checked yet; it is moved to `dataset_path` to seal it."""
    return f"{user_id}/{dataset_id}.upload"


def dataset_path(user_id: str, dataset_id: UUID) -> str:
    """Where a dataset rests; no URL that writes there is ever signed."""
    return f"{user_id}/{dataset_id}.jsonl"


def artifact_path(user_id: str, job_id: UUID) -> str:
    """Where a training's result rests."""
    return f"{user_id}/{job_id}.tar"


def check_object(bucket: str, path: str) -> None:
    """Return when an object can have this name; else raise `BadObjectName`."""
    if bucket not in BUCKETS:
        raise BadObjectName(f"The bucket is none of {', '.join(sorted(BUCKETS))}.")
    if _UNWANTED.search(path) or len(path.encode()) > _LONGEST_PATH:
        raise BadObjectName(
            f"A path has at most {_LONGEST_PATH} bytes and neither control characters nor backslashes."
        )
    user_id, *rest = path.split("/")
    if not rest or not is_user_id(user_id):
        raise BadObjectName("A path begins with a user's id and a slash.")
    for segment in rest:
        if segment in ("", ".", "..") or len(segment.encode()) > _LONGEST_SEGMENT:
            raise BadObjectName("Between two slashes of a path stands a name, of at most 255 bytes.")


def attachment(filename: str) -> str:
    """The Content-Disposition that saves an object under any `filename` (RFC 6266)."""
    return f"attachment; filename*=UTF-8''{quote(filename, safe='')}"


def lifetime_seconds(issued_at: datetime, lifetime: timedelta) -> int:
    """`lifetime` in whole seconds. Raises ValueError for a naive instant, and for what S3 would refuse."""
    if issued_at.tzinfo is None:
        raise ValueError("issued_at has no time zone")
    if not timedelta(seconds=1) <= lifetime <= LONGEST_LIFETIME:
        raise ValueError(f"a signed URL lives for 1 second to {LONGEST_LIFETIME}, not {lifetime}")
    return int(lifetime.total_seconds())
