"""Operations compiled into plans, which answer what graphql-core answers with a tenth of its work.

graphql-core decides anew for every value of every answer how it is resolved and completed. A plan has decided it once for
all answers: what is an attribute is taken as it is, of a list column by column, and only what needs a resolver has one
called. Whatever is unusual (a directive, a union, null where there may be none, a resolver that raises) is left to the
ordinary way, which says what is wrong with it: a query changes nothing, so it may be asked twice.
"""

import asyncio
import math
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, partial
from operator import attrgetter
from types import NoneType
from typing import Any, Protocol, cast

import msgspec
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLBoolean,
    GraphQLError,
    GraphQLField,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLLeafType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    GraphQLString,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionNode,
    SelectionSetNode,
    Undefined,
    is_leaf_type,
    print_ast,
)
from graphql.execution.values import VariableValues, get_argument_values, get_variable_values
from strawberry import Schema
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.arguments import convert_arguments
from strawberry.types.field import StrawberryField

from jobs.database import DatabaseUnavailable

_LARGEST_INT = 2**31 - 1
_zone = attrgetter("tzinfo")


class Unusual(Exception):
    """The ordinary way must be taken."""


class Asking:
    """One execution: to resolvers it is graphql-core's `info`, of which they use the context alone."""

    __slots__ = ("context", "tasks", "variables")

    def __init__(self, context: object, variables: VariableValues) -> None:
        self.context, self.variables = context, variables
        self.tasks: list[asyncio.Task[Any]] = []

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Have `work` done beside what else is going on."""
        task = asyncio.create_task(work)
        self.tasks.append(task)
        return task


class Later:
    """A value that is still to be made, by a coroutine that nobody has begun."""

    __slots__ = ("make",)

    def __init__(self, make: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        self.make = make


class Plan:
    """One query, ready for any variables."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, node: OperationDefinitionNode) -> None:
        """Of a valid operation. Raises `Unusual` when it is nothing for a plan."""
        if node.operation is not OperationType.QUERY or node.directives or schema.query_type is None:
            raise Unusual
        self._schema = schema
        self._variables = node.variable_definitions or ()
        self._root = _Compiler(cast("Any", schema)._strawberry_schema, document).an_object(
            schema.query_type, [node.selection_set]
        )

    async def data(self, context: object, variables: Mapping[str, Any]) -> dict[str, Any]:
        """What is asked for. Raises `DatabaseUnavailable`, and `Unusual` for all else that goes wrong."""
        values = get_variable_values(self._schema, self._variables, dict(variables))
        if isinstance(values, list):  # errors
            raise Unusual
        asking = Asking(context, values)
        try:
            data = self._root.of(None, asking)
            answer: dict[str, Any] = await data.make() if type(data) is Later else data
        except asyncio.CancelledError:
            for task in asking.tasks:
                task.cancel()
            raise
        except (DatabaseUnavailable, Unusual):
            raise
        except Exception as exc:  # the ordinary way finds it again, and tells it
            raise Unusual from exc
        finally:
            if asking.tasks:
                await asyncio.gather(*asking.tasks, return_exceptions=True)
        return answer


class _Kind(Protocol):
    """How the values of a type become what is sent."""

    def complete(self, value: Any, asking: Asking) -> Any:
        """A value as it is sent, or one `Later`. Raises anything for what is not as it should be."""


@dataclass(slots=True)
class _NonNull:
    of: _Kind

    def complete(self, value: Any, asking: Asking) -> Any:
        if value is None:
            raise Unusual
        return self.of.complete(value, asking)


class _Leaf:
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

    def column(self, values: list[Any]) -> list[Any]:
        """Many values at once."""
        kinds = set(map(type, values))
        if NoneType not in kinds:
            return self._all(values, kinds)
        kinds.discard(NoneType)
        there = iter(self._all([value for value in values if value is not None], kinds))
        return [None if value is None else next(there) for value in values]

    def _all(self, values: list[Any], kinds: set[type]) -> list[Any]:
        if self._passes is not None and self._passes(kinds, values):
            return values
        coerced = list(map(self._coerce, values))
        if None in coerced or Undefined in coerced:
            raise Unusual
        return coerced


