"""What a document may ask for at once, counted in one walk that remembers fragments.

Every fragment is walked once however often it is spread, so a document takes time in proportion to its length. What a
spread brings counts at each place where it is spread.

Cost: an object costs one point for each time it may be returned, which is the product of the page sizes above it
(`first`, `last`, `maxPoints`; their defaults where left out); a point of a metrics curve costs a tenth; a leaf nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    is_leaf_type,
)

TOKENS = 1_000
DEPTH = 10
INTROSPECTION_DEPTH = 16  #: below __schema and __type: tools ask for types nine levels deep
ALIASES = 15
ROOT_FIELDS = 10
MUTATIONS = 1
DIRECTIVES = 20
FIELDS = 60  #: side by side, of one object: validation compares each with each
SELECTIONS = 3_000  #: with everything that fragments bring; only their abuse reaches it
COST = 1_000

_PAGE_ARGUMENTS = ("first", "last", "maxPoints")
_TENTHS = 10
_LIGHT = {"MetricsPoint": 1}  # tenths of a point; everything else costs a whole one
_INTROSPECTION = 200 * _TENTHS
_ENOUGH = 10**12  # numbers stay small enough to be quick


@dataclass(slots=True)
class Size:
    """What a selection asks for; `cost` in tenths of a point, for one time that it is returned."""

    depth: int = 0
    introspection_depth: int = 0
    aliases: int = 0
    fields: int = 0  #: side by side, here
    acts: int = 0  #: those of them that are more than `__typename`
    widest: int = 0  #: the most fields side by side, anywhere below
    directives: int = 0
    selections: int = 0
    cost: int = 0

    def take(self, other: "Size") -> None:
        """Add what stands beside it."""
        self.depth = max(self.depth, other.depth)
        self.introspection_depth = max(self.introspection_depth, other.introspection_depth)
        self.aliases = min(self.aliases + other.aliases, _ENOUGH)
        self.fields = min(self.fields + other.fields, _ENOUGH)
        self.acts = min(self.acts + other.acts, _ENOUGH)
        self.widest = max(self.widest, other.widest)
        self.directives = min(self.directives + other.directives, _ENOUGH)
        self.selections = min(self.selections + other.selections, _ENOUGH)
        self.cost = min(self.cost + other.cost, _ENOUGH)


@dataclass
class Measure:
    """Measures the operations of one document; `read` collects the variables on which their cost depends."""

    schema: GraphQLSchema
    fragments: Mapping[str, FragmentDefinitionNode]
    variables: Mapping[str, Any]
    read: set[str] = field(default_factory=set)
    _known: dict[str, Size] = field(default_factory=dict)

    def operation(self, node: OperationDefinitionNode) -> Size:
        """The size of a whole operation."""
        size = self._set(node.selection_set, self.schema.get_root_type(node.operation))
        size.directives += len(node.directives or ())
        return size

    def _set(self, node: SelectionSetNode, parent: GraphQLNamedType | None) -> Size:
        size = Size()
        for selection in node.selections:
            if isinstance(selection, FieldNode):
                part = self._field(selection, parent)
            elif isinstance(selection, InlineFragmentNode):
                on = selection.type_condition
                part = self._set(
                    selection.selection_set, self.schema.get_type(on.name.value) if on else parent
                )
            else:
                assert isinstance(selection, FragmentSpreadNode)  # noqa: S101 - there are three kinds
                part = Size()
                part.take(self.fragment(selection.name.value))
            part.directives += len(selection.directives or ())
            part.selections += 1
            size.take(part)
        size.widest = max(size.widest, size.fields)
        return size

    def fragment(self, name: str) -> Size:
        """The size of a fragment, in one place."""
        if name not in self._known:
            self._known[name] = Size()  # what a fragment that spreads itself brings; validation refuses it
            if node := self.fragments.get(name):
                self._known[name] = self._set(
                    node.selection_set, self.schema.get_type(node.type_condition.name.value)
                )
                self._known[name].directives += len(node.directives or ())
        return self._known[name]

    def _field(self, node: FieldNode, parent: GraphQLNamedType | None) -> Size:
        name = node.name.value
        about = _field_of(parent, name)
        below = Size()
        if node.selection_set:
            below = self._set(node.selection_set, get_named_type(about.type) if about else None)
        size = Size(
            depth=1 + below.depth,
            introspection_depth=below.introspection_depth,
            aliases=below.aliases + (node.alias is not None),
            fields=1,
            acts=name != "__typename",
            widest=below.widest,
            directives=below.directives,
            selections=below.selections,
        )
        if name in ("__schema", "__type"):
            size.depth, size.introspection_depth, size.cost = 1, below.depth, _INTROSPECTION
        elif about is not None:
            size.cost = self._cost(node, about, below.cost)
        return size

    def _cost(self, node: FieldNode, about: GraphQLField, below: int) -> int:
        kind = get_named_type(about.type)
        if is_leaf_type(kind):
            return 0
        page = self._page_size(node, about)
        own = _LIGHT.get(kind.name, _TENTHS)
        return min((own * page if _is_list(about) else own) + below * page, _ENOUGH)

    def _page_size(self, node: FieldNode, about: GraphQLField) -> int:
        """How many there may be of what the field returns."""
        given = [
            size
            for argument in node.arguments or ()
            if argument.name.value in _PAGE_ARGUMENTS
            if (size := self._number(argument.value)) is not None
        ]
        if not given:
            defaults = (about.args[name].default_value for name in _PAGE_ARGUMENTS if name in about.args)
            given = [size for size in defaults if isinstance(size, int)]
        return min(max([*given, 1]), _ENOUGH)

    def _number(self, node: ValueNode) -> int | None:
        if isinstance(node, IntValueNode):
            return int(node.value[:12])
        if not isinstance(node, VariableNode):
            return None
        self.read.add(node.name.value)
        value = self.variables.get(node.name.value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return int(min(max(value, 0), _ENOUGH))


def static_flaws(
    operations: Sequence[tuple[OperationDefinitionNode, Size]], fragments: Iterable[Size]
) -> list[GraphQLError]:
    """What is too much in a document, whatever its variables are; it need not be valid."""
    flaws = []
    total = Size()
    for operation, size in operations:
        total.take(size)
        if operation.operation is OperationType.MUTATION:
            flaws.append(_over("TOO_MANY_MUTATIONS", "mutations in one request", size.acts, MUTATIONS))
        else:
            flaws.append(_over("TOO_MANY_ROOT_FIELDS", "fields at its root", size.acts, ROOT_FIELDS))
    # A fragment that is spread nowhere is validated all the same.
    total.widest = max([total.widest, *(fragment.widest for fragment in fragments)])
    flaws += [
        _over("QUERY_TOO_DEEP", "levels", total.depth, DEPTH),
        _over("QUERY_TOO_DEEP", "levels of introspection", total.introspection_depth, INTROSPECTION_DEPTH),
        _over("TOO_MANY_ALIASES", "aliases", total.aliases, ALIASES),
        _over("TOO_MANY_DIRECTIVES", "directives", total.directives, DIRECTIVES),
        _over("QUERY_TOO_LARGE", "fields side by side", total.widest, FIELDS),
        _over("QUERY_TOO_LARGE", "selections, its fragments spread", total.selections, SELECTIONS),
    ]
    return [flaw for flaw in flaws if flaw]


def cost_flaws(size: Size) -> list[GraphQLError]:
    """The one refusal of an operation that costs too much, if it does."""
    flaw = _over("QUERY_TOO_COSTLY", "points", -(-size.cost // _TENTHS), COST)
    return [flaw] if flaw else []


def _over(code: str, what: str, found: int, most: int) -> GraphQLError | None:
    if found <= most:
        return None
    said = f"{found:,}" if found < _ENOUGH // _TENTHS else "very many"
    return GraphQLError(
        f"The document has {said} {what}; at most {most:,} are allowed.",
        extensions={"code": code, "limit": most},
    )


def _field_of(parent: GraphQLNamedType | None, name: str) -> GraphQLField | None:
    if isinstance(parent, GraphQLObjectType | GraphQLInterfaceType):
        fields: Mapping[str, GraphQLField] = parent.fields
        return fields.get(name)
    return None


def _is_list(about: GraphQLField) -> bool:
    kind = about.type
    return isinstance(kind.of_type if isinstance(kind, GraphQLNonNull) else kind, GraphQLList)
