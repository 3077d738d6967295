"""The schema holds everything of the public contract under the same name and type; it may only add."""

from pathlib import Path
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    build_schema,
    print_ast,
)

from server.schema import schema

CONTRACT = build_schema((Path(__file__).parent / "contract.graphql").read_text())
SERVED = build_schema(schema.as_str())


def facts(served: GraphQLSchema) -> dict[str, str]:
    """Everything that a client may rely on, each with what it is."""
    found: dict[str, str] = {}
    for name, kind in served.type_map.items():
        if not name.startswith("__"):
            found[name] = type(kind).__name__
            found |= {f"{name}{member}": what for member, what in members(kind).items()}
    return found


def members(kind: GraphQLNamedType) -> dict[str, str]:
    """Fields with their types, arguments with types and defaults, values, interfaces, members of unions."""
    found: dict[str, str] = {}
    if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
        found |= {f" implements {face.name}": "yes" for face in kind.interfaces}
        for name, field in kind.fields.items():
            found[f".{name}"] = str(field.type)
            found |= {f".{name}({key}:)": given(argument) for key, argument in field.args.items()}
    elif isinstance(kind, GraphQLInputObjectType):
        found |= {f".{name}": given(field) for name, field in kind.fields.items()}
    elif isinstance(kind, GraphQLEnumType):
        found |= {f".{name}": "value" for name in kind.values}
    elif isinstance(kind, GraphQLUnionType):
        found |= {f" includes {member.name}": "yes" for member in kind.types}
    return found


def given(argument: Any) -> str:
    """An argument's type and default, as the schema writes them."""
    default = argument.ast_node.default_value
    return f"{argument.type} = {print_ast(default)}" if default else str(argument.type)


def test_everything_of_the_contract_is_served() -> None:
    served = facts(SERVED)
    assert {name: served.get(name) for name in facts(CONTRACT)} == facts(CONTRACT)


def test_nothing_that_is_added_must_be_given() -> None:
    added = {name: what for name, what in facts(SERVED).items() if name not in facts(CONTRACT)}
    assert "NotificationType.SUBMIT_PARKED" in added
    may_be_given = {name: what for name, what in added.items() if name.endswith(":)") or "Input." in name}
    assert [name for name, what in may_be_given.items() if what.endswith("!")] == []


def test_a_missing_argument_would_be_seen() -> None:
    assert facts(CONTRACT)["Query.jobs(first:)"] == "Int! = 20"
    assert facts(CONTRACT)["Job.metrics(last:)"] == "Int! = 100"
