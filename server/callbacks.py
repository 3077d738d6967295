"""What a trainer reports about its job: points and progress, at an address that only this job's trainer knows.

The token is looked at first, so that a stranger learns nothing, not even whether the job is there.
"""

from uuid import UUID

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from jobs.commands import Commands
from jobs.database import Now
from jobs.domain.payload import read_json, read_report
from jobs.reports import CallbackOutcome
from server.bodies import announced, read_body
from server.health import Meters
from server.quotas import Quota, Room
from server.replies import JSON, Refused, refusal

PATH = "/callbacks/training/{job_id}"
MAX_BODY = 64 * 1024
MAX_POINTS = 500
AT_ONCE, WAITING = 4, 60  #: reports of one job that are at work and that wait
MOST_BYTES = 16 * 1024 * 1024  #: of all reports that are being read or written
_LEAST_BYTES = 2 * 1024  #: for which one counts, however short it is

_TAKEN = Response(b'{"status":"taken"}', 202, media_type=JSON)


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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one report."""
        try:
            answer = await self._take(Request(scope, receive))
        except Refused as exc:
            self._meters.callback_refused(exc.code)
            answer = refusal(scope["path"], exc.status, exc.code, exc.message, exc.headers)
        await answer(scope, receive, send)

    async def _take(self, request: Request) -> Response:
        text = request.scope["path"].rpartition("/")[2]
        job_id, token = _uuid(text), _token(request.scope["query_string"])
        owner = self._commands.callback_owner(job_id, token) if job_id and token else None
        if job_id is None or owner is None:
            raise _unknown()
        structlog.contextvars.bind_contextvars(job=text)  # on every line about this request
        # One that must wait, or is refused, is not read.
        async with self._quota.turn(text):
            with self._room.held(max(announced(request, MAX_BODY), _LEAST_BYTES)):
                document = read_json(await read_body(request, MAX_BODY))
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


def _unknown() -> Refused:
    return Refused(404, "NOT_FOUND", "There is nothing at this address.")


def _token(query: bytes) -> str | None:
    """The one token of a query; all of its letters stand for themselves."""
    tokens = [
        value for name, _, value in (part.partition(b"=") for part in query.split(b"&")) if name == b"token"
    ]
    return tokens[0].decode("latin-1") if len(tokens) == 1 else None


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
