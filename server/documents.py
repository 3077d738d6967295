"""Documents, ready to be executed: parsed, measured and validated once, and remembered by their text."""

import contextlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    IntValueNode,
    OperationDefinitionNode,
    OperationType,
    parse,
    validate,
)

from server import limits
from server.plans import Plan, Unusual

MOST_ERRORS = 5
_REMEMBERED = 256 * 1024  # characters of text; a parsed document takes some 200 times as much memory
_TOO_LONG = f"Syntax Error: Document contains more than {limits.TOKENS} tokens"
_COSTS = 64  # of one operation, by the page sizes that its variables ask for


class BadDocument(Exception):
    """A document that is not executed; `errors` say why, five at most."""

    def __init__(self, errors: list[GraphQLError]) -> None:
        self.errors = errors[:MOST_ERRORS]
        super().__init__(errors[0].message)


@dataclass(slots=True)
class Operation:
    """One operation of a valid document."""

    document: DocumentNode
    node: OperationDefinitionNode
    page_variables: tuple[str, ...]  #: those that say how much is asked for
    shows_one_job: bool  #: it is a query for `job` and for nothing beside it
    plan: Plan | None = None  #: None: graphql-core executes it
    refused: dict[tuple[object, ...], list[GraphQLError]] = field(default_factory=dict)


class Documents:
    """The documents that clients send again and again."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._known: OrderedDict[str, list[Operation]] = OrderedDict()
        self._characters = 0

    def operation(self, text: str, name: str | None) -> Operation:
        """The operation called `name`, or the only one. Raises `BadDocument`."""
        operations = self._known.get(text)
        if operations is None:
            operations = self._prepared(text)
            self._remember(text, operations)
        else:
            self._known.move_to_end(text)
        return _chosen(operations, name)

    def check_cost(self, operation: Operation, variables: Mapping[str, Any]) -> None:
        """Return when the operation may be executed with `variables`; else raise `BadDocument`."""
        given = {name: variables[name] for name in operation.page_variables if name in variables}
        key = tuple((name, repr(value)) for name, value in given.items())
        if key not in operation.refused:
            if len(operation.refused) >= _COSTS:
                operation.refused.clear()
            values = {**_defaults(operation.node), **given}
            measure = limits.Measure(self._schema, _fragments(operation.document), values)
            operation.refused[key] = limits.cost_flaws(measure.operation(operation.node))
        if flaws := operation.refused[key]:
            raise BadDocument(flaws)

    def _prepared(self, text: str) -> list[Operation]:
        try:
            document = parse(text, max_tokens=limits.TOKENS)
        except GraphQLError as exc:
            raise BadDocument([_too_long() if exc.message.startswith(_TOO_LONG) else exc]) from exc
        try:
            operations = self._measured(document)
        except RecursionError as exc:
            too_deep = GraphQLError(
                "The document is nested too deeply.", extensions={"code": "QUERY_TOO_DEEP"}
            )
            raise BadDocument([too_deep]) from exc
        if errors := validate(self._schema, document, max_errors=MOST_ERRORS):
            raise BadDocument(errors)
        for operation in operations:
            with contextlib.suppress(Unusual):
                operation.plan = Plan(self._schema, document, operation.node)
        return operations

    def _measured(self, document: DocumentNode) -> list[Operation]:
        measure = limits.Measure(self._schema, _fragments(document), {})
        nodes = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
        sizes = [(node, measure.operation(node)) for node in nodes]
        if flaws := limits.static_flaws(sizes, map(measure.fragment, measure.fragments)):
            raise BadDocument(flaws)
        page_variables = tuple(sorted(measure.read))
        return [Operation(document, node, page_variables, _shows_one_job(node)) for node in nodes]

    def _remember(self, text: str, operations: list[Operation]) -> None:
        self._known[text] = operations
        self._characters += len(text)
        while self._characters > _REMEMBERED:
            forgotten, _ = self._known.popitem(last=False)
            self._characters -= len(forgotten)


def _too_long() -> GraphQLError:
    message = f"The document is too long; at most {limits.TOKENS:,} tokens are allowed."
    return GraphQLError(message, extensions={"code": "QUERY_TOO_LARGE", "limit": limits.TOKENS})


def _chosen(operations: list[Operation], name: str | None) -> Operation:
    if name is None:
        if len(operations) == 1:
            return operations[0]
        message = "The document has several operations: say in operationName which one is meant."
        raise BadDocument([GraphQLError(message, extensions={"code": "OPERATION_NAME_NEEDED"})])
    for operation in operations:
        if operation.node.name and operation.node.name.value == name:
            return operation
    message = "The document has no operation with the name in operationName."
    raise BadDocument([GraphQLError(message, extensions={"code": "UNKNOWN_OPERATION"})])


def _shows_one_job(node: OperationDefinitionNode) -> bool:
    roots = node.selection_set.selections
    return (
        node.operation is OperationType.QUERY
        and len(roots) == 1
        and isinstance(roots[0], FieldNode)
        and roots[0].name.value == "job"
    )


def _fragments(document: DocumentNode) -> dict[str, FragmentDefinitionNode]:
    return {
        node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
    }


def _defaults(node: OperationDefinitionNode) -> dict[str, Any]:
    return {
        definition.variable.name.value: int(definition.default_value.value[:12])
        for definition in node.variable_definitions or ()
        if isinstance(definition.default_value, IntValueNode)
    }
