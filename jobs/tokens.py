"""Bearer tokens that this installation signs itself: HS256, as the API takes them."""

from datetime import datetime, timedelta

import jwt

from jobs.domain.errors import PipelineError
from jobs.domain.users import is_user_id

LIFETIME = timedelta(days=30)


class BadUserId(PipelineError):
    """No user can have this id."""


def make_token(
    secret: bytes,
    user_id: str,
    *,
    now: datetime,
    lifetime: timedelta = LIFETIME,
    audience: str | None = None,
    issuer: str | None = None,
) -> str:
    """A token for `user_id`, good from `now` for `lifetime`. Raises `BadUserId`."""
    if not is_user_id(user_id):
        raise BadUserId(
            "A user's id has 1 to 128 of the characters A-Z a-z 0-9 . _ @ | : - and is neither . nor .. alone."
        )
    claims = {"sub": user_id, "iat": now, "exp": now + lifetime}
    claims |= {name: value for name, value in (("aud", audience), ("iss", issuer)) if value is not None}
    return jwt.encode(claims, secret, algorithm="HS256")
