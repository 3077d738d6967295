"""AWS Signature Version 4 in a query string, with the instant passed in: the same arguments, the same URL.

Of the signing in S3 clients this is the part with a clock of its own, which a repeated submit must not have.
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import reduce
from urllib.parse import quote, urlsplit


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key, its secret, and the session token that temporary ones come with."""

    key_id: str
    secret: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


def presign(
    method: str,
    url: str,
    credentials: Credentials,
    *,
    region: str,
    issued_at: datetime,
    seconds: int,
    query: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> str:
    """`url` (no query, the path percent-encoded) signed for `method` until `seconds` after `issued_at`.

    `query` is added and signed; `headers` (lower-case names) must be sent exactly so by whoever uses the URL.
    """
    parts = urlsplit(url)
    instant = issued_at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = (instant[:8], region, "s3", "aws4_request")
    signed = dict(sorted({"host": parts.netloc, **(headers or {})}.items()))
    parameters = {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": "/".join((credentials.key_id, *scope)),
        "X-Amz-Date": instant,
        "X-Amz-Expires": str(seconds),
        "X-Amz-SignedHeaders": ";".join(signed),
        **({"X-Amz-Security-Token": credentials.session_token} if credentials.session_token else {}),
        **(query or {}),
    }
    encoded = sorted((quote(name, safe=""), quote(value, safe="")) for name, value in parameters.items())
    canonical_query = "&".join(f"{name}={value}" for name, value in encoded)
    request = "\n".join(
        (
            method,
            parts.path,
            canonical_query,
            *(f"{name}:{value}" for name, value in signed.items()),
            "",
            ";".join(signed),
            "UNSIGNED-PAYLOAD",
        )
    )
    to_sign = "\n".join(
        ("AWS4-HMAC-SHA256", instant, "/".join(scope), hashlib.sha256(request.encode()).hexdigest())
    )
    key = reduce(_hmac, scope, b"AWS4" + credentials.secret.encode())
    return f"{url}?{canonical_query}&X-Amz-Signature={_hmac(key, to_sign).hex()}"


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
