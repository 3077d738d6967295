"""Three verbs to the GPU cluster over HTTP; whatever comes back, or does not, is a `Sighting`.

The far side is not trusted: one deadline covers a whole call, redirects are not followed, nothing is decompressed, a body
is read as far as its cap, and the key goes to the configured origin only.
"""

import contextlib
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from uuid import UUID

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver
from yarl import URL

from jobs import meters
from jobs.domain.payload import is_external_id, read_status, read_submit
from jobs.domain.sighting import (
    Denied,
    NoReport,
    NotFound,
    NotNow,
    Report,
    Sighting,
    StillHeld,
    Stopped,
    Unclear,
)
from jobs.parsing import parse_json

MAX_ANSWER = 64 * 1024  #: bytes
MAX_STATUS_ANSWER = 1024 * 1024  #: bytes; a status document may carry points
_REDACTED = b"[redacted]"
IDLE_SECONDS = 4.0  #: below the shortest keep-alive of common servers (5 s): we hang up first, and no POST meets a dead line

_ENCODER = msgspec.json.Encoder(decimal_format="number")


def encode_body(document: Mapping[str, Any]) -> bytes:
    """JSON with decimals as exact numbers; the same document gives the same bytes."""
    return _ENCODER.encode(document)


async def _machine() -> datetime:
    return datetime.now(UTC)


@contextlib.asynccontextmanager
async def open_cluster(
    url: str, key: str, timeout: timedelta, *, now: Callable[[], Awaitable[datetime]] = _machine
) -> AsyncIterator["Cluster"]:
    """The cluster at `url` for the length of the block; nothing is contacted yet.

    `timeout` bounds a call from the first packet to the last byte; `now` says when an answer came.
    """
    async with http_session(key, timeout) as http:
        yield Cluster(http, url, key, now=now)


def http_session(
    key: str, timeout: timedelta, resolver: AbstractResolver | None = None
) -> aiohttp.ClientSession:
    """What calls go out by: each carries `key` and ends in time, half of which may go into connecting."""
    seconds = timeout.total_seconds()
    return aiohttp.ClientSession(
        # No limit on connections: the pass has a gate for each verb, and hanging polls must not hold up a stop.
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_SECONDS, resolver=resolver),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        headers={
            "Authorization": f"Bearer {key}",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "lora-pipeline",
        },
        timeout=aiohttp.ClientTimeout(total=seconds, connect=seconds / 2, ceil_threshold=math.inf),
    )


class Cluster:
    """The GPU cluster. No method raises for what the far side does or does not do."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        url: str,
        key: str,
        *,
        now: Callable[[], Awaitable[datetime]] = _machine,
    ) -> None:
        """`http` is a `http_session` of this key; `now` says when an answer came."""
        self._now = now
        self._http = http
        self._base = URL(url.rstrip("/"), encoded=True)
        self._path = f"{self._base.raw_path.rstrip('/')}/training/"
        self._key = key.encode()

    async def submit(self, job_id: UUID, body: bytes) -> Sighting:
        """Ask it to run a job; `body` is sent byte for byte, under the job's id as key, however often this is asked."""
        headers = {"Idempotency-Key": str(job_id), "Content-Type": "application/json"}
        try:
            answer = await self._call("POST", "submit", body=body, headers=headers)
        except _Silence as silence:
            return Unclear(silence.reason) if silence.sent else NotNow(silence.reason, answered=False)
        sighting = read_submit(answer.status, answer.headers, answer.body, answer.at, job_id=str(job_id))
        return Unclear(answer.spoilt) if isinstance(sighting, Unclear) and answer.spoilt else sighting

    async def status(self, external_job_id: str, *, job_id: UUID | None = None) -> Sighting:
        """Ask how a run goes: `Report`, `NotFound`, `Denied` or `NoReport`.

        `job_id` is ours, if known: an answer that names another one says nothing.
        """
        try:
            answer = await self._call("GET", f"status/{_segment(external_job_id)}", MAX_STATUS_ANSWER)
        except _Silence as silence:
            return NoReport(silence.reason)
        sighting = read_status(
            answer.status,
            answer.headers,
            answer.body,
            answer.at,
            job_id=None if job_id is None else str(job_id),
            external_job_id=external_job_id,
            parse=parse_json,
        )
        return NoReport(answer.spoilt) if isinstance(sighting, NoReport) and answer.spoilt else sighting

    async def stop(self, external_job_id: str, *, job_id: UUID | None = None) -> Sighting:
        """Ask it to stop a run, then how the run goes: `Stopped` when that proves it, else `StillHeld` or `Denied`.

        A 2xx to cancel proves nothing. 404, 409 and 410 do; of a run that was over already the status tells since when.
        """
        try:
            answer = await self._call("POST", f"cancel/{_segment(external_job_id)}")
        except _Silence as silence:
            if not silence.sent:
                return StillHeld(silence.reason)
            answer = None  # a cancel that waits for the trainer to end may outlast us: its status tells
        over = answer is not None and answer.status == 409
        match answer and read_status(answer.status, answer.headers, b"", answer.at):
            case Denied() as denied:
                return denied
            case NotFound():
                return Stopped()
            case NoReport(reason, timedelta() as wait) if not over:
                return StillHeld(reason, wait)
        return _proof(await self.status(external_job_id, job_id=job_id), over=over)

    async def _call(
        self,
        method: str,
        path: str,
        most: int = MAX_ANSWER,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> "_Answer":
        """One request and its answer, at most `most` bytes of it. Raises `_Silence`."""
        outcome, began = "unanswered", time.perf_counter()
        try:
            answer = await self._exchange(method, path, most, body, headers)
            outcome = f"{answer.status // 100}xx"
        except _Silence as silence:
            if not silence.sent:
                outcome = "unreached"
            raise
        finally:
            meters.count_call(path.partition("/")[0], outcome, time.perf_counter() - began)
        answer.at = await self._now()
        return answer

    async def _exchange(
        self, method: str, path: str, most: int, body: bytes | None, headers: Mapping[str, str] | None
    ) -> "_Answer":
        try:
            async with self._http.request(
                method,
                self._base.with_path(self._path + path, encoded=True),
                data=body,
                headers=headers,
                allow_redirects=False,
            ) as answer:
                return await _read(answer, most, self._key)
        except aiohttp.ConnectionTimeoutError as error:
            raise _Silence("no connection in time", sent=False) from error
        except aiohttp.ClientConnectorDNSError as error:
            raise _Silence("its host name is unknown", sent=False) from error
        except aiohttp.ClientConnectorError as error:
            refused = isinstance(error.os_error, ConnectionRefusedError)
            raise _Silence("connection refused" if refused else "no connection", sent=False) from error
        except TimeoutError as error:
            raise _Silence(f"no answer within {self._http.timeout.total:g} s") from error
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError) as error:
            # Also a kept-alive connection that died under a POST. aiohttp asks again by itself only where that is
            # harmless (GET); here the request may have arrived, and only the same key can tell.
            raise _Silence("the connection broke") from error
        except aiohttp.ClientError as error:
            raise _Silence("it answered with something that is not HTTP") from error