@dataclass(slots=True)
class _List:
    of: _Kind

    def complete(self, value: Any, asking: Asking) -> Any:
        if value is None:
            return None
        if type(value) is not list:
            raise Unusual
        if isinstance(self.of, _NonNull) and isinstance(self.of.of, _Object) and not self.of.of.resolved:
            return self.of.of.rows(value, asking)
        items = [self.of.complete(item, asking) for item in value]
        if not _has_later(items):
            return items
        # Side by side, so that what they load is loaded together; the parts of one object come after one another.
        begun = [asking.start(item.make()) if type(item) is Later else item for item in items]
        return Later(partial(_ended, begun))


@dataclass(slots=True)
class _Attribute:
    """A field that is an attribute and a leaf."""

    get: Callable[[Any], Any]
    leaf: _Leaf
    nullable: bool

    def of(self, source: object) -> Any:
        value = self.leaf.complete(self.get(source))
        if value is None and not self.nullable:
            raise Unusual
        return value

    def column(self, sources: Iterable[object]) -> list[Any]:
        values = self.leaf.column(list(map(self.get, sources)))
        if not self.nullable and None in values:
            raise Unusual
        return values


@dataclass(slots=True)
class _Resolved:
    """A field that has a resolver."""

    resolve: Callable[[Any, Asking], Any]
    kind: _Kind
    is_async: bool

    def of(self, source: object, asking: Asking) -> Any:
        if self.is_async:
            return Later(partial(self._later, source, asking))
        return self.kind.complete(self.resolve(source, asking), asking)

    async def _later(self, source: object, asking: Asking) -> Any:
        completed = self.kind.complete(await self.resolve(source, asking), asking)
        return await completed.make() if type(completed) is Later else completed


@dataclass
class _Object:
    type: GraphQLObjectType
    names: list[str] = field(default_factory=list)  #: in the answer, in the document's order
    constants: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, _Attribute] = field(default_factory=dict)
    resolved: dict[str, _Resolved] = field(default_factory=dict)

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

    def rows(self, sources: list[Any], asking: Asking) -> list[Any]:
        """Many objects without resolvers, as structs, which are made and encoded faster than dictionaries."""
        for kind in {type(source): source for source in sources}.values():  # one of each is all
            self._check(kind, asking)
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


