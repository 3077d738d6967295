"""The GraphQL schema, built once; `schema.graphql` is what it prints. `graphql_http.py` executes it."""

import strawberry
from strawberry.schema.config import StrawberryConfig

from server.mutations import Mutation
from server.queries import Query
from server.scalars import SCALARS

schema = strawberry.Schema(
    query=Query,
    mutation=Mutation,
    config=StrawberryConfig(scalar_map=SCALARS),
)