@dataclass(slots=True)
class _Answer:
    """`spoilt` says why the body counts as empty though it was not; the status line counts all the same."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    spoilt: str | None = None
    at: datetime = field(init=False)  #: when it had come


class _Silence(Exception):
    """Nothing usable came; `sent` is false when the request has certainly not left us. The reason is fit to be shown."""

    def __init__(self, reason: str, *, sent: bool = True) -> None:
        self.reason, self.sent = reason, sent
        super().__init__(reason)


async def _read(answer: aiohttp.ClientResponse, most: int, key: bytes) -> _Answer:
    """The answer with its body, unless that is longer than `most` bytes or compressed though we asked for neither.

    Errors are shown to users, and some servers quote the request in them: our key is taken out.
    """
    spoilt, body, too_long = None, b"", f"it answered {answer.status} with more than {most} bytes"
    if answer.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        spoilt = f"it answered {answer.status} with a compressed body"
    elif (answer.content_length or 0) > most:
        spoilt = too_long
    else:
        body = await _body(answer.content, most)
        if len(body) > most:
            spoilt = too_long
    if spoilt:
        answer.close()  # the rest is never read, so the connection is of no further use
    return _Answer(answer.status, answer.headers, b"" if spoilt else body.replace(key, _REDACTED), spoilt)


async def _body(content: aiohttp.StreamReader, most: int) -> bytes:
    """All of it, or a little more than `most` bytes."""
    if content.is_eof():  # nearly always: it came with the status line
        return content.read_nowait()
    body = bytearray()
    async for chunk in content.iter_any():
        body += chunk
        if len(body) > most:
            break
    return bytes(body)


def _proof(seen: Sighting, *, over: bool) -> Sighting:
    """What the status of a run that was asked to stop proves; `over`: cancel said that there is nothing to stop."""
    match seen:
        case Report(status=status, finished_at=finished_at) if status is not None and status.is_over:
            return Stopped(finished_at)
        case NotFound():
            return Stopped()
        case _ if over:
            return Stopped()
        case Denied():
            return seen
        case Report(status=None):
            return StillHeld("it does not say whether the run has ended")
        case Report(status=status):
            return StillHeld(f"the run is still {status}")
        case NoReport(reason, retry_after):
            return StillHeld(reason, retry_after)
    return StillHeld("no usable answer")


def _segment(external_job_id: str) -> str:
    """The id as one segment of a path. `.` and `..` cannot be encoded away: `is_external_id` never lets them in."""
    return external_job_id if is_external_id(external_job_id) else quote(external_job_id, safe=":")
