"""Reading a request's body with a limit, counted while it streams in."""

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from server.replies import Refused


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The body, of at most `limit` bytes. Raises `Refused` (413, 415) and Starlette's `ClientDisconnect`."""
    for name, value in scope["headers"]:
        if name == b"content-encoding" and value.strip().lower() != b"identity":
            raise Refused(415, "UNSUPPORTED_MEDIA_TYPE", "Send the body without a content encoding.")
        if name == b"content-length" and value.isdigit() and int(value[:20]) > limit:
            raise _too_large(limit)
    pieces: list[bytes] = []
    size, there_is_more = 0, True
    while there_is_more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > limit:
            raise _too_large(limit)
        there_is_more = message.get("more_body", False)
    return b"".join(pieces)


def announced(scope: Scope, limit: int) -> int:
    """How many bytes of a body may come: what its sender says, up to `limit`, or `limit` where nothing is said."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return min(int(value[:20]), limit)
    return limit


def _too_large(limit: int) -> Refused:
    return Refused(413, "BODY_TOO_LARGE", f"The body is larger than {limit // 1024} KiB.")
