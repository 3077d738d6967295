"""Objects in buckets, and signed URLs to them: files in a folder, or S3. Nobody above knows which.

An object is `{user_id}/…` in one of three buckets. A signed URL opens one object for one method until an
instant. The same arguments give the same URL, so that what was sent once can be sent again, byte for byte.
"""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from jobs.buckets.interface import (
    ARTIFACTS,
    BUCKETS,
    DATASETS,
    IMPORTS,
    BadObjectName,
    Buckets,
    ObjectMissing,
    StorageError,
    StorageMisconfigured,
    StorageUnavailable,
    artifact_path,
    check_object,
    dataset_path,
    upload_path,
)
from jobs.buckets.local import LocalBuckets
from jobs.buckets.s3 import S3Buckets

__all__ = [
    "ARTIFACTS",
    "BUCKETS",
    "DATASETS",
    "IMPORTS",
    "BadObjectName",
    "Buckets",
    "LocalBuckets",
    "ObjectMissing",
    "S3Buckets",
    "StorageError",
    "StorageMisconfigured",
    "StorageUnavailable",
    "artifact_path",
    "check_object",
    "dataset_path",
    "open_buckets",
    "upload_path",
]


def open_buckets(
    storage_url: str, public_url: str, key: bytes, prefix: str = "", *, environ: Mapping[str, str]
) -> LocalBuckets | S3Buckets:
    """The buckets that STORAGE_URL names: `file:///folder`, or `s3://` with the AWS_* variables of `environ`.

    URLs to local files begin with `public_url` and are signed with a key derived from the master key `key`.
    `prefix` (STORAGE_PREFIX) stands before every path in S3. Nothing is contacted.
    Raises `StorageMisconfigured`.
    """
    url = urlsplit(storage_url)
    if url.scheme == "s3":
        if url.netloc or url.path.strip("/"):
            raise StorageMisconfigured(
                f"STORAGE_URL: write s3:// alone; the buckets are named {', '.join(sorted(BUCKETS))}, "
                "and STORAGE_PREFIX puts a folder before every path."
            )
        return S3Buckets.from_env(environ, prefix)
    folder = Path(unquote(url.path))
    if url.scheme != "file" or url.netloc not in ("", "localhost") or not folder.is_absolute():
        raise StorageMisconfigured(
            f"STORAGE_URL: {storage_url!r} is neither file:///an/absolute/folder nor s3://"
        )
    if prefix:
        raise StorageMisconfigured("STORAGE_PREFIX: only s3:// storage has one; put it into STORAGE_URL.")
    return LocalBuckets(folder, public_url, key)
