"""How this server refuses: JSON with a sentence, in GraphQL's shape at /graphql and in a plain one elsewhere."""

from collections.abc import Mapping
from typing import Any

import msgspec
import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

GRAPHQL = "/graphql"
JSON = "application/json; charset=utf-8"
RETRY_SOON = {"Retry-After": "2"}  #: seconds; with every 503
AWAY = "The service cannot do this now; nothing is lost. Try again in a moment."

logger = structlog.get_logger(__name__)


class Refused(Exception):
    """An HTTP request that is not answered as asked: its status, a code for programs and a sentence for people."""

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        self.status, self.code, self.message, self.headers = status, code, message, headers
        super().__init__(message)


def graphql_error(message: str, code: str, **more: object) -> dict[str, Any]:
    """One member of `errors`."""
    return {"message": message, "extensions": {"code": code, **more}}


def refusal(
    path: str, status: int, code: str, message: str, headers: Mapping[str, str] | None = None, **more: object
) -> Response:
    """The refusal of a request for `path`: `{"errors": [{message, extensions: {code}}]}` or `{"error": message}`.

    One line is logged of it, under the request's id: why, and nothing of what was sent.
    """
    logger.info("refused", status=status, code=code)
    body = (
        {"errors": [graphql_error(message, code, **more)]} if path == GRAPHQL else {"error": message, **more}
    )
    return Response(msgspec.json.encode(body), status, headers, JSON)


async def http_exception(request: Request, exc: Exception) -> Response:
    """What Starlette's router refuses: a path that is not there, a method that a path does not know."""
    assert isinstance(exc, HTTPException)  # noqa: S101 - it is registered for these alone
    known = {
        404: ("NOT_FOUND", "There is nothing at this address."),
        405: ("METHOD_NOT_ALLOWED", f"{request.method[:20]} is not possible here."),
    }
    code, message = known.get(exc.status_code, ("REFUSED", exc.detail))
    return refusal(request.url.path, exc.status_code, code, message, exc.headers)
