"""A plan answers what graphql-core answers, or leaves it to it: for documents of every shape, good values and bad ones."""

import enum
import math
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import msgspec
import pytest
import strawberry
from graphql import (
    ExecutionResult,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    execute,
    get_named_type,
    is_leaf_type,
    parse,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strawberry.schema.config import StrawberryConfig

from jobs.domain.metrics import SERIES, Point
from server.context import Context
from server.documents import BadDocument, Documents
from server.plans import Plan, Unusual
from server.scalars import SCALARS, BigInt
from server.schema import schema
from tests.server.house import NINE, House
from tests.test_schema import frontend_documents

SECOND = timedelta(seconds=1)


async def ordinary(
    graphql_schema: GraphQLSchema, document: str, context: object, **variables: object
) -> ExecutionResult:
    """What graphql-core makes of it."""
    result = execute(graphql_schema, parse(document), context_value=context, variable_values=variables)
    return result if isinstance(result, ExecutionResult) else await result


async def planned(
    graphql_schema: GraphQLSchema, document: str, context: object, **variables: object
) -> ExecutionResult | None:
    """What its plan makes of it; None when it leaves it to graphql-core."""
    parsed = parse(document)
    node = parsed.definitions[0]
    assert isinstance(node, OperationDefinitionNode)
    try:
        return ExecutionResult(await Plan(graphql_schema, parsed, node).data(context, variables), None)
    except Unusual:
        return None


def told(result: ExecutionResult) -> tuple[object, object]:
    """All that a client can see of it; errors come in whatever order their fields end."""
    errors = [(str(error.path), error.message, str(error.locations)) for error in result.errors or ()]
    return msgspec.json.encode(result.data), sorted(errors)


# Documents of every shape about a job of ours.


def fields_of(kind: GraphQLObjectType, depth: int) -> st.SearchStrategy[str]:
    """One field of an object type, aliased or not, maybe with a directive."""
    options = []
    for name, field in kind.fields.items():
        below = get_named_type(field.type)
        arguments = st.just("")
        if name == "metrics":
            arguments = st.sampled_from(
                [
                    "",
                    "(last: 3)",
                    "(last: $last)",
                    "(last: 0)",
                    "(maxPoints: 5)",
                    "(afterStep: $after, last: 1000)",
                ]
            )
        if is_leaf_type(below):
            selection = st.just("")
        elif depth and isinstance(below, GraphQLObjectType):
            selection = selections(below, depth - 1)
        else:
            continue
        options.append(st.tuples(st.just(name), arguments, selection))
    directive = st.sampled_from([""] * 5 + ["@skip(if: $yes)", "@include(if: $yes)", "@include(if: false)"])
    return st.builds(
        lambda alias, field, how: f"{alias}{field[0]}{field[1]} {how} {field[2]}",
        st.sampled_from(["", "", "", "a: ", "b: ", "id: "]),
        st.one_of(options) | st.just(("__typename", "", "")),
        directive,
    )


def selections(kind: GraphQLObjectType, depth: int) -> st.SearchStrategy[str]:
    """A selection set, some of it in fragments."""
    field = fields_of(kind, depth)
    inline = st.builds(
        lambda on, inside: f"... {on} {{ {' '.join(inside)} }}",
        st.sampled_from([f"on {kind.name}", "", "@include(if: $yes)"]),
        st.lists(field, min_size=1, max_size=3),
    )
    return st.lists(field | inline, min_size=1, max_size=7).map(lambda parts: f"{{ {' '.join(parts)} }}")


def a_holey_point(step: int) -> Point:
    """Every fifth of its figures is missing."""
    numbers = zip(SERIES, range(step, step + len(SERIES)), strict=True)
    values: dict[str, Any] = {
        name: None if number % 5 == 0 else number * 0.25 - 1 for name, number in numbers
    }
    at = NINE + step * SECOND / 3
    return Point(step=step, timestamp=at, epoch=step // 10, non_finite=step % 7 == 0, **values)


JOB = schema._schema.type_map["Job"]
assert isinstance(JOB, GraphQLObjectType)


@pytest.fixture(params=["running", "completed"])
async def context(house: House, request: pytest.FixtureRequest) -> Context:
    """Of a user with a job that has points with holes, spikes and zeros."""
    job = await (house.running() if request.param == "running" else house.completed())
    await house.points(job, [a_holey_point(step) for step in range(30)])
    made = house.context("ada")
    made.shown.append(job)
    return made


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    selection=selections(JOB, 2),
    variables=st.fixed_dictionaries(
        {"last": st.sampled_from([1, 7, 1000]), "after": st.sampled_from([-1, 12, 99]), "yes": st.booleans()}
    ),
)
async def test_made_up_documents_about_a_job_are_answered_alike(
    house: House, context: Context, selection: str, variables: dict[str, Any]
) -> None:
    document = asked_with(selection)
    try:
        Documents(schema._schema).operation(document, None)
    except BadDocument:  # fields that cannot be merged
        document = asked_with("{ metrics(last: $last, afterStep: $after) @include(if: $yes) { step } id }")
    job_id = str(context.shown[0].id)
    answers = []
    for how in (ordinary, planned):
        asking = house.context("ada")
        answers.append(await how(schema._schema, document, asking, id=job_id, **variables))
        await asking.close()
    expected, answer = answers
    assert expected is not None
    if answer is None:
        assert expected.errors or "@" in document
    else:
        assert told(answer) == told(expected), document


@pytest.mark.parametrize(
    ("declared", "arguments"),
    [
        ("$last: Int", "last: $last"),
        ("$last: Int!", "last: $last"),
        ("$last: Int = 2", "last: $last"),
        ("$last: Int! = 2", "last: $last"),
        ("$last: Int", "afterStep: $last, last: 2"),
        ("$last: Int", "maxPoints: $last, fromStep: $last, toStep: 20"),
    ],
)
async def test_a_variable_there_null_missing_or_of_another_kind_is_taken_alike(
    house: House, context: Context, declared: str, arguments: str
) -> None:
    document = f"query ($id: ID!, {declared}) {{ job(id: $id) {{ metrics({arguments}) {{ step }} }} }}"
    assert Documents(schema._schema).operation(document, None).plan is not None
    values: list[Any] = [3, None, 0, "3", 3.0, 3.5, 2**31, []]
    for given_ones in ({}, *({"last": value} for value in values)):
        answers = []
        for how in (ordinary, planned):
            asking = house.context("ada")
            variables = {"id": str(context.shown[0].id), **given_ones}
            answers.append(await how(schema._schema, document, asking, **variables))
            await asking.close()
        expected, answer = answers
        assert expected is not None
        assert answer is not None or expected.errors
        if answer is not None:
            assert told(answer) == told(expected), given_ones


def asked_with(selection: str) -> str:
    """The document, with those variables that the selection uses."""
    known = {"last": "Int!", "after": "Int!", "yes": "Boolean!"}
    used = "".join(f", ${name}: {kind}" for name, kind in known.items() if f"${name}" in selection)
    return f"query ($id: ID!{used}) {{ job(id: $id) {selection} }}"


# Values of every kind in fields of every type.


@strawberry.enum
class Colour(enum.Enum):
    """Two of them."""

    RED = "red"
    BLUE = "blue"


@strawberry.type
class Thing:
    """A field of each leaf type, once with and once without null."""

    number: int
    number_or_null: int | None
    real: float
    real_or_null: float | None
    text: str
    text_or_null: str | None
    yes: bool
    yes_or_null: bool | None
    id: strawberry.ID
    id_or_null: strawberry.ID | None
    at: datetime
    at_or_null: datetime | None
    money: Decimal
    money_or_null: Decimal | None
    big: BigInt
    big_or_null: BigInt | None
    colour: Colour
    colour_or_null: Colour | None
    words: list[str] | None


@strawberry.type
class Asked:
    """Lists of things, which may be null or not, and one thing."""

    @strawberry.field
    def things(self, info: strawberry.Info[list[Any], None]) -> list[Thing]:
        return info.context

    @strawberry.field
    def things_or_null(self, info: strawberry.Info[list[Any], None]) -> list[Thing | None] | None:
        return info.context

    @strawberry.field
    def thing(self, info: strawberry.Info[list[Any], None]) -> Thing | None:
        return info.context[0] if info.context else None


THINGS = strawberry.Schema(Asked, config=StrawberryConfig(scalar_map=SCALARS))._schema
GOOD: dict[str, Any] = {
    "number": 7,
    "real": 0.5,
    "text": "a",
    "yes": True,
    "id": "i",
    "at": NINE,
    "money": Decimal("1.50"),
    "big": 2**40,
    "colour": Colour.RED,
}


class Float(float):
    """A float that is none of the built-in type."""


ODD: list[Any] = [
    *(None, True, False, "", "red", "12", b"bytes", object, ValueError("no"), [], {}, *Colour),
    *(0, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**53, 2**53 + 1, 2**2000),
    *(math.nan, math.inf, -math.inf, 1e308, -1e308, 7.0, -0.0, Float(1.5)),
    *(Decimal("0.1"), Decimal("NaN"), Decimal("1e3")),
    *(NINE, NINE.replace(tzinfo=None), NINE.astimezone(timezone(timedelta(hours=5)))),
]
NAMES = [name for good in GOOD for name in (good, f"{good}_or_null")]


def a_thing(**changes: Any) -> Thing:
    """All its values are good but those."""
    return Thing(**{name: GOOD[name.removesuffix("_or_null")] for name in NAMES} | {"words": ["w"]} | changes)


@st.composite
def things(draw: st.DrawFn) -> tuple[list[Any], list[str]]:
    """Up to five, most of whose values are good, and what to ask of them."""
    oddly = draw(st.lists(st.sampled_from(NAMES), max_size=2, unique=True))
    asked = [*oddly, *draw(st.lists(st.sampled_from([*NAMES, "words", "typename"]), max_size=4))] or ["yes"]
    odd = st.dictionaries(st.sampled_from(oddly), st.sampled_from(ODD)) if oddly else st.just({})
    made = draw(st.lists(st.builds(lambda changes: a_thing(**changes), odd), max_size=5))
    last: list[Any] = draw(st.sampled_from([[]] * 9 + [[None], ["no thing"], [ValueError("no")]]))
    return made + last, asked


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(given=things(), root=st.sampled_from(["things", "thingsOrNull", "thing"]), skips=st.integers(0, 19))
async def test_values_of_every_kind_are_answered_and_refused_alike(
    given: tuple[list[Any], list[str]], root: str, skips: int
) -> None:
    values, names = given
    skip = " @skip(if: true)" if skips == 0 else ""
    asked = " ".join(("__typename" if name == "typename" else camel(name)) + skip for name in names)
    document = f"{{ {root} {{ {asked} }} }}"
    await answered_alike(document, values)


@pytest.mark.parametrize("name", NAMES)
async def test_an_odd_value_of_each_field_is_answered_and_refused_alike(name: str) -> None:
    for odd in ODD:
        values = [a_thing(), a_thing(**{name: odd}), a_thing()]
        for root in ("things", "thingsOrNull"):
            await answered_alike(f"{{ {root} {{ {camel(name)} yes }} }}", values)
        await answered_alike(f"{{ thing {{ {camel(name)} yes }} }}", values[1:])


async def answered_alike(document: str, values: list[Any]) -> None:
    expected = await ordinary(THINGS, document, values)
    answer = await planned(THINGS, document, values)
    if answer is None:
        assert expected.errors or "@" in document
    else:
        assert repr(told(answer)) == repr(told(expected)), (
            document
        )  # NaN is not even equal to itself, and 7 is not 7.0


def camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.title() for word in others)


async def test_fragments_that_spread_fragments_twice_do_not_multiply(house: House, context: Context) -> None:
    levels = 60
    fragments = [f"fragment F{level} on Job {{ ...F{level + 1} ...F{level + 1} }}" for level in range(levels)]
    document = f"query ($id: ID!) {{ job(id: $id) {{ ...F0 }} }} {' '.join(fragments)} fragment F{levels} on Job {{ id }}"
    asking = house.context("ada")
    job_id = str(context.shown[0].id)
    answer = await planned(schema._schema, document, asking, id=job_id)
    await asking.close()
    assert answer is not None
    assert answer.data == {"job": {"id": job_id}}


def test_every_query_of_the_monitor_has_a_plan() -> None:
    documents = Documents(schema._schema)
    without = {
        name
        for name, text in frontend_documents().items()
        if (operation := documents.operation(text, None)).plan is None
        and operation.node.operation is OperationType.QUERY
    }
    assert without == {"ESTIMATE_COST"}  # its answer is a union
