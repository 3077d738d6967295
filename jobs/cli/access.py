"""Who we are to the API: a token that was given, or one made here for a user."""

import argparse
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager

from jobs.api_client import ApiClient, open_api
from jobs.cli.token import token_for
from jobs.settings import SettingsError, public_url


def add_access(parser: argparse.ArgumentParser) -> None:
    """The options of every command that asks the API."""
    who = parser.add_mutually_exclusive_group()
    who.add_argument("--token", help="a bearer token; by default LORA_PIPELINE_TOKEN")
    who.add_argument("--user", help="make a token for this user with JWT_SECRET (development)")


def api_for(
    options: argparse.Namespace, environ: Mapping[str, str]
) -> AbstractAsyncContextManager[ApiClient]:
    """The API at PUBLIC_URL. Raises `SettingsError` and `BadUserId`."""
    token = options.token or (token_for(options.user, environ) if options.user else None)
    if not (token := token or environ.get("LORA_PIPELINE_TOKEN")):
        raise SettingsError(
            "LORA_PIPELINE_TOKEN is not set: give a token with it, with --token, or a --user."
        )
    if not token.isascii() or not token.isprintable() or " " in token:
        raise SettingsError(
            "LORA_PIPELINE_TOKEN or --token: a token has neither spaces nor special characters."
        )
    return open_api(public_url(environ), token)
