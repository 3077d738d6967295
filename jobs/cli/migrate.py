"""`python -m jobs migrate`: the schema and, on Postgres, the roles' rights."""

import argparse
import asyncio
from collections.abc import Mapping

from jobs.database.inspection import plainly
from jobs.database.migrate import migrate
from jobs.settings import database_urls


def arguments(_: argparse.ArgumentParser) -> None:
    """It takes none: SERVICE_DATABASE_URL (or DATABASE_URL) says where."""


def run(_: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Migrate and say what was done. Raises `SettingsError`, `SchemaMismatch`, `DatabaseUnavailable`, `DatabaseRefused`."""
    with plainly():
        lines = asyncio.run(migrate(database_urls(environ).service))
    print(*lines, sep="\n")
    return 0
