"""URLs to local files that carry their own permission: one method, one object, until an instant.

What is signed is the path as it stands in the URL, so no other spelling of it opens anything; it is written
so that browsers and HTTP libraries leave it as it is.
"""

import hmac
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, unquote, urlencode

from jobs.buckets.interface import StorageError

PATH = "/storage/"  #: where the API serves these URLs
_LEFT_AS_IT_IS = "/!$&'()*+,;=:@"  # RFC 3986's pchar: what clients decode when it is encoded without need
_LABEL = b"lora-pipeline storage url v1"  # no other use of the master key gives this key


class GrantRefused(StorageError):
    """The URL does not allow this: changed, for another method, by another key, or expired."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a signed URL allows until `expires` (seconds since 1970).

    A PUT may be bound to `size_bytes`; a GET may say the `filename` to save under.
    """

    method: str
    bucket: str
    path: str
    expires: int
    size_bytes: int | None = None
    filename: str | None = None


class UrlSigner:
    """Makes URLs below `public_url` and reads what they allow; knows no file."""

    def __init__(self, public_url: str, master_key: bytes) -> None:
        self._base = public_url.rstrip("/")
        self._key = hmac.digest(master_key, _LABEL, "sha256")

    def url(self, grant: Grant) -> str:
        """The URL; the same grant gives the same URL."""
        path = PATH + quote(f"{grant.bucket}/{grant.path}", safe=_LEFT_AS_IT_IS)
        fields = {"expires": grant.expires, "size": grant.size_bytes, "filename": grant.filename}
        query = urlencode(
            {name: value for name, value in fields.items() if value is not None}, quote_via=quote
        )
        return f"{self._base}{path}?{query}&signature={self._signature(grant.method, path, query)}"

    def read(self, method: str, path: str, query: str, *, now: datetime) -> Grant:
        """What a request may do: `path` and `query` as they came, still percent-encoded.

        Raises `GrantRefused`.
        """
        try:
            *pairs, (last, signature) = parse_qsl(query, keep_blank_values=True, max_num_fields=8)
        except ValueError:  # nothing, or too many fields
            raise GrantRefused("This link is not signed.") from None
        expected = self._signature(method, path, urlencode(pairs, quote_via=quote))
        if last != "signature" or not hmac.compare_digest(expected.encode(), signature.encode()):
            raise GrantRefused("This link's signature does not fit: it was changed, or is for another use.")
        fields = dict(pairs)
        expires = int(fields["expires"])
        if now >= datetime.fromtimestamp(expires, UTC):
            raise GrantRefused("This link has expired; ask for a new one.")
        bucket, _, name = unquote(path.removeprefix(PATH)).partition("/")
        size = fields.get("size")
        return Grant(
            method, bucket, name, expires, None if size is None else int(size), fields.get("filename")
        )

    def _signature(self, method: str, path: str, query: str) -> str:
        return hmac.digest(self._key, f"{method}\n{path}?{query}".encode(), "sha256").hex()
