"""What a trainer reports about its job: points and progress, at an address that only this job's trainer knows.

The token is looked at first, so that a stranger learns nothing, not even whether the job is there.
"""

from functools import lru_cache
from uuid import UUID

import structlog
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from jobs.commands import Commands
from jobs.database import Now
from jobs.domain.payload import read_report
from jobs.parsing import parse_json
from jobs.reports import CallbackOutcome
from server.answers import Reply
from server.bodies import announced, read_body
from server.health import Meters
from server.quotas import Quota, Room
from server.replies import JSON, Refused, refusal

PATH = "/callbacks/training/{job_id}"
MAX_BODY = 64 * 1024
MAX_POINTS = 500
REPORTS_AT_ONCE, WAITING = 4, 60  #: reports of one job that are at work and that wait
MOST_BYTES = 16 * 1024 * 1024  #: of all reports that are being read or written
_LEAST_BYTES = 2 * 1024  #: for which one counts, however short it is
_REMEMBERED = 10_000  # jobs with tokens that were good
_NAME = b"token="

_TAKEN = Reply.of(202, {"Content-Type": JSON}, b'{"status":"taken"}')


def callback_route(commands: Commands, *, clock: Now, meters: Meters, quota: Quota, room: Room) -> Route:
    """`POST` of a status document or `{"points": […]}`.

    202 when it is on the disk, 410 when the job has ended and its trainer should stop, 404 for a wrong token and an unknown
    job alike, 413 for more than 64 KiB or 500 points, 400 for no JSON object, 429 for more than `quota` leaves to one job
    or than there is `room` for; single bad points are dropped.
    """
    return Route(PATH, _Callbacks(commands, clock, meters, quota, room), methods=["POST"], name="callback")


class _Callbacks:
    """An ASGI application: what Starlette puts round a function costs as much again as all of this."""

    def __init__(self, commands: Commands, clock: Now, meters: Meters, quota: Quota, room: Room) -> None:
        self._commands, self._clock, self._meters = commands, clock, meters
        self._quota, self._room = quota, room
        self._addressed = lru_cache(_REMEMBERED)(self._proven)  # an exception is not remembered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one report."""
        answer: ASGIApp
        try:
            answer = await self._take(scope, receive)
        except Refused as exc:
            self._meters.callback_refused(exc.code)
            answer = refusal(scope["path"], exc.status, exc.code, exc.message, exc.headers)
        await answer(scope, receive, send)

    async def _take(self, scope: Scope, receive: Receive) -> Reply:
        text = scope["path"].rpartition("/")[2]
        job_id, owner = self._addressed(text, _token(scope["query_string"]))
        structlog.contextvars.bind_contextvars(job=text)  # on every line about this request
        # One that must wait, or is refused, is not read.
        async with self._quota.turn(text):
            with self._room.held(max(announced(scope, MAX_BODY), _LEAST_BYTES)):
                document = parse_json(await read_body(scope, receive, MAX_BODY))
                report = read_report(document, await self._clock(), from_callback=True)
                if report is None:
                    raise Refused(400, "BAD_REQUEST", "The body is no JSON object in UTF-8.")
                if _sent(document) > MAX_POINTS:
                    raise Refused(413, "BODY_TOO_LARGE", f"At most {MAX_POINTS} points are taken at once.")
                outcome = await self._commands.reports.take(job_id, owner, report)
        if outcome is CallbackOutcome.UNKNOWN:
            raise _unknown()
        if outcome is CallbackOutcome.ENDED:
            raise Refused(410, "GONE", "This job has ended; stop its training.")
        return _TAKEN

    def _proven(self, text: str, token: str) -> tuple[UUID, str]:
        """The job of this id, and its owner, if the token is this job's. Raises `Refused` (404)."""
        job_id = _uuid(text)
        owner = self._commands.callback_owner(job_id, token) if job_id and token else None
        if job_id is None or owner is None:
            raise _unknown()
        return job_id, owner


def _unknown() -> Refused:
    return Refused(404, "NOT_FOUND", "There is nothing at this address.")


def _token(query: bytes) -> str:
    """The one token of a query, all of whose letters stand for themselves; none where there are several."""
    tokens = [part[len(_NAME) :] for part in query.split(b"&") if part.startswith(_NAME)]
    return tokens[0].decode("latin-1") if len(tokens) == 1 else ""


def _uuid(text: str) -> UUID | None:
    """Of the ways to write a UUID only the canonical one, so that each job has one address."""
    try:
        read = UUID(text)
    except ValueError:
        return None
    return read if str(read) == text else None


def _sent(document: object) -> int:
    points = document.get("points") if isinstance(document, dict) else None
    return len(points) if isinstance(points, list) else 0
