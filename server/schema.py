"""The GraphQL schema, built once; `schema.graphql` is what it prints."""

from typing import Any

import strawberry
from graphql import GraphQLError
from strawberry.extensions import ParserCache, ValidationCache
from strawberry.schema.config import StrawberryConfig
from strawberry.types.execution import ExecutionContext, ExecutionResult, PreExecutionError

from server.context import Context
from server.errors import told
from server.mutations import Mutation
from server.queries import Query
from server.scalars import SCALARS

_DOCUMENTS = 256  #: whose parsing and validation are remembered; clients send the same few again and again


class Schema(strawberry.Schema):
    """Answers documents; every error that leaves it has a code and says nothing of our insides."""

    async def execute(self, *args: Any, **kwargs: Any) -> ExecutionResult:
        """As Strawberry's, with `errors` as the client may see them."""
        result = await super().execute(*args, **kwargs)
        if result.errors:
            context = kwargs.get("context_value")
            request_id = context.request_id if isinstance(context, Context) else ""
            executed = not isinstance(result, PreExecutionError)
            result.errors = [told(error, request_id, executed=executed) for error in result.errors]
        return result

    def process_errors(
        self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None
    ) -> None:
        """`told` logs what is worth it; Strawberry would print the client's whole document."""


schema = Schema(
    query=Query,
    mutation=Mutation,
    config=StrawberryConfig(scalar_map=SCALARS),
    extensions=[lambda: ParserCache(maxsize=_DOCUMENTS), lambda: ValidationCache(maxsize=_DOCUMENTS)],
)
