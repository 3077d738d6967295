"""What a plan is made of: how values of each type become what is sent."""

import asyncio
import math
from array import array
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, partial
from operator import attrgetter
from types import NoneType
from typing import Any, Protocol, cast

import msgspec
from graphql import (
    GraphQLBoolean,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLLeafType,
    GraphQLObjectType,
    GraphQLString,
    Undefined,
)
from graphql.execution.values import VariableValues

from jobs.domain.metrics import Curve

_zone = attrgetter("tzinfo")


class Unusual(Exception):
    """The ordinary way must be taken."""


class Asking:
    """One execution: to resolvers it is graphql-core's `info`, of which they use the context alone."""

    __slots__ = ("awaited", "context", "tasks", "variables")

    def __init__(self, context: object, variables: VariableValues, awaited: "Sequence[Awaited]" = ()) -> None:
        """`awaited`: all that the whole answer will wait for, however deep."""
        self.context, self.variables, self.awaited = context, variables, awaited
        self.tasks: list[asyncio.Task[Any]] = []

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Have `work` done beside what else is going on."""
        task = asyncio.create_task(work)
        self.tasks.append(task)
        return task


@dataclass(slots=True)
class Awaited:
    """A field whose resolver waits for something: `Type.python_name`, and what it will be called with."""

    name: str
    arguments: Callable[[Asking], dict[str, Any]]


class Later:
    """A value that is still to be made, by a coroutine that nobody has begun."""

    __slots__ = ("make",)

    def __init__(self, make: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        self.make = make


class Kind(Protocol):
    """How the values of a type become what is sent."""

    def complete(self, value: Any, asking: Asking) -> Any:
        """A value as it is sent, or one `Later`. Raises anything for what is not as it should be."""


@dataclass(slots=True)
class NonNull:
    """What may not be null."""

    of: Kind

    def complete(self, value: Any, asking: Asking) -> Any:
        if value is None:
            raise Unusual
        return self.of.complete(value, asking)


class Leaf:
    """A scalar or an enum."""

    def __init__(self, kind: GraphQLLeafType) -> None:
        self._coerce = kind.coerce_output_value
        self._passes = _PASSES.get(kind.name)

    def complete(self, value: Any, _: object = None) -> Any:
        if value is None:
            return None
        coerced = self._coerce(value)
        if coerced is None or coerced is Undefined:
            raise Unusual
        return coerced

    def column(self, values: Sequence[Any], *, nullable: bool) -> Sequence[Any]:
        """Many values at once."""
        kinds = set(map(type, values))
        if NoneType not in kinds:
            return self._all(values, kinds)
        if not nullable:
            raise Unusual
        kinds.discard(NoneType)
        there = iter(self._all([value for value in values if value is not None], kinds))
        return [None if value is None else next(there) for value in values]

    def _all(self, values: Sequence[Any], kinds: set[type]) -> Sequence[Any]:
        if self._passes is not None and self._passes(kinds, values):
            return values
        coerced = list(map(self._coerce, values))
        if None in coerced or Undefined in coerced:
            raise Unusual
        return coerced


@dataclass(slots=True)
class Listed:
    """A list."""

    of: Kind

    def complete(self, value: Any, asking: Asking) -> Any:
        if value is None:
            return None
        if type(value) not in (list, Curve):
            raise Unusual
        if isinstance(self.of, NonNull) and isinstance(self.of.of, Object) and not self.of.of.resolved:
            return self.of.of.rows(value, asking)
        items = [self.of.complete(item, asking) for item in value]
        if not _has_later(items):
            return items
        # Side by side, so that what they load is loaded together; the parts of one object come after one another.
        begun = [asking.start(item.make()) if type(item) is Later else item for item in items]
        return Later(partial(_ended, begun))


@dataclass(slots=True)
class Attribute:
    """A field that is an attribute and a leaf."""

    name: str
    leaf: Leaf
    nullable: bool
    get: Callable[[Any], Any] = field(init=False)

    def __post_init__(self) -> None:
        self.get = attrgetter(self.name)

    def of(self, source: object) -> Any:
        value = self.leaf.complete(self.get(source))
        if value is None and not self.nullable:
            raise Unusual
        return value

    def column(self, sources: Sequence[object]) -> Sequence[Any]:
        """Of many objects; a curve's are as the database keeps them, which refuses what cannot be sent."""
        if type(sources) is Curve:
            return sources.columns[self.name]
        return self.leaf.column(list(map(self.get, sources)), nullable=self.nullable)


