"""Bringing a database to this version's schema: safe to run again, and by several processes at once."""

import functools
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import ProgrammingError

from jobs.database import rollups, security
from jobs.database.engine import Database, SchemaMismatch, sqlite_file

_ADVISORY_LOCK = 0x10AA  #: one number for all who migrate this database
_ROLLUPS = "0004"  #: the version that brought them
_FOLDER = Path(__file__).parent / "migrations"


async def migrate(url: str) -> list[str]:
    """Bring the database at `url` to the newest version; what was done, line by line.

    Raises `SchemaMismatch` when it is newer than this program, or when a superuser must make the roles first: then the
    sentence holds the SQL.
    """
    if file := sqlite_file(url):
        file.parent.mkdir(parents=True, exist_ok=True)
    database = Database.open(url, pool_size=1)
    try:
        async with database.begin() as tx:
            before, lines = await tx.run_sync(_migrate)
            if before is not None and before < _ROLLUPS:
                lines.append(f"rolled up the histories of {await rollups.roll_up_all(tx)} jobs")
            return lines
    finally:
        await database.close()


@functools.cache  # of this program as it began, also when its folder holds a newer one by now
def newest_version() -> str:
    """The version this program was written for."""
    head = ScriptDirectory(str(_FOLDER)).get_current_head()
    assert head is not None  # noqa: S101 - the package ships its migrations
    return head


def version_of(connection: Connection) -> str | None:
    """The version of a database; None when it was never migrated."""
    return MigrationContext.configure(connection).get_current_revision()


async def check_schema(database: Database) -> None:
    """Return when the database is of this program's version; else raise `SchemaMismatch`."""
    file = database.file
    if file is not None and not file.exists():
        version = None  # looking would make it
    else:
        try:
            async with database.read() as tx:
                version = await tx.run_sync(version_of)
        except ProgrammingError as exc:
            raise SchemaMismatch(
                f"This login may not read the schema's version: grant it {security.API} or {security.SERVICE}."
            ) from exc
    if version != (newest := newest_version()):
        found = f"schema version {version}" if version else "no schema yet"
        raise SchemaMismatch(
            f"The database has {found}, this program needs {newest}: run `python -m jobs migrate`."
        )


def _migrate(connection: Connection) -> tuple[str | None, list[str]]:
    postgres = connection.dialect.name == "postgresql"
    if postgres:  # SQLite has taken its one write lock already
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ADVISORY_LOCK})
    before, newest = version_of(connection), newest_version()
    known = {script.revision for script in ScriptDirectory(str(_FOLDER)).walk_revisions()}
    if before is not None and before not in known:
        raise SchemaMismatch(
            f"The database has schema version {before}, which this program does not know: it is newer than {newest}."
        )
    if before != newest:
        config = Config()
        config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    lines = [f"schema version {newest}" + ("" if before == newest else f" (was {before or 'empty'})")]
    return before, lines + (_secure(connection) if postgres else [])


def _secure(connection: Connection) -> list[str]:
    lines = []
    if missing := security.missing_roles(connection):
        wanted = security.role_statements(missing)
        if not security.may_make_roles(connection):
            raise SchemaMismatch(
                "This login may not create roles. Run this as a superuser, then `python -m jobs migrate` again:\n"
                + "\n".join(f"    {line};" for line in wanted)
                + f"\n    GRANT {security.SERVICE} TO {_login(connection)};"
            )
        for line in wanted:
            connection.execute(text(line))
        connection.execute(text(f"GRANT {security.SERVICE} TO CURRENT_USER"))
        lines.append(
            f"made the group roles {' and '.join(missing)}; grant them to the login roles that need them"
        )
    for line in security.statements():
        connection.execute(text(line))
    lines.append("row-level security and grants are in place")
    if not security.is_service(
        connection
    ):  # somebody else made the roles, for another database of this server
        lines.append(
            "this login sees no row, though it owns the tables; to be the worker's too it must be granted the role: "
            f"GRANT {security.SERVICE} TO {_login(connection)}"
        )
    return lines


def _login(connection: Connection) -> str:
    login: str = connection.scalar(text("SELECT quote_ident(current_user)")) or ""
    return login
