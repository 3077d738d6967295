"""Operations compiled into plans, which answer what graphql-core answers with a tenth of its work.

graphql-core decides anew for every value of every answer how it is resolved and completed. A plan has decided it once for
all answers: what is an attribute is taken as it is, of a list column by column, and only what needs a resolver has one
called. Whatever is unusual (a directive, a union, null where there may be none, a resolver that raises) is left to the
ordinary way, which says what is wrong with it: a query changes nothing, so it may be asked twice.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, cast

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    Undefined,
    VariableDefinitionNode,
    coerce_input_value,
    get_nullable_type,
    is_leaf_type,
    is_non_null_type,
)
from graphql.execution.get_variable_signature import GraphQLVariableSignature, get_variable_signature
from graphql.execution.values import VariableValues, VariableValueSource, get_variable_values

from jobs.database import DatabaseUnavailable
from server.plan_compiler import Compiler
from server.plan_parts import Asking, Later, Unusual

__all__ = ["Plan", "Unusual"]


class Plan:
    """One query, ready for any variables."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, node: OperationDefinitionNode) -> None:
        """Of a valid operation. Raises `Unusual` when it is nothing for a plan."""
        if node.operation is not OperationType.QUERY or node.directives or schema.query_type is None:
            raise Unusual
        self._schema = schema
        self._variables = node.variable_definitions or ()
        self._leaves = _leaves(schema, self._variables)
        compiler = Compiler(cast("Any", schema)._strawberry_schema, document)
        self._root = compiler.an_object(schema.query_type, [node.selection_set])
        self._awaited = tuple(compiler.awaited)

    async def data(self, context: object, variables: Mapping[str, Any]) -> dict[str, Any]:
        """What is asked for. Raises `DatabaseUnavailable`, and `Unusual` for all else that goes wrong."""
        asking = Asking(context, self._coerced(variables), self._awaited)
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

    def _coerced(self, given: Mapping[str, Any]) -> VariableValues:
        """As `get_variable_values` does it, which works out for each request anew what the variables are."""
        if self._leaves is None:
            values = get_variable_values(self._schema, self._variables, dict(given))
            if isinstance(values, list):  # errors
                raise Unusual
            return values
        sources, coerced = {}, {}
        for leaf in self._leaves:
            value = given.get(leaf.name, Undefined)
            sources[leaf.name] = VariableValueSource(leaf, value)
            if value is Undefined and not is_non_null_type(leaf.type):
                continue
            if (known := coerce_input_value(value, leaf.type)) is Undefined:
                raise Unusual
            coerced[leaf.name] = known
        return VariableValues(sources, coerced)


def _leaves(
    schema: GraphQLSchema, variables: Iterable[VariableDefinitionNode]
) -> list[GraphQLVariableSignature] | None:
    """The variables, if each is a scalar or an enum that has no default."""
    found = [get_variable_signature(schema, variable) for variable in variables]
    leaves = [one for one in found if not isinstance(one, GraphQLError) and one.default is None]
    if len(leaves) < len(found) or not all(is_leaf_type(get_nullable_type(one.type)) for one in leaves):
        return None
    return leaves
