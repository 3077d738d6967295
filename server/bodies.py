"""Reading a request's body with a limit, counted while it streams in."""

from starlette.requests import Request

from server.replies import Refused


async def read_body(request: Request, limit: int) -> bytes:
    """The body, of at most `limit` bytes. Raises `Refused` (413, 415) and Starlette's `ClientDisconnect`."""
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise Refused(415, "UNSUPPORTED_MEDIA_TYPE", "Send the body without a content encoding.")
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) > limit:
        raise _too_large(limit)
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > limit:
            raise _too_large(limit)
    return bytes(body)


def _too_large(limit: int) -> Refused:
    return Refused(413, "BODY_TOO_LARGE", f"The body is larger than {limit // 1024} KiB.")
