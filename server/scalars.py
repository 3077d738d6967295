"""The scalars beyond GraphQL's own: exact money, instants in UTC, and whole numbers beyond 32 bits."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NewType

import strawberry
from graphql import GraphQLError
from strawberry.types.scalar import ScalarDefinition

from jobs.domain.pricing import CENT, money

BigInt = NewType("BigInt", int)
_MOST = 2**53  #: JavaScript reads no whole number beyond this exactly


def dollars(amount: Decimal) -> str:
    """`12.30`; a price that is finer than cents keeps its further places, for it is exact."""
    return money(amount) if amount == amount.quantize(CENT) else f"{amount.normalize():f}"


def instant(at: datetime) -> str:
    """`2026-11-23T09:30:00.250000Z`. Raises ValueError for an instant without a time zone."""
    if at.tzinfo is UTC:  # as they come from the database
        return f"{at.isoformat()[:-6]}Z"
    if at.tzinfo is None:
        raise ValueError(f"{at!r} has no time zone")
    return at.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"


def _big_int(value: Any) -> int:
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if not whole or isinstance(value, bool) or abs(value) > _MOST:
        raise GraphQLError(f"BigInt must be a whole number of at most 2^53 in size, not {value!r:.100}")
    return int(value)


SCALARS: dict[object, ScalarDefinition] = {
    Decimal: strawberry.scalar(
        name="Decimal",
        description='Exact US dollars as a decimal string with two places, such as "12.30". '
        "Only a price per hour that is finer than cents has more.",
        serialize=dollars,
    ),
    datetime: strawberry.scalar(
        name="DateTime", description="An instant in UTC, ISO 8601 ending in Z.", serialize=instant
    ),
    BigInt: strawberry.scalar(
        name="BigInt",
        description="A whole number beyond 32 bits, as a JSON number up to 2^53.",
        serialize=_big_int,
        parse_value=_big_int,
    ),
}
