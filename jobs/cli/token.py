"""`python -m jobs token USER`: a bearer token, for development."""

import argparse
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from jobs.settings import SettingsError, token_settings
from jobs.tokens import LIFETIME, make_token

_MOST_HOURS = 24 * 366


def arguments(parser: argparse.ArgumentParser) -> None:
    """The user and how long."""
    parser.add_argument("user", metavar="USER", help="the user's id, which becomes the token's sub")
    parser.add_argument(
        "--hours",
        type=hours,
        default=LIFETIME,
        help=f"how long it is good, up to {_MOST_HOURS} (default: 30 days)",
    )


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Print the token and nothing else. Raises `SettingsError`, `BadUserId`."""
    print(token_for(options.user, environ, lifetime=options.hours))
    return 0


def token_for(user_id: str, environ: Mapping[str, str], *, lifetime: timedelta = LIFETIME) -> str:
    """A token by JWT_SECRET, else by the secret that `scripts/dev` keeps in DATA_DIR.

    Raises `SettingsError`, `BadUserId`.
    """
    signing = token_settings({**_kept_secret(environ), **{k: v for k, v in environ.items() if v}})
    return make_token(
        signing.secret,
        user_id,
        now=datetime.now(UTC),
        lifetime=lifetime,
        audience=signing.audience,
        issuer=signing.issuer,
    )


def hours(text: str) -> timedelta:
    """A lifetime. Raises `argparse.ArgumentTypeError`."""
    try:
        lifetime = timedelta(hours=float(text))
    except (ValueError, OverflowError):
        lifetime = timedelta()
    if not timedelta(seconds=1) <= lifetime <= timedelta(hours=_MOST_HOURS):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of hours up to {_MOST_HOURS}")
    return lifetime


def _kept_secret(environ: Mapping[str, str]) -> dict[str, str]:
    if environ.get("JWT_SECRET") or environ.get("JWT_JWKS_URL"):
        return {}
    file = Path(environ.get("DATA_DIR") or "data") / "secrets.json"
    try:
        secret = json.loads(file.read_text())["JWT_SECRET"]
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise SettingsError(f"JWT_SECRET is not set, and {file} does not hold one that can be read.") from exc
    return {"JWT_SECRET": str(secret)}
