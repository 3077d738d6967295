"""Pages of a list, newest first, by Relay's cursor rules.

A cursor says where a page ended. It is bound to the user, the query and its filter: from elsewhere, or changed, it is
refused, so that no one pages on in a list that was never theirs or never so filtered.
"""

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Generic, Protocol, TypeVar
from uuid import UUID

import strawberry

from jobs.database import Position, Transaction
from server.context import Context, Info
from server.errors import BadInput

MOST = 100  #: of one page
_LABEL = "lora-pipeline cursor v1"  # no other use of the master key gives this key
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PLACE, _SEAL = 24, 12  # bytes; a list with an order of its own adds the value there, as JSON

First = Annotated[int, strawberry.argument(description=f"How many at most: 1 to {MOST}.")]
After = Annotated[
    str | None,
    strawberry.argument(description="`pageInfo.endCursor` of the page before; null for the first page."),
]


class Listed(Protocol):
    """What can stand in a list."""

    @property
    def id(self) -> UUID:
        """Decides between two of the same instant."""

    @property
    def created_at(self) -> datetime:
        """What the list is ordered by."""


Key = str | int | float | None
Row = TypeVar("Row", bound=Listed)
Item = TypeVar("Item")


@strawberry.type(description="Where a page ends.")
class PageInfo:
    """Where a page ends."""

    has_next_page: bool = strawberry.field(description="Whether there is more after this page.")
    has_previous_page: bool = strawberry.field(description="Whether `after` was given.")
    start_cursor: str | None = strawberry.field(
        description="Where the first of this page stands; null on an empty page."
    )
    end_cursor: str | None = strawberry.field(
        description="Where this page ends, for `after`; null on an empty page."
    )


@strawberry.type(description="One of a list, and where it stands in it.")
class Edge(Generic[Item]):
    """What Relay's clients ask for instead of `nodes`."""

    cursor: str = strawberry.field(description="Where it stands, for `after`.")
    node: Item = strawberry.field(description="The one that stands there.")


@strawberry.type(description="One page of a list, newest first.")
class Connection(Generic[Item]):
    """One page; how many there are in all is counted only when asked for."""

    count: strawberry.Private[Callable[[Transaction], Awaitable[int]]]
    cursors: strawberry.Private[Callable[[], Iterable[str]]]
    nodes: list[Item] = strawberry.field(description="This page, newest first.")
    page_info: PageInfo = strawberry.field(description="Where this page ends.")

    @strawberry.field(description="The same page, each with where it stands; `nodes` says it shorter.")
    def edges(self) -> list[Edge[Item]]:
        """As Relay's cursor connections have it."""
        return [
            Edge(cursor=cursor, node=node) for cursor, node in zip(self.cursors(), self.nodes, strict=True)
        ]

    @strawberry.field(description="How many there are on all pages together.")
    async def total_count(self, info: Info) -> int:
        """One statement more, where it is asked for."""
        async with info.context.read() as tx:
            return await self.count(tx)


class Page:
    """The page that is asked for. Raises `BadInput` for a size or a cursor that cannot be."""

    def __init__(self, context: Context, kind: str, first: int, after: str | None, *filters: str) -> None:
        bound_to = json.dumps([_LABEL, context.user_id, kind, *filters]).encode()
        self._key = hmac.digest(context.settings.secret_key, bound_to, "sha256")
        self._first = within("first", first, MOST)
        self.limit = first + 1  #: one more than is shown tells whether there is a next page
        self.after: Position | None = None
        self.after_key: Key = None  #: what the last of the page before was ordered by, beside its age
        if after is not None and after is not strawberry.UNSET:
            self.after, self.after_key = self._position(after)

    def connection(
        self,
        rows: Sequence[Row],
        node: Callable[[Row], Item],
        count: Callable[[Transaction], Awaitable[int]],
        key: Callable[[Row], Key] = lambda _: None,
    ) -> Connection[Item]:
        """Of up to `limit` rows those to show, each made a `node`, and where they end."""
        shown = rows[: self._first]

        def cursor(row: Row) -> str:
            return self._cursor(row, key(row))

        page_info = PageInfo(
            has_next_page=len(rows) > self._first,
            has_previous_page=self.after is not None,
            start_cursor=cursor(shown[0]) if shown else None,
            end_cursor=cursor(shown[-1]) if shown else None,
        )
        return Connection(
            nodes=[node(row) for row in shown],
            page_info=page_info,
            count=count,
            cursors=lambda: map(cursor, shown),
        )

    def _cursor(self, row: Listed, key: Key) -> str:
        micros = (row.created_at - _EPOCH) // timedelta(microseconds=1)
        there = b"" if key is None else json.dumps(key).encode()
        return self._sealed(micros.to_bytes(8, "big", signed=True) + row.id.bytes + there)

    def _position(self, cursor: str) -> tuple[Position, Key]:
        try:
            place = urlsafe_b64decode(cursor.encode("ascii"))[:-_SEAL]
        except ValueError:
            place = b""
        if len(place) < _PLACE or not hmac.compare_digest(self._sealed(place), cursor):
            raise BadInput("`after` is no cursor of this list. Begin again without it.")
        micros, there = int.from_bytes(place[:8], "big", signed=True), place[_PLACE:]
        at = _EPOCH + timedelta(microseconds=micros)
        return (at, UUID(bytes=place[8:_PLACE])), json.loads(there) if there else None

    def _sealed(self, place: bytes) -> str:
        """The one way to write a place; only we can."""
        return urlsafe_b64encode(place + hmac.digest(self._key, place, "sha256")[:_SEAL]).decode()


def within(name: str, value: int, most: int) -> int:
    """`value`, when it is from 1 to `most`. Raises `BadInput`."""
    if not 1 <= value <= most:
        raise BadInput(f"`{name}` must be from 1 to {most}, not {value}.")
    return value
