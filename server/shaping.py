"""Values that need no resolver, shaped many at a time.

graphql-core resolves and completes each leaf by itself, which for a curve of 100 points takes ten times as long as
everything else. Most leaves of ours are attributes of what a resolver returned. Those are taken as they are: a list
column by column, an object's field without the machinery of a resolver. Whatever is unusual about a value (null where
there may be none, a number out of range) is left to the ordinary way, which says what is wrong with it.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any

from graphql import (
    GraphQLBoolean,
    GraphQLField,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLLeafType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    GraphQLSchema,
    GraphQLString,
    Undefined,
    is_leaf_type,
)
from graphql.pyutils import Path
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.field import StrawberryField

_LARGEST_INT = 2**31 - 1


class NotPlain(Exception):
    """The ordinary way must be taken."""


class PlainField:
    """A field that is an attribute and a leaf."""

    def __init__(self, attribute: str, kind: GraphQLLeafType, *, nullable: bool) -> None:
        self._get: Callable[[Any], Any] = attrgetter(attribute)
        self._coerce = kind.coerce_output_value
        self._passes = _PASSES.get(kind.name)
        self._nullable = nullable

    def value(self, source: object) -> Any:
        """Of one object. Raises anything for what is not as it should be."""
        return self._completed(self._get(source))

    def column(self, sources: Sequence[object]) -> list[Any]:
        """Of many objects. Raises as `value`."""
        values = list(map(self._get, sources))
        kinds = set(map(type, values))
        if self._nullable and None in values:
            kinds.discard(type(None))
            measured = [value for value in values if value is not None]
        else:
            measured = values
        if self._passes is not None and self._passes(kinds, measured):
            return values
        return [self._completed(value) for value in values]

    def _completed(self, value: Any) -> Any:
        if value is None:
            if self._nullable:
                return None
            raise NotPlain
        coerced = self._coerce(value)
        if coerced is None or coerced is Undefined:
            raise NotPlain
        return coerced


class ShapingExecutor(StrawberryGraphQLCoreExecutionContext):
    """graphql-core's executor, with two short cuts."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._plain = plain_fields(self.schema)

    def execute_field(
        self,
        parent_type: GraphQLObjectType,
        source: Any,
        field_details_list: Any,
        path: Path,
        position_context: Any,
    ) -> Any:
        """One field of one object."""
        plain = self._plain.get((parent_type.name, field_details_list[0].node.name.value))
        if plain is not None:
            try:
                return plain.value(source)
            except Exception:  # noqa: BLE001, S110 - whatever it is, the ordinary way finds it again and tells it
                pass
        return super().execute_field(parent_type, source, field_details_list, path, position_context)

    def complete_list_value(
        self,
        return_type: GraphQLList[GraphQLOutputType],
        field_details_list: Any,
        info: GraphQLResolveInfo[Any],
        path: Path,
        result: Any,
        position_context: Any,
    ) -> Any:
        """One list."""
        if type(result) is list:
            try:
                return self._shaped(return_type.of_type, field_details_list, result)
            except Exception:  # noqa: BLE001, S110 - likewise
                pass
        return super().complete_list_value(
            return_type, field_details_list, info, path, result, position_context
        )

    def _shaped(self, item_type: GraphQLOutputType, field_details_list: Any, items: list[Any]) -> list[Any]:
        kind = item_type.of_type if isinstance(item_type, GraphQLNonNull) else item_type
        if not isinstance(kind, GraphQLObjectType) or kind.is_type_of is not None:
            raise NotPlain
        selected = self.collect_subfields(kind, field_details_list)[0]
        columns: list[list[Any]] = []
        for field_details in selected.values():
            name = field_details[0].node.name.value
            if name == "__typename":
                columns.append([kind.name] * len(items))
                continue
            if (plain := self._plain.get((kind.name, name))) is None:
                raise NotPlain
            columns.append(plain.column(items))
        if not columns:  # all skipped: an empty object for each
            raise NotPlain
        names = tuple(selected)
        return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


@lru_cache(maxsize=16)
def plain_fields(schema: GraphQLSchema) -> dict[tuple[str, str], PlainField]:
    """The plain fields of all types of `schema`, by the names of type and field."""
    return {
        (kind.name, name): plain
        for kind in schema.type_map.values()
        if isinstance(kind, GraphQLObjectType)
        for name, field in kind.fields.items()
        if (plain := _plain(field)) is not None
    }


def _plain(field: GraphQLField) -> PlainField | None:
    about = field.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
    kind = field.type.of_type if isinstance(field.type, GraphQLNonNull) else field.type
    nullable = kind is field.type
    if (
        not isinstance(about, StrawberryField)
        or not about.is_basic_field
        or field.args
        or not is_leaf_type(kind)
    ):
        return None
    return PlainField(about.python_name, kind, nullable=nullable)


# Whether a column of these types is sent as it is: each asks once of many values what graphql-core asks of each.


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


_PASSES: dict[str, Callable[[set[type], Sequence[Any]], bool]] = {
    GraphQLFloat.name: _all_finite,
    GraphQLInt.name: _all_32_bit,
    GraphQLString.name: _all_text,
    GraphQLID.name: _all_text,
    GraphQLBoolean.name: _all_yes_or_no,
}
