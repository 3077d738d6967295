"""From a document to the parts of its plan: fragments are spread, and each field's way is decided once."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any, cast

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLField,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    InlineFragmentNode,
    SelectionNode,
    SelectionSetNode,
    VariableNode,
    get_nullable_type,
    is_leaf_type,
    is_non_null_type,
    is_required_argument,
    is_scalar_type,
    print_ast,
)
from graphql.execution.values import get_argument_values
from strawberry import Schema
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.arguments import convert_arguments
from strawberry.types.field import StrawberryField

from server.plan_parts import (
    Asking,
    Attribute,
    Awaited,
    Kind,
    Leaf,
    Listed,
    NonNull,
    Object,
    Resolved,
    Unusual,
)


class Compiler:
    """Makes the parts of a plan. Raises `Unusual` for what none can be made of."""

    def __init__(self, schema: Schema, document: DocumentNode) -> None:
        self._strawberry = schema
        self.awaited: list[Awaited] = []  #: what the parts made so far wait for
        self._fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }

    def an_object(self, type_: GraphQLObjectType, selections: Sequence[SelectionSetNode]) -> Object:
        """How an object of that type is shown with all these selections."""
        made = Object(type_)
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

    def _add(self, made: Object, name: str, field: GraphQLField, nodes: list[FieldNode]) -> None:
        about = (field.extensions or {}).get(GraphQLCoreConverter.DEFINITION_BACKREF)
        if not isinstance(about, StrawberryField) or about.extensions:
            raise Unusual
        kind = self._kind(field.type, nodes)
        bare = kind.of if isinstance(kind, NonNull) else kind
        if about.is_basic_field and isinstance(bare, Leaf):
            made.attributes[name] = Attribute(about.python_name, bare, nullable=bare is kind)
            return
        arguments = _arguments(self._strawberry, about, field, nodes[0])
        if about.is_async:
            self.awaited.append(Awaited(f"{made.type.name}.{about.python_name}", arguments))
        made.resolved[name] = Resolved(_resolver(about, arguments), kind, about.is_async)

    def _kind(self, type_: GraphQLOutputType, nodes: list[FieldNode]) -> Kind:
        if isinstance(type_, GraphQLNonNull):
            return NonNull(self._kind(type_.of_type, nodes))
        if isinstance(type_, GraphQLList):
            return Listed(self._kind(type_.of_type, nodes))
        if is_leaf_type(type_):
            return Leaf(type_)
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
    takes_self, call = function.self_parameter is not None, cast("Callable[..., Any]", function.wrapped_func)

    def resolve(source: Any, asking: Asking) -> Any:
        given = arguments(asking) | dict.fromkeys(sources, source)
        if info:
            given[info] = asking
        return call(source, **given) if takes_self else call(**given)

    return resolve


def _arguments(
    schema: Schema, about: StrawberryField, field: GraphQLField, node: FieldNode
) -> Callable[[Asking], dict[str, Any]]:
    """By the names in Python."""

    def converted(given: dict[str, Any]) -> dict[str, Any]:
        registry = schema.schema_converter.scalar_registry
        return convert_arguments(given, about.arguments, scalar_registry=registry, config=schema.config)

    scalars = {
        argument.name.value: argument.value.name.value
        for argument in node.arguments or ()
        if isinstance(argument.value, VariableNode)
        and is_scalar_type(get_nullable_type(field.args[argument.name.value].type))
    }
    others = tuple(argument for argument in node.arguments or () if argument.name.value not in scalars)
    if any("$" in print_ast(argument) for argument in others):
        return lambda asking: converted(get_argument_values(field, node, asking.variables))
    absent = {
        name: arg for name, arg in field.args.items() if name not in scalars or not is_required_argument(arg)
    }
    try:
        constant = converted(
            get_argument_values(GraphQLField(field.type, absent), FieldNode(name=node.name, arguments=others))
        )
    except GraphQLError as exc:
        raise Unusual from exc
    if not scalars:
        return lambda _: constant
    python_names = {
        schema.config.name_converter.from_argument(one): one.python_name for one in about.arguments
    }
    varying = [
        (python_names[name], variable, is_non_null_type(field.args[name].type))
        for name, variable in scalars.items()
    ]

    def arguments(asking: Asking) -> dict[str, Any]:
        """A variable that is a scalar is the argument, as it was coerced."""
        coerced, given = asking.variables.coerced, constant.copy()
        for name, variable, is_needed in varying:
            if variable in coerced:
                given[name] = coerced[variable]
                if is_needed and given[name] is None:
                    raise Unusual
        return given

    return arguments