@dataclass(slots=True)
class Resolved:
    """A field that has a resolver."""

    resolve: Callable[[Any, Asking], Any]
    kind: Kind
    is_async: bool

    def of(self, source: object, asking: Asking) -> Any:
        if self.is_async:
            return Later(partial(self._later, source, asking))
        return self.kind.complete(self.resolve(source, asking), asking)

    async def _later(self, source: object, asking: Asking) -> Any:
        completed = self.kind.complete(await self.resolve(source, asking), asking)
        return await completed.make() if type(completed) is Later else completed


@dataclass
class Object:
    """An object: which names it has in the answer, and where the value of each comes from."""

    type: GraphQLObjectType
    names: list[str] = field(default_factory=list)  #: in the answer, in the document's order
    constants: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, Attribute] = field(default_factory=dict)
    resolved: dict[str, Resolved] = field(default_factory=dict)

    @cached_property
    def row(self) -> Callable[..., Any]:
        """Makes an object of its values in the order of the names."""
        places = {f"at_{place}": name for place, name in enumerate(self.names)}
        return msgspec.defstruct(self.type.name, list(places), rename=places, gc=False)

    def complete(self, value: Any, asking: Asking) -> Any:
        if value is None:
            return None
        self._check(value, asking)
        return self.of(value, asking)

    def of(self, source: Any, asking: Asking) -> Any:
        """As `complete`, also for the root, which has no source."""
        data: dict[str, Any] = dict.fromkeys(self.names) | self.constants
        for name, attribute in self.attributes.items():
            data[name] = attribute.of(source)
        for name, resolved in self.resolved.items():
            data[name] = resolved.of(source, asking)
        return Later(partial(_whole, data)) if _has_later(data.values()) else data

    def rows(self, sources: Sequence[Any], asking: Asking) -> list[Any]:
        """Many objects without resolvers, as structs, which are made and encoded faster than dictionaries."""
        alike = sources if type(sources) is not Curve else [sources[0]] if sources else []
        for source in {type(source): source for source in alike}.values():  # one of a type stands for all
            self._check(source, asking)
        columns = [
            [self.constants[name]] * len(sources)
            if name in self.constants
            else self.attributes[name].column(sources)
            for name in self.names
        ]
        return list(map(self.row, *columns))

    def _check(self, value: object, asking: Asking) -> None:
        is_type_of = self.type.is_type_of
        if value is None or (is_type_of is not None and is_type_of(value, cast("Any", asking)) is not True):
            raise Unusual


async def _ended(items: list[Any]) -> list[Any]:
    return [await item if isinstance(item, asyncio.Task) else item for item in items]


async def _whole(data: dict[str, Any]) -> dict[str, Any]:
    for name, value in data.items():
        if type(value) is Later:
            data[name] = await value.make()
    return data


def _has_later(values: Iterable[Any]) -> bool:
    return Later in map(type, values)


# Whether a column of values of these types is sent as it is: each asks once what graphql-core asks of every value.


def _all_finite(kinds: set[type], values: Sequence[Any]) -> bool:
    return kinds <= {float} and math.isfinite(sum(values))  # neither NaN nor infinity is ever cancelled out


def _all_32_bit(kinds: set[type], values: Sequence[Any]) -> bool:
    if not kinds <= {int}:
        return False
    try:
        array("i", values)
    except OverflowError:
        return False
    return True


def _all_text(kinds: set[type], _: Sequence[Any]) -> bool:
    return kinds <= {str}


def _all_yes_or_no(kinds: set[type], _: Sequence[Any]) -> bool:
    return kinds <= {bool}


def _all_utc(kinds: set[type], values: Sequence[Any]) -> bool:
    # Encoded as `scalars.instant` writes them.
    return kinds <= {datetime} and set(map(_zone, values)) <= {UTC}


_PASSES: dict[str, Callable[[set[type], Sequence[Any]], bool]] = {
    GraphQLFloat.name: _all_finite,
    GraphQLInt.name: _all_32_bit,
    GraphQLString.name: _all_text,
    GraphQLID.name: _all_text,
    GraphQLBoolean.name: _all_yes_or_no,
    "DateTime": _all_utc,
}
