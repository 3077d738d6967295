"""An answer as it is sent: encoded, tagged and packed once, however often it goes out."""

import gzip
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import blake2b
from typing import Any, Self

import msgspec
from starlette.types import Receive, Scope, Send

from server.media import Media, qualities
from server.replies import RETRY_SOON

_VARY = "Accept, Accept-Encoding, Authorization"
_WORTH_PACKING = 1024  # bytes
_LEVEL = 1  # a third of the time of 6, for a tenth more bytes


Fields = Sequence[tuple[bytes, bytes]]  #: headers, their names in small letters


@dataclass(slots=True)
class Reply:
    """A response whose headers and bytes are ready: an ASGI application for any number of requests."""

    status: int
    headers: Fields
    body: bytes
    _lines: bytes = b""

    @property
    def lines(self) -> bytes:
        """The headers as they go over the wire, an empty line not included."""
        self._lines = self._lines or header_lines(self.headers)
        return self._lines

    @classmethod
    def of(cls, status: int, fields: Mapping[str, str], body: bytes = b"") -> Self:
        """With a Content-Length, but for a 304, which has no `body` and says nothing of its length."""
        length = {} if status == 304 else {"Content-Length": str(len(body))}
        headers = [(name.lower().encode(), value.encode()) for name, value in {**length, **fields}.items()]
        return cls(status, headers, body)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body})


class Answer:
    """What one question is answered."""

    def __init__(self, status: int, content: Mapping[str, Any], media: Media) -> None:
        """What is refused for its document is well-formed HTTP, and `application/json` keeps 200 for that."""
        self.status = 200 if status == 400 and media is Media.JSON else status
        self.body = msgspec.json.encode(content)
        self._media = media
        self._replies: dict[tuple[bool, bool, bool], Reply] = {}

    def reply(self, *, by_get: bool, known: str = "", packed: bool = False) -> Reply:
        """The response. `known` is the client's If-None-Match; `packed`: it may be gzip."""
        may_have_it = by_get and self.status == 200 and (self._tag in known or known.strip() == "*")
        packed = packed and len(self.body) >= _WORTH_PACKING
        kind = by_get, may_have_it, packed
        if kind not in self._replies:
            self._replies[kind] = self._made(*kind)
        return self._replies[kind]

    @cached_property
    def _tag(self) -> str:
        digest = blake2b(self.body, digest_size=9, person=self._media.name.encode()).digest()
        return f'"{urlsafe_b64encode(digest).decode()}"'

    def _made(self, by_get: bool, may_have_it: bool, packed: bool) -> Reply:
        fields = {"Vary": _VARY, "Cache-Control": "no-store"}
        if self.status == 503:
            fields |= RETRY_SOON
        if by_get and self.status == 200:
            # Other bytes must have another strong tag; a weak one says that they mean the same.
            fields |= {
                "ETag": f"W/{self._tag}" if packed else self._tag,
                "Cache-Control": "private, no-cache",
            }
        if may_have_it:
            return Reply.of(304, fields)
        fields["Content-Type"] = self._media.content_type
        if packed:
            fields["Content-Encoding"] = "gzip"
        return Reply.of(
            self.status, fields, gzip.compress(self.body, _LEVEL, mtime=0) if packed else self.body
        )


def header_lines(headers: Fields) -> bytes:
    """Headers as they go over the wire."""
    return b"".join([b"%s: %s\r\n" % field for field in headers])


@lru_cache(maxsize=256)
def takes_gzip(accept_encoding: str) -> bool:
    """Whether a client with this Accept-Encoding header may be sent gzip; one without the header is sent none."""
    wanted = qualities(accept_encoding)
    return wanted.get("gzip", wanted.get("*", 0.0)) > 0
