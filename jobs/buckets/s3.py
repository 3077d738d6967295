"""Buckets in S3 or whatever speaks like it: objects through obstore, URLs by our own deterministic signer."""

import contextlib
import re
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Self
from urllib.parse import quote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from jobs.buckets.interface import (
    BUCKETS,
    DAY,
    HOUR,
    ObjectMissing,
    StorageMisconfigured,
    StorageUnavailable,
    attachment,
    check_object,
    lifetime_seconds,
)
from jobs.buckets.sigv4 import Credentials, presign

if TYPE_CHECKING:
    from obstore.store import S3Config  # it is not there at run time

_PREFIX = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*")
_PIECE = 64 * 1024  # bytes
_NO_BUCKET = "it is not there. Make it, or set AWS_ENDPOINT_URL, AWS_REGION and the key to those of the account that has it."


@dataclass(frozen=True, slots=True)
class S3Account:
    """Where the buckets are and who we are there; without `endpoint`, AWS itself."""

    credentials: Credentials
    region: str
    endpoint: str | None = None

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """From AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION, AWS_ENDPOINT_URL.

        Raises `StorageMisconfigured`.
        """
        for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            if not environ.get(variable):
                raise StorageMisconfigured(f"{variable}: s3:// storage needs it, and it is not set.")
        credentials = Credentials(
            environ["AWS_ACCESS_KEY_ID"],
            environ["AWS_SECRET_ACCESS_KEY"],
            environ.get("AWS_SESSION_TOKEN") or None,
        )
        endpoint = environ.get("AWS_ENDPOINT_URL", "").rstrip("/") or None
        if endpoint:
            parts = urlsplit(endpoint)
            if (
                parts.scheme not in ("http", "https")
                or not parts.hostname
                or parts.query
                or "@" in parts.netloc
            ):
                raise StorageMisconfigured(
                    "AWS_ENDPOINT_URL: it is not like https://host or http://host:port"
                )
        region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or (endpoint and "us-east-1")
        if not region:
            raise StorageMisconfigured("AWS_REGION: s3:// storage at AWS needs it, and it is not set.")
        return cls(credentials, region, endpoint)

    def url(self, bucket: str, key: str) -> str:
        """The object's URL, unsigned: path style where an endpoint is named, else AWS's virtual host."""
        base = (
            f"{self.endpoint}/{bucket}"
            if self.endpoint
            else f"https://{bucket}.s3.{self.region}.amazonaws.com"
        )
        return f"{base}/{quote(key, safe='/')}"

    def store(self, bucket: str) -> S3Store:
        """obstore's client of one bucket. No answer takes longer than 10 s to begin or to go on."""
        config: S3Config = {
            "region": self.region,
            "access_key_id": self.credentials.key_id,
            "secret_access_key": self.credentials.secret,
            "virtual_hosted_style_request": self.endpoint is None,
        }
        if self.credentials.session_token:
            config["session_token"] = self.credentials.session_token
        if self.endpoint:
            config["endpoint"] = self.endpoint
        return S3Store(
            bucket,
            config=config,
            client_options={
                "allow_http": (self.endpoint or "").startswith("http:"),
                "connect_timeout": timedelta(seconds=5),
                "read_timeout": timedelta(seconds=10),
                "timeout": timedelta(hours=1),
            },
            retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=10)},
        )


