"""Many rows as one parameter, JSON text, so that a statement is the same for one row and for a thousand."""

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import FromClause, Text, bindparam, cast, column, func, select, type_coerce
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine


def as_table(
    dialect: str, parameter: str, columns: Mapping[str, TypeEngine[Any]], *, name: str
) -> FromClause:
    """The parameter, a JSON array of objects with these members, as a table."""
    rows = bindparam(parameter, type_=Text())
    if dialect == "postgresql":
        read = func.jsonb_to_recordset(cast(rows, JSONB))
        wanted = [column(each, type_) for each, type_ in columns.items()]
        return read.table_valued(*wanted, name=name).render_derived(with_types=True)
    each = func.json_each(rows).table_valued("value")
    return select(
        *(
            type_coerce(func.json_extract(each.c.value, f"$.{key}"), type_).label(key)
            for key, type_ in columns.items()
        )
    ).subquery(name)


def as_json(rows: object) -> str:
    """The parameter's text."""
    return msgspec.json.encode(rows).decode()
