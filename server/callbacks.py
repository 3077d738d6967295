"""What a trainer reports about its job: points and progress, at an address that only this job's trainer knows.

The token is looked at first, so that a stranger learns nothing, not even whether the job is there.
"""

from uuid import UUID

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from jobs.commands import CallbackOutcome, Commands
from jobs.database import Now
from jobs.domain.payload import read_json, read_report
from server.bodies import read_body
from server.health import Meters
from server.quotas import Quota
from server.replies import Refused, refusal

PATH = "/callbacks/training/{job_id}"
MAX_BODY = 64 * 1024
MAX_POINTS = 500
AT_ONCE, WAITING = 4, 60  #: reports of one job that are at work and that wait


def callback_route(commands: Commands, *, clock: Now, meters: Meters, quota: Quota) -> Route:
    """`POST` of a status document or `{"points": […]}`.

    202 when it is taken, 410 when the job has ended and its trainer should stop, 404 for a wrong token and an unknown job
    alike, 413 for more than 64 KiB or 500 points, 400 for no JSON object, 429 for more than `quota` leaves to one job;
    single bad points are dropped.
    """

    async def answer(request: Request) -> Response:
        try:
            return await _take(request, commands, clock, quota)
        except Refused as exc:
            meters.callback_refused(exc.code)
            return refusal(request.url.path, exc.status, exc.code, exc.message, exc.headers)

    return Route(PATH, answer, methods=["POST"], name="callback")


async def _take(request: Request, commands: Commands, clock: Now, quota: Quota) -> Response:
    tokens = request.query_params.getlist("token")
    job_id = _uuid(request.path_params["job_id"])
    if job_id is None or len(tokens) != 1 or not commands.callback_token_is_good(job_id, tokens[0]):
        raise _unknown()
    structlog.contextvars.bind_contextvars(job=str(job_id))  # on every line about this request
    async with quota.turn(str(job_id)):  # one that must wait, or is refused, is not read
        document = read_json(await read_body(request, MAX_BODY))
        report = read_report(document, await clock(), from_callback=True)
        if report is None:
            raise Refused(400, "BAD_REQUEST", "The body is no JSON object in UTF-8.")
        if _sent(document) > MAX_POINTS:
            raise Refused(413, "BODY_TOO_LARGE", f"At most {MAX_POINTS} points are taken at once.")
        outcome = await commands.take_callback(job_id, tokens[0], report)
    if outcome is CallbackOutcome.UNKNOWN:
        raise _unknown()
    if outcome is CallbackOutcome.ENDED:
        raise Refused(410, "GONE", "This job has ended; stop its training.")
    return JSONResponse({"status": "taken"}, 202)


def _unknown() -> Refused:
    return Refused(404, "NOT_FOUND", "There is nothing at this address.")


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
