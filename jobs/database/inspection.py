"""What the operator may see of a database: its tables as they are, and whether they are as they should be.

Nothing here writes: on Postgres the transaction is read-only, on SQLite the connection is.
"""

import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

from sqlalchemy import Inspector, inspect, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from jobs.database import security
from jobs.database.engine import Database, Transaction, sqlite_file
from jobs.database.tables import metadata
from jobs.domain.errors import PipelineError


class DatabaseRefused(PipelineError):
    """The database understood and declined, or has no such thing: asking again will not help."""


@contextlib.contextmanager
def plainly() -> Iterator[None]:
    """Turn what a driver says into `DatabaseRefused`, in its own words and without the statement."""
    try:
        yield
    except SQLAlchemyError as exc:
        said = str(getattr(exc, "orig", None) or exc).partition("\n")[0]
        raise DatabaseRefused(f"The database refuses: {said.rpartition('>: ')[2]}") from exc


@contextlib.asynccontextmanager
async def visit(url: str, user_id: str | None = None) -> AsyncIterator[Transaction]:
    """A transaction in which nothing can be written; with `user_id`, as the API has it for that user.

    Raises `DatabaseUnavailable` and `DatabaseRefused`.
    """
    if (file := sqlite_file(url)) and not file.exists():
        raise DatabaseRefused(f"There is no database file {file}; `python -m jobs migrate` makes one.")
    database = Database.open(url, pool_size=1)
    try:
        with plainly():
            async with database.read(user_id) as tx:
                if file:
                    await tx.exec_driver_sql("PRAGMA query_only = ON")
                yield tx
    finally:
        await database.close()


async def introspect(tx: Transaction) -> list[dict[str, Any]]:
    """Every table: columns, constraints, indexes and, on Postgres, policies."""
    return await tx.run_sync(lambda c: [_described(c, name) for name in table_names(inspect(c))])


async def introspect_one(tx: Transaction, table: str) -> dict[str, Any]:
    """One table. Raises `DatabaseRefused` when it is not there."""
    return await tx.run_sync(lambda c: _described(c, existing(inspect(c), table)))


async def preflight(tx: Transaction, table: str) -> dict[str, Any]:
    """Whether the role of this transaction can work with `table`; `problems` says what is in its way."""
    return await tx.run_sync(_preflight, table)


async def role_of(tx: Transaction) -> dict[str, Any]:
    """Who we are on Postgres, and whether row-level security and the group roles apply to us; empty on SQLite."""
    return await tx.run_sync(_role) if tx.dialect.name == "postgresql" else {}


def table_names(inspector: Inspector) -> list[str]:
    """The tables of the schema, in the order of the alphabet."""
    return sorted(inspector.get_table_names())


def existing(inspector: Inspector, table: str) -> str:
    """`table`, which is there under exactly this name; else raise `DatabaseRefused`."""
    if table not in table_names(inspector):
        raise DatabaseRefused(f"There is no table {table!r} in this database.")
    return table


def _described(connection: Connection, table: str) -> dict[str, Any]:
    inspector = inspect(connection)
    columns = [
        {
            "name": column["name"],
            "type": column["type"].compile(connection.dialect),
            "nullable": column["nullable"],
            "default": column["default"],
        }
        for column in inspector.get_columns(table)
    ]
    return {
        "name": table,
        "columns": columns,
        "constraints": list(_constraints(inspector, table)),
        "indexes": [_index(index) for index in inspector.get_indexes(table)],
        "triggers": _triggers(connection, table),
        **_security(connection, table),
    }


def _constraints(inspector: Inspector, table: str) -> Iterator[dict[str, Any]]:
    if (key := inspector.get_pk_constraint(table))["constrained_columns"]:
        yield {"name": key["name"], "kind": "primary key", "columns": key["constrained_columns"]}
    for foreign in inspector.get_foreign_keys(table):
        yield {
            "name": foreign["name"],
            "kind": "foreign key",
            "columns": foreign["constrained_columns"],
            "references": {"table": foreign["referred_table"], "columns": foreign["referred_columns"]},
            "on_delete": foreign.get("options", {}).get("ondelete"),
        }
    for unique in inspector.get_unique_constraints(table):
        yield {"name": unique["name"], "kind": "unique", "columns": unique["column_names"]}
    for check in inspector.get_check_constraints(table):
        yield {"name": check["name"], "kind": "check", "rule": check["sqltext"]}


def _index(index: Any) -> dict[str, Any]:
    where = {key: rule for key, rule in index.get("dialect_options", {}).items() if key.endswith("_where")}
    return {
        "name": index["name"],
        "columns": index.get("expressions") or index["column_names"],
        "unique": bool(index["unique"]),
        "where": str(next(iter(where.values()))) if where else None,
    }


def _triggers(connection: Connection, table: str) -> list[str]:
    if connection.dialect.name == "postgresql":
        query = "SELECT tgname FROM pg_trigger WHERE tgrelid = to_regclass(:table) AND NOT tgisinternal ORDER BY 1"
        return list(connection.scalars(text(query), {"table": _quoted(connection, table)}))
    query = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :table ORDER BY 1"
    return list(connection.scalars(text(query), {"table": table}))


