"""Three verbs to the GPU cluster over HTTP; whatever comes back, or does not, is a `Sighting`.

The far side is not trusted: one deadline covers a whole call, redirects are not followed, nothing is decompressed, a body
is read as far as its cap, and the key goes to the configured origin only.
"""

import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from uuid import UUID

import msgspec
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
from jobs.http_client import HttpClient, Lookup, Response, Silence
from jobs.parsing import parse_json

MAX_ANSWER = 64 * 1024  #: bytes
MAX_STATUS_ANSWER = 1024 * 1024  #: bytes; a status document may carry points
_REDACTED = b"[redacted]"

_ENCODER = msgspec.json.Encoder(decimal_format="number")


def encode_body(document: Mapping[str, Any]) -> bytes:
    """JSON with decimals as exact numbers; the same document gives the same bytes."""
    return _ENCODER.encode(document)


async def _machine() -> datetime:
    return datetime.now(UTC)


@contextlib.asynccontextmanager
async def open_cluster(
    url: str,
    key: str,
    timeout: timedelta,
    *,
    now: Callable[[], Awaitable[datetime]] = _machine,
    lookup: Lookup | None = None,
) -> AsyncIterator["Cluster"]:
    """The cluster at `url` for the length of the block; nothing is contacted yet.

    `timeout` bounds a call from the first packet to the last byte; `now` says when an answer came, `lookup` where the
    host is.
    """
    base = URL(url.rstrip("/"), encoded=True)
    headers = {
        "Authorization": f"Bearer {key}",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": "lora-pipeline",
    }
    http = HttpClient(base, headers, timeout.total_seconds(), lookup=lookup)
    try:
        yield Cluster(http, f"{base.raw_path.rstrip('/')}/training/", key, now)
    finally:
        await http.close()


class Cluster:
    """The GPU cluster. No method raises for what the far side does or does not do."""

    def __init__(self, http: HttpClient, path: str, key: str, now: Callable[[], Awaitable[datetime]]) -> None:
        """`path` is where the verbs are; `now` says when an answer came."""
        self._http, self._path, self._key, self._now = http, path, key.encode(), now

    async def submit(self, job_id: UUID, body: bytes) -> Sighting:
        """Ask it to run a job; `body` is sent byte for byte, under the job's id as key, however often this is asked."""
        headers = {"Idempotency-Key": str(job_id), "Content-Type": "application/json"}
        try:
            answer, at = await self._call("POST", "submit", body=body, headers=headers)
        except Silence as silence:
            return Unclear(silence.reason) if silence.sent else NotNow(silence.reason, answered=False)
        sighting = read_submit(answer.status, answer.headers, answer.body, at, job_id=str(job_id))
        return Unclear(answer.spoilt) if isinstance(sighting, Unclear) and answer.spoilt else sighting

    async def status(self, external_job_id: str, *, job_id: UUID | None = None) -> Sighting:
        """Ask how a run goes: `Report`, `NotFound`, `Denied` or `NoReport`.

        `job_id` is ours, if known: an answer that names another one says nothing.
        """
        try:
            answer, at = await self._call("GET", "status", _segment(external_job_id), most=MAX_STATUS_ANSWER)
        except Silence as silence:
            return NoReport(silence.reason)
        sighting = read_status(
            answer.status,
            answer.headers,
            answer.body,
            at,
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
            answer, at = await self._call("POST", "cancel", _segment(external_job_id))
        except Silence as silence:
            if not silence.sent:
                return StillHeld(silence.reason)
            # A cancel that waits for the trainer to end may outlast us: its status tells.
            return _proof(await self.status(external_job_id, job_id=job_id), over=False)
        over = answer.status == 409
        match read_status(answer.status, answer.headers, b"", at):
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
        verb: str,
        which: str = "",
        *,
        most: int = MAX_ANSWER,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[Response, datetime]:
        """One request; its answer, of at most `most` bytes, and when that had come. Raises `Silence`."""
        outcome, began = "unanswered", time.perf_counter()
        try:
            answer = await self._http.call(
                method, f"{self._path}{verb}{which}", most=most, headers=headers, body=body
            )
            outcome = f"{answer.status // 100}xx"
        except Silence as silence:
            if not silence.sent:
                outcome = "unreached"
            raise
        finally:
            meters.count_call(verb, outcome, time.perf_counter() - began)
        if self._key in answer.body:  # errors are shown to users, and some servers quote the request in them
            answer = replace(answer, body=answer.body.replace(self._key, _REDACTED))
        return answer, await self._now()


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
    """The id as one more segment of a path. `.` and `..` cannot be encoded away: `is_external_id` never lets them in."""
    return f"/{external_job_id if is_external_id(external_job_id) else quote(external_job_id, safe=':')}"
