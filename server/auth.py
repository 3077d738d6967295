"""Who asks: the bearer token's `sub`, or nobody.

HS256 tokens are checked with JWT_SECRET, RS256 and ES256 tokens with the keys of JWT_JWKS_URL; a token cannot choose which
key it is checked with. A token that was good is remembered for a few minutes.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import jwt
from jwt import PyJWKClient, PyJWKClientConnectionError

from jobs.domain.users import is_user_id
from jobs.settings import Settings
from server.replies import RETRY_SOON, Refused

LEEWAY = 30  #: seconds by which clocks may differ
LONGEST = 8 * 1024  #: bytes of a token
_REMEMBERED = 10_000
_LONGEST_REMEMBERED = 2 * 1024
_SECONDS_REMEMBERED = 300  # then it is checked anew: its key may have been withdrawn
_BY_JWKS = frozenset({"RS256", "ES256"})
_REQUIRED = ["exp", "iat", "sub"]


class Unauthenticated(Refused):
    """No token, or none that counts. Why is said to nobody: every 401 reads the same."""

    def __init__(self) -> None:
        super().__init__(
            401,
            "UNAUTHENTICATED",
            "A valid bearer token is needed.",
            {"WWW-Authenticate": 'Bearer realm="lora-pipeline"'},
        )


class Authenticator:
    """Turns Authorization headers into a user's id."""

    def __init__(
        self, settings: Settings, *, clock: Callable[[], float] = time.time, key_seconds: float = 5
    ) -> None:
        """`key_seconds` is how long the keys of the JWKS may take to come."""
        self._secret = settings.jwt_secret
        self._keys = PyJWKClient(url, timeout=key_seconds) if (url := settings.jwt_jwks_url) else None
        self._audience, self._issuer = settings.jwt_audience, settings.jwt_issuer
        self._clock = clock
        self._good: OrderedDict[str, tuple[str, float]] = OrderedDict()  # token → user, until when

    async def user_of(self, headers: Sequence[str]) -> str:
        """The user of a request with these Authorization headers. Raises `Unauthenticated`, or `Refused` (503)."""
        token = token_of(headers)
        if known := self.known(token):
            return known
        if not 0 < len(token) <= LONGEST:
            raise Unauthenticated
        user_id, expires = await self._verified(token)
        if len(token) <= _LONGEST_REMEMBERED:
            self._good[token] = user_id, min(expires, self._clock() + _SECONDS_REMEMBERED)
            if len(self._good) > _REMEMBERED:
                self._good.popitem(last=False)
        return user_id

    def known(self, token: str) -> str | None:
        """The user of a token that is remembered."""
        found = self._good.get(token)
        if found is None:
            return None
        user_id, until = found
        if self._clock() < until:
            return user_id
        del self._good[token]
        return None

    async def _verified(self, token: str) -> tuple[str, float]:
        try:
            algorithm = jwt.get_unverified_header(token).get("alg")
            if algorithm == "HS256" and self._secret is not None:
                claims = self._claims(token, self._secret, "HS256")
            elif isinstance(algorithm, str) and algorithm in _BY_JWKS and self._keys is not None:
                key = await asyncio.to_thread(self._keys.get_signing_key_from_jwt, token)  # it may fetch them
                claims = self._claims(token, key.key, algorithm)
            else:
                raise Unauthenticated
        except PyJWKClientConnectionError as exc:
            raise Refused(
                503, "UNAVAILABLE", "The keys that tokens are checked with cannot be had now.", RETRY_SOON
            ) from exc
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as exc:
            raise Unauthenticated from exc
        user_id, expires = claims["sub"], claims["exp"]
        if not isinstance(user_id, str) or not is_user_id(user_id):
            raise Unauthenticated
        if not _is_instant(expires) or not _is_instant(claims["iat"]):
            raise Unauthenticated
        return user_id, float(expires)

    def _claims(self, token: str, key: Any, algorithm: str) -> dict[str, Any]:
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=self._audience,
            issuer=self._issuer,
            leeway=LEEWAY,
            options={"require": _REQUIRED, "verify_aud": self._audience is not None},
        )
        return claims


def token_of(headers: Sequence[str]) -> str:
    """The token of a request with these Authorization headers. Raises `Unauthenticated`."""
    if len(headers) != 1:
        raise Unauthenticated
    scheme, _, token = headers[0].partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated
    return token.strip()


def _is_instant(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
