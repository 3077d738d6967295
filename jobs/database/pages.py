"""Pages of a list, newest first: what all lists have in common."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Integer, Select, Table, bindparam, tuple_

from jobs.database.engine import Position

LIMIT = bindparam("limit", type_=Integer())


def position(table: Table) -> Any:
    """Where the page before ended, as `asked` says it, to be compared with `created_at` and `id` of `table`."""
    row = table.c
    return tuple_(bindparam("at", type_=row.created_at.type), bindparam("id", type_=row.id.type))


def newest_first(query: Select[Any], table: Table, *, goes_on: bool) -> Select[Any]:
    """A page of `query`, which asks for rows of `table`; `goes_on`: not the first."""
    row = table.c
    if goes_on:
        query = query.where(tuple_(row.created_at, row.id) < position(table))
    return query.order_by(row.created_at.desc(), row.id.desc()).limit(LIMIT)


def asked(user_id: str, limit: int, after: Position | None) -> Mapping[str, Any]:
    """The parameters of a user's page of at most `limit` rows, which begins behind `after`."""
    at, last = after or (None, None)
    return {"user_id": user_id, "limit": limit, "at": at, "id": last}
