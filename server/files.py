"""The signed URLs of local storage: an object is read or written by whoever holds its URL, by nobody else.

The URL is the permission: no token is asked for, and nothing but method, path and query is believed.
"""

from datetime import datetime

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from jobs.buckets import BadObjectName, LocalBuckets, ObjectMissing, StorageError, StorageUnavailable
from jobs.buckets.interface import attachment
from jobs.buckets.local import UploadSealed, UploadTooLarge, UploadTooShort
from jobs.buckets.signed_urls import PATH, Grant, GrantRefused
from jobs.database import Now

_STATUS: dict[type[StorageError], int] = {
    GrantRefused: 403,
    BadObjectName: 404,
    ObjectMissing: 404,
    UploadSealed: 410,
    UploadTooLarge: 413,
    UploadTooShort: 422,
    StorageUnavailable: 503,
}
#: What users upload is theirs, not ours: no browser may run it, guess its type or keep it.
_HEADERS = {
    "Cache-Control": "private, no-store",
    "Content-Security-Policy": "sandbox",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

logger = structlog.get_logger(__name__)


def file_routes(buckets: LocalBuckets, *, clock: Now) -> list[Route]:
    """GET, HEAD (both with ranges) and PUT of local objects by signed URL.

    What is wrong is said as `{"error": sentence}`: 403 for a URL that does not allow it, 404 no such object,
    410 an upload that is complete, 413 and 422 a body of another size than signed, 503 an unusable disk.
    """

    async def answer(request: Request) -> Response:
        try:
            grant = _granted(request, buckets, await clock())
            if grant.method == "PUT":
                return await _take(request, buckets, grant)
            return await _give(buckets, grant)
        except StorageError as exc:
            status = _STATUS[type(exc)]
            logger.info("refused", status=status, why=type(exc).__name__)
            return JSONResponse({"error": str(exc)}, status, _HEADERS)
        except ClientDisconnect:  # nobody is there to read it
            return Response(status_code=400)

    return [Route(PATH + "{rest:path}", answer, methods=["GET", "PUT"], name="storage")]


def _granted(request: Request, buckets: LocalBuckets, now: datetime) -> Grant:
    method = "GET" if request.method == "HEAD" else request.method
    return buckets.signer.read(
        method,
        request.scope["raw_path"].decode("latin-1"),
        request.scope["query_string"].decode("latin-1"),
        now=now,
    )


async def _give(buckets: LocalBuckets, grant: Grant) -> Response:
    path, found = await buckets.file(grant.bucket, grant.path)
    return FileResponse(
        path,
        headers=_HEADERS | {"Content-Disposition": attachment(grant.filename or path.name)},
        media_type="application/octet-stream",
        stat_result=found,
    )


async def _take(request: Request, buckets: LocalBuckets, grant: Grant) -> Response:
    length = request.headers.get("content-length")
    await buckets.receive(grant, request.stream(), None if length is None else int(length))
    return Response(headers=_HEADERS)
