"""What holds of the schema as a whole: it breaks no client of the last release, pages as Relay asks, and has one style."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    build_schema,
    find_breaking_changes,
    get_named_type,
    print_ast,
)

ROOT = Path(__file__).parent.parent
SCHEMA = (ROOT / "schema.graphql").read_text()
SERVED = build_schema(SCHEMA)
BARE = re.sub(
    r'""".*?"""\n\s*', "", SCHEMA, flags=re.DOTALL
)  #: without descriptions, to take a line out of it
#: `schema.graphql` as the last release had it; a release replaces it (README, Development).
RELEASED = build_schema((ROOT / "tests" / "released.graphql").read_text())


def broken(before: GraphQLSchema, after: GraphQLSchema) -> list[str]:
    """What a client written for `before` would stumble over."""
    return [change.description for change in find_breaking_changes(before, after)]


def test_nothing_breaks_a_client_of_the_last_release() -> None:
    assert broken(RELEASED, SERVED) == []


@pytest.mark.parametrize(
    ("was", "is_now"),
    [
        ("  progress: Float!", ""),
        ("  progress: Float!", "  progress: Float"),
        ("  INVALID\n", "\n"),
        ("CancelJobSuccess | JobNotFound | JobNotCancellable", "CancelJobSuccess | JobNotFound"),
        ("  fileName: String!", "  fileName: String!\n  color: String!"),
        ("type CostRecord implements Node", "type CostRecord"),
    ],
)
def test_what_breaks_a_client_would_be_seen(was: str, is_now: str) -> None:
    assert was in BARE
    changed = build_schema(BARE.replace(was, is_now, 1))
    assert broken(SERVED, changed) != []
    assert broken(SERVED, SERVED) == []


def flaws_of_connections(schema: GraphQLSchema) -> Iterator[str]:
    """What https://relay.dev/graphql/connections.htm demands and is not so."""
    info = schema.type_map["PageInfo"]
    assert isinstance(info, GraphQLObjectType)
    for name, demanded in {
        "hasNextPage": "Boolean!",
        "hasPreviousPage": "Boolean!",
        "startCursor": "String",
        "endCursor": "String",
    }.items():
        if str(info.fields[name].type) != demanded:
            yield f"PageInfo.{name} is {info.fields[name].type}"
    for name, kind in objects(schema).items():
        if name.endswith("Connection"):
            of = name.removesuffix("Connection")
            yield from unlike(
                f"{name}.",
                kind,
                {
                    "edges": f"[{of}Edge!]!",
                    "pageInfo": "PageInfo!",
                    "nodes": f"[{of}!]!",
                    "totalCount": "Int!",
                },
            )
            edge = objects(schema).get(f"{of}Edge")
            if edge is None:
                yield f"{of}Edge is missing"
            else:
                yield from unlike(f"{of}Edge.", edge, {"node": f"{of}!", "cursor": "String!"})
        for field_name, field in kind.fields.items():
            if get_named_type(field.type).name.endswith("Connection"):
                yield from flaws_of_paging(f"{name}.{field_name}", field)


def flaws_of_paging(where: str, field: GraphQLField) -> Iterator[str]:
    """Forward: `first` and `after`."""
    nodes = (argument.ast_node for argument in field.args.values())
    written = [print_ast(node).splitlines()[-1] for node in nodes if node]
    for demanded in ("first: Int! = 20", "after: String"):
        if demanded not in written:
            yield f"{where} has no {demanded}"


def unlike(where: str, kind: GraphQLObjectType, demanded: dict[str, str]) -> Iterator[str]:
    """The fields of `kind` that are not there, or not of the demanded type."""
    for name, type_ in demanded.items():
        found = str(kind.fields[name].type) if name in kind.fields else "missing"
        if found != type_:
            yield f"{where}{name} is {found}"


def objects(schema: GraphQLSchema) -> dict[str, GraphQLObjectType]:
    """The object types that are ours."""
    return {
        name: kind
        for name, kind in schema.type_map.items()
        if isinstance(kind, GraphQLObjectType) and not name.startswith("__")
    }


def test_connections_are_as_relay_wants_them() -> None:
    assert [name for name in objects(SERVED) if name.endswith("Connection")] != []
    assert list(flaws_of_connections(SERVED)) == []


def test_a_connection_without_edges_or_a_page_without_an_argument_would_be_seen() -> None:
    for was, is_now in (
        ("edges: [JobEdge!]!", ""),
        ("startCursor: String", "startCursor: String!"),
        ("first: Int! = 20", "first: Int!"),
    ):
        assert was in BARE
        assert list(flaws_of_connections(build_schema(BARE.replace(was, is_now, 1)))) != []


def unlike_the_others(schema: GraphQLSchema) -> Iterator[str]:
    """Names and shapes that are not in the house's style."""
    for name, kind in schema.type_map.items():
        if name.startswith("__") or kind.ast_node is None:
            continue
        if not re.fullmatch(r"[A-Z][A-Za-z0-9]*", name):
            yield name
        if isinstance(kind, GraphQLInputObjectType) != name.endswith("Input") and name != "InvalidInput":
            yield f"{name}: inputs, and nothing else, end with Input"
        if isinstance(kind, GraphQLUnionType) != name.endswith("Result"):
            yield f"{name}: unions, and nothing else, end with Result"
        if isinstance(kind, GraphQLEnumType):
            yield from (
                f"{name}.{value}" for value in kind.values if not re.fullmatch(r"[A-Z][A-Z0-9_]*", value)
            )
        for field_name, field in getattr(kind, "fields", {}).items():
            names = [field_name, *getattr(field, "args", {})]
            yield from (f"{name}.{each}" for each in names if not re.fullmatch(r"[a-z][A-Za-z0-9]*", each))
            if getattr(field, "deprecation_reason", None) == "":
                yield f"{name}.{field_name} is deprecated without a reason"


def test_names_are_in_one_style() -> None:
    assert list(unlike_the_others(SERVED)) == []


def test_every_mutation_answers_with_what_can_go_wrong() -> None:
    mutations = SERVED.mutation_type
    assert mutations is not None
    for name, field in mutations.fields.items():
        answer = get_named_type(field.type)
        assert isinstance(answer, GraphQLUnionType), name
        failures = [kind for kind in answer.types if [face.name for face in kind.interfaces] == ["Error"]]
        assert failures or name == "markNotificationsRead", name
        assert len(failures) < len(answer.types), name