def _security(connection: Connection, table: str) -> dict[str, Any]:
    """Row-level security of a table; SQLite has none, and there the data layer filters by user."""
    if connection.dialect.name != "postgresql":
        return {"row_level_security": None, "policies": []}
    relation = {"table": _quoted(connection, table)}
    state = connection.execute(
        text(
            """SELECT relrowsecurity AS enabled, relforcerowsecurity AS forced,
            row_security_active(oid) AS applies_to_this_role FROM pg_class WHERE oid = to_regclass(:table)"""
        ),
        relation,
    ).one()
    policies = connection.execute(
        text(
            """SELECT polname AS name,
            CASE polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE'
                ELSE 'ALL' END AS command,
            ARRAY(SELECT CASE member WHEN 0 THEN 'public' ELSE pg_get_userbyid(member) END::text
                FROM unnest(polroles) AS member) AS roles,
            pg_get_expr(polqual, polrelid) AS using, pg_get_expr(polwithcheck, polrelid) AS check
            FROM pg_policy WHERE polrelid = to_regclass(:table) ORDER BY polname"""
        ),
        relation,
    )
    return {
        "row_level_security": dict(state._mapping),
        "policies": [dict(policy._mapping) for policy in policies],
    }


def _preflight(connection: Connection, table: str) -> dict[str, Any]:
    inspector = inspect(connection)
    if table not in table_names(inspector):
        return {"table": table, "exists": False, "problems": [f"There is no table {table!r}."]}
    postgres = connection.dialect.name == "postgresql"
    role = _role(connection) if postgres else {}
    described = _described(connection, table)
    privileges = _privileges(connection, table)
    writable = {"INSERT", "UPDATE"} & set(privileges) == {"INSERT", "UPDATE"}
    indexes = sorted(_index_names(described))
    missing = sorted(_wanted_indexes(table) - set(indexes))
    problems = [] if writable else [f"This role may not write to {table}: it may {_all_of(privileges)}."]
    problems += [f"The index {name} is missing." for name in missing]
    if postgres:
        problems += list(_security_problems(described, role))
    return {
        "table": table,
        "exists": True,
        "role": role.get("name"),
        "privileges": privileges,
        "writable": writable,
        "row_level_security": described["row_level_security"],
        "indexes": {"present": indexes, "missing": missing},
        "problems": problems,
    }


def _security_problems(described: dict[str, Any], role: dict[str, Any]) -> Iterator[str]:
    table, state = described["name"], described["row_level_security"]
    if not state["enabled"]:
        yield f"Row-level security of {table} is off."
    elif not state["forced"]:
        yield f"Row-level security of {table} is not forced on its owner."
    if role["is_api"] and not role["is_service"] and not state["applies_to_this_role"]:
        yield f"Row-level security of {table} does not apply to this role."
    there = {policy["name"] for policy in described["policies"]}
    wanted = {f"api_{command.lower()}" for command in security.POLICIES.get(table, {})}
    if wanted:
        wanted.add("service_all")
    for name in sorted(wanted - there):
        yield f"The policy {name} is missing."


def _privileges(connection: Connection, table: str) -> list[str]:
    """What this role may do with the table, or with some of its columns."""
    every: tuple[str, ...] = ("SELECT", "INSERT", "UPDATE", "DELETE")
    if connection.dialect.name != "postgresql":
        file = connection.engine.url.database or ""
        return list(every) if os.access(file, os.W_OK) else ["SELECT"]
    query = text(
        """SELECT has_table_privilege(relation, privilege)
        OR (privilege <> 'DELETE' AND has_any_column_privilege(relation, privilege))
        FROM (SELECT to_regclass(:table)::oid AS relation, CAST(:privilege AS text) AS privilege) AS asked"""
    )
    relation = _quoted(connection, table)
    if connection.scalar(text("SELECT pg_is_in_recovery()")):
        every = ("SELECT",)
    return [p for p in every if connection.scalar(query, {"table": relation, "privilege": p})]


def _role(connection: Connection) -> dict[str, Any]:
    query = text(
        """SELECT current_user::text AS name, rolsuper OR rolbypassrls AS bypasses,
        EXISTS (SELECT FROM pg_roles WHERE rolname = :api AND pg_has_role(current_user, oid, 'USAGE')) AS is_api,
        EXISTS (SELECT FROM pg_roles WHERE rolname = :service AND pg_has_role(current_user, oid, 'USAGE'))
            AS is_service
        FROM pg_roles WHERE rolname = current_user"""
    )
    found = connection.execute(query, {"api": security.API, "service": security.SERVICE}).one()
    return dict(found._mapping)


def _index_names(described: dict[str, Any]) -> set[str]:
    unique = {c["name"] for c in described["constraints"] if c["kind"] in ("primary key", "unique")}
    return {index["name"] for index in described["indexes"]} | (unique - {None})


def _wanted_indexes(table: str) -> set[str]:
    """By the models; of a table that is not ours nothing is wanted."""
    return (
        {str(index.name) for index in metadata.tables[table].indexes} if table in metadata.tables else set()
    )


def _quoted(connection: Connection, name: str) -> str:
    return connection.dialect.identifier_preparer.quote_identifier(name)


def _all_of(privileges: list[str]) -> str:
    return ", ".join(privileges) or "do nothing"