class S3Buckets:
    """`Buckets` in S3; `prefix` and a slash stand before every path. Raises `StorageMisconfigured`."""

    def __init__(self, account: S3Account, prefix: str = "") -> None:
        if prefix and not _PREFIX.fullmatch(prefix):
            raise StorageMisconfigured(
                f"STORAGE_PREFIX: {prefix!r} is not names of letters, digits, - and _ with / between them."
            )
        self._account = account
        self._prefix = f"{prefix}/" if prefix else ""
        self._stores = {bucket: account.store(bucket) for bucket in BUCKETS}

    @classmethod
    def from_env(cls, environ: Mapping[str, str], prefix: str = "") -> Self:
        """The account of the AWS_* variables. Raises `StorageMisconfigured`."""
        return cls(S3Account.from_env(environ), prefix)

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
        query = {} if filename is None else {"response-content-disposition": attachment(filename)}
        return self._signed("GET", bucket, path, issued_at, lifetime, query=query)

    def put_url(
        self,
        bucket: str,
        path: str,
        *,
        issued_at: datetime,
        lifetime: timedelta = HOUR,
        size_bytes: int | None = None,
    ) -> str:
        """See `Buckets.put_url`; the size is a signed header, which S3 compares with what comes."""
        headers = {} if size_bytes is None else {"content-length": str(size_bytes)}
        return self._signed("PUT", bucket, path, issued_at, lifetime, headers=headers)

    async def size(self, bucket: str, path: str) -> int | None:
        """See `Buckets.size`."""
        try:
            async with self._translated(bucket, path):
                return (await obstore.head_async(*self._object(bucket, path)))["size"]
        except ObjectMissing:
            return None

    async def stream(self, bucket: str, path: str) -> AsyncGenerator[bytes, None]:
        """See `Buckets.stream`."""
        async with self._translated(bucket, path):
            found = await obstore.get_async(*self._object(bucket, path))
            async for piece in found.stream(min_chunk_size=_PIECE):
                yield bytes(piece)

    async def put(self, bucket: str, path: str, data: bytes | AsyncIterable[bytes]) -> None:
        """See `Buckets.put`."""
        async with self._translated(bucket, path):
            await obstore.put_async(*self._object(bucket, path), data)

    async def move(self, bucket: str, source: str, target: str) -> None:
        """See `Buckets.move`: a copy within S3, then a removal."""
        store, key = self._object(bucket, source)
        async with self._translated(bucket, source):
            await obstore.rename_async(store, key, self._object(bucket, target)[1])

    async def delete(self, bucket: str, path: str) -> None:
        """See `Buckets.delete`."""
        with contextlib.suppress(ObjectMissing):
            async with self._translated(bucket, path):
                await obstore.delete_async(*self._object(bucket, path))

    async def check(self) -> None:
        """See `Buckets.check`."""
        for bucket in self._stores:
            await self._check(bucket)

    async def _check(self, bucket: str) -> None:
        try:
            await obstore.list_with_delimiter_async(self._stores[bucket], prefix=f"{self._prefix}-")
        except (BaseError, OSError) as exc:
            why = _NO_BUCKET if "NoSuchBucket" in str(exc) else _first_line(exc)
            raise StorageUnavailable(f"The bucket {bucket} cannot be read: {why}") from exc

    @contextlib.asynccontextmanager
    async def _translated(self, bucket: str, path: str) -> AsyncIterator[None]:
        """obstore's errors as ours. S3 answers 404 for an object and for its bucket alike."""
        try:
            yield
        except FileNotFoundError as exc:
            await self._check(bucket)
            raise ObjectMissing(f"There is no object {path} in {bucket}.") from exc
        except (BaseError, OSError) as exc:
            raise StorageUnavailable(
                f"The bucket {bucket} gave no usable answer: {_first_line(exc)}"
            ) from exc

    def _object(self, bucket: str, path: str) -> tuple[S3Store, str]:
        check_object(bucket, path)
        return self._stores[bucket], self._prefix + path

    def _signed(
        self,
        method: str,
        bucket: str,
        path: str,
        issued_at: datetime,
        lifetime: timedelta,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> str:
        _, key = self._object(bucket, path)
        return presign(
            method,
            self._account.url(bucket, key),
            self._account.credentials,
            region=self._account.region,
            issued_at=issued_at,
            seconds=lifetime_seconds(issued_at, lifetime),
            query=query,
            headers=headers,
        )


def _first_line(exc: BaseException) -> str:
    """An error's words without the request and the server's page that obstore shows below them."""
    return str(exc).partition("\n")[0][:200]