class _Compiler:
    """Makes the parts of a plan. Raises `Unusual` for what none can be made of."""

    def __init__(self, schema: Schema, document: DocumentNode) -> None:
        self._strawberry = schema
        self._fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }

    def an_object(self, type_: GraphQLObjectType, selections: Sequence[SelectionSetNode]) -> _Object:
        """How an object of that type is shown with all these selections."""
        made = _Object(type_)
        for name, nodes in self._fields(type_, selections).items():
            made.names.append(name)
            asked = nodes[0].name.value
            if asked == "__typename":
                made.constants[name] = type_.name
                continue
            if (field := type_.fields.get(asked)) is None:  # of the schema itself
                raise Unusual
            self._add(made, name, field, nodes)
        if not made.names:
            raise Unusual
        return made

    def _add(self, made: _Object, name: str, field: GraphQLField, nodes: list[FieldNode]) -> None:
        about = (field.extensions or {}).get(GraphQLCoreConverter.DEFINITION_BACKREF)
        if not isinstance(about, StrawberryField) or about.extensions:
            raise Unusual
        kind = self._kind(field.type, nodes)
        bare = kind.of if isinstance(kind, _NonNull) else kind
        if about.is_basic_field and isinstance(bare, _Leaf):
            made.attributes[name] = _Attribute(attrgetter(about.python_name), bare, nullable=bare is kind)
            return
        resolve = _resolver(about, _arguments(self._strawberry, about, field, nodes[0]))
        made.resolved[name] = _Resolved(resolve, kind, about.is_async)

    def _kind(self, type_: GraphQLOutputType, nodes: list[FieldNode]) -> _Kind:
        if isinstance(type_, GraphQLNonNull):
            return _NonNull(self._kind(type_.of_type, nodes))
        if isinstance(type_, GraphQLList):
            return _List(self._kind(type_.of_type, nodes))
        if is_leaf_type(type_):
            return _Leaf(type_)
        if isinstance(type_, GraphQLObjectType):
            return self.an_object(type_, [node.selection_set for node in nodes if node.selection_set])
        raise Unusual  # an interface or a union: each value has a type of its own

    def _fields(
        self, type_: GraphQLObjectType, selections: Iterable[SelectionSetNode]
    ) -> dict[str, list[FieldNode]]:
        """What is asked of an object of that type, by the names in the answer."""
        fields: dict[str, list[FieldNode]] = {}
        for selection in self._flat(type_, selections, set()):
            name = selection.alias or selection.name
            fields.setdefault(name.value, []).append(selection)
        return fields

    def _flat(
        self, type_: GraphQLObjectType, selections: Iterable[SelectionSetNode], spread: set[str]
    ) -> Iterator[FieldNode]:
        """All fields, each fragment's once: fragments that spread others twice would double with every level."""
        for node in (node for selection in selections for node in selection.selections):
            if node.directives:
                raise Unusual
            if isinstance(node, FieldNode):
                yield node
                continue
            fragment: SelectionNode | FragmentDefinitionNode = node
            if isinstance(node, FragmentSpreadNode):
                if node.name.value in spread:
                    continue
                spread.add(node.name.value)
                fragment = self._fragments[node.name.value]
            if fragment.directives or not isinstance(fragment, InlineFragmentNode | FragmentDefinitionNode):
                raise Unusual
            on = fragment.type_condition
            if on is None or on.name.value in {type_.name, *(one.name for one in type_.interfaces)}:
                yield from self._flat(type_, [fragment.selection_set], spread)


def _resolver(
    about: StrawberryField, arguments: Callable[[Asking], dict[str, Any]]
) -> Callable[[Any, Asking], Any]:
    """Calls a field's function with what it wants to be given, as `strawberry.schema.schema_converter` would."""
    function = about.base_resolver
    if function is None:
        get = attrgetter(about.python_name)
        return lambda source, _: get(source)
    sources = [named.name for named in (function.parent_parameter, function.root_parameter) if named]
    info = function.info_parameter.name if function.info_parameter else None
    takes_self = function.self_parameter is not None

    def resolve(source: Any, asking: Asking) -> Any:
        given = arguments(asking) | dict.fromkeys(sources, source)
        if info:
            given[info] = asking
        return function(source, **given) if takes_self else function(**given)

    return resolve


def _arguments(
    schema: Schema, about: StrawberryField, field: GraphQLField, node: FieldNode
) -> Callable[[Asking], dict[str, Any]]:
    """By the names in Python."""

    def converted(given: dict[str, Any]) -> dict[str, Any]:
        registry = schema.schema_converter.scalar_registry
        return convert_arguments(given, about.arguments, scalar_registry=registry, config=schema.config)

    if any("$" in print_ast(argument) for argument in node.arguments or ()):
        return lambda asking: converted(get_argument_values(field, node, asking.variables))
    try:
        constant = converted(get_argument_values(field, node, VariableValues({}, {})))
    except GraphQLError as exc:
        raise Unusual from exc
    return lambda _: constant


# Whether a column of values of these types is sent as it is: each asks once what graphql-core asks of every value.


def _all_finite(kinds: set[type], values: Sequence[Any]) -> bool:
    return kinds <= {float} and math.isfinite(sum(values))  # neither NaN nor infinity is ever cancelled out


def _all_32_bit(kinds: set[type], values: Sequence[Any]) -> bool:
    return kinds <= {int} and all(
        abs(bound) <= _LARGEST_INT for bound in (min(values, default=0), max(values, default=0))
    )


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
