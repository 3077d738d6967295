"""The static pages, and what they are made of: no token is needed to load them, and they load nothing from elsewhere."""

import asyncio
import gzip
import hashlib
import mimetypes
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from server.media import qualities
from server.replies import refusal

FOLDER = Path(__file__).parent / "_static"
NOT_BUILT = "The pages have not been built yet: run scripts/setup."
MONITOR, GRAPHIQL = "index.html", "graphiql.html"
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
_TEXT = frozenset({".css", ".html", ".js", ".json", ".map", ".svg", ".txt"})
_TYPES = {".js": "text/javascript; charset=utf-8", ".ttf": "font/ttf", ".woff2": "font/woff2"}
_YEAR = "public, max-age=31536000, immutable"
_VERSION_LENGTH = 10  # hex digits of SHA-256, as frontend/build.mjs stamps them

Serve = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Asset:
    """One file, as it is sent."""

    changed: tuple[int, int]  #: when and how large the file was
    content: bytes
    packed: bytes | None  #: gzip, where that is smaller
    digest: str
    media_type: str


class Pages:
    """Gives out the built frontend. A file that is built anew is read anew."""

    def __init__(self, folder: Path = FOLDER, *, upload_origins: Sequence[str] = ()) -> None:
        """`upload_origins`: where the monitor PUTs datasets, beside its own origin."""
        self._folder = folder
        self._assets: dict[str, Asset] = {}
        self._policies = {
            MONITOR: policy(upload_origins),
            GRAPHIQL: policy((), "style-src 'self' 'unsafe-inline'", "worker-src 'self' blob:"),
        }

    def routes(self) -> list[Route]:
        """The monitor's addresses, `/static/…`, and `/`, which leads to the monitor."""
        monitor = self.page(MONITOR)
        return [
            Route("/", _to_the_monitor, methods=["GET"]),
            *(
                Route(path, monitor, methods=["GET"])
                for path in ("/training/jobs", "/training/jobs/new", "/training/jobs/{id}")
            ),
            Route("/static/{name:path}", self._static, methods=["GET"]),
        ]

    def page(self, name: str) -> Serve:
        """What answers with this page."""

        async def serve(request: Request) -> Response:
            asset = await self._asset(name)
            if asset is None:
                return refusal(request.url.path, 503, "NOT_BUILT", NOT_BUILT)
            return _sent(
                asset, request, {"Content-Security-Policy": self._policies[name], "Cache-Control": "no-cache"}
            )

        return serve

    async def _static(self, request: Request) -> Response:
        asset = await self._asset(request.path_params["name"])
        if asset is None:
            return refusal(request.url.path, 404, "NOT_FOUND", "There is nothing at this address.")
        # The page of another release names another version: that answer is not to be kept under its name.
        is_this = request.query_params.get("v") == asset.digest[:_VERSION_LENGTH]
        return _sent(asset, request, {"Cache-Control": _YEAR if is_this else "no-cache"})

    async def _asset(self, name: str) -> Asset | None:
        if not _NAME.fullmatch(name):
            return None
        return await asyncio.to_thread(self._read, name)

    def _read(self, name: str) -> Asset | None:
        file = self._folder / name
        try:
            found = file.stat()
            changed = found.st_mtime_ns, found.st_size
            known = self._assets.get(name)
            if known is None or known.changed != changed:
                known = self._assets[name] = _asset(file.read_bytes(), file.suffix, changed)
        except (OSError, ValueError):
            return None
        return known


def policy(connect: Sequence[str], *more: str) -> str:
    """The Content-Security-Policy of a page that talks to its own origin and to `connect`."""
    return "; ".join(
        (
            "default-src 'self'",
            "img-src 'self' data:",
            "font-src 'self' data:",
            " ".join(("connect-src 'self'", *connect)),
            *more,
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )


def _asset(content: bytes, suffix: str, changed: tuple[int, int]) -> Asset:
    packed = gzip.compress(content, 6, mtime=0) if suffix in _TEXT and len(content) > 1024 else None
    guessed = mimetypes.types_map.get(suffix, "application/octet-stream")
    media_type = f"{guessed}; charset=utf-8" if suffix in _TEXT else guessed
    return Asset(
        changed, content, packed, hashlib.sha256(content).hexdigest(), _TYPES.get(suffix, media_type)
    )


def _sent(asset: Asset, request: Request, headers: dict[str, str]) -> Response:
    wanted = qualities(request.headers.get("accept-encoding", ""))
    packed = asset.packed is not None and wanted.get("gzip", 0) > 0
    etag = f'"{asset.digest[:32]}{"-gzip" if packed else ""}"'
    headers |= {"ETag": etag, "Vary": "Accept-Encoding"}
    if etag in [
        tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")
    ]:
        return Response(status_code=304, headers=headers)
    if packed:
        headers["Content-Encoding"] = "gzip"
    return Response(asset.packed if packed else asset.content, headers=headers, media_type=asset.media_type)


async def _to_the_monitor(_: Request) -> Response:
    return RedirectResponse("/training/jobs", 307)
