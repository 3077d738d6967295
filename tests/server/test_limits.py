"""What a document may ask for, and that a refusal takes milliseconds whatever the document is made of."""

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from graphql import get_introspection_query

from server import limits
from server.documents import MOST_ERRORS, BadDocument, Documents
from server.schema import schema

DOCUMENTS_JS = Path(__file__).parents[2] / "frontend/src/js/documents.js"
OF_THE_MONITOR = dict(
    re.findall(r"export const (\w+) = /\* GraphQL \*/ `(.*?)`", DOCUMENTS_JS.read_text(), re.DOTALL)
)
PROMPT = 0.1  #: seconds of this process's own time


def check(text: str, **variables: object) -> list[str]:
    """The codes with which a document is refused; [] when it may be executed. `invalid` is one without a code."""
    documents = Documents(schema._schema)
    try:
        documents.check_cost(documents.operation(text, None), variables)
    except BadDocument as exc:
        return [str((error.extensions or {}).get("code", "invalid")) for error in exc.errors]
    return []


def seconds(text: str) -> float:
    """How long a refusal takes; the best of three, for collecting garbage is not the document's fault."""

    def once() -> float:
        began = time.process_time()
        check(text)
        return time.process_time() - began

    return min(once() for _ in range(3))


@pytest.mark.parametrize("name", OF_THE_MONITOR)
def test_the_monitors_own_documents_are_within_the_limits(name: str) -> None:
    assert check(OF_THE_MONITOR[name], first=100, last=1_000) == []


def test_the_monitors_documents_were_found() -> None:
    assert {"JOBS", "JOB", "JOB_UPDATE"} <= OF_THE_MONITOR.keys()


def test_tools_may_introspect_the_schema() -> None:
    assert check(get_introspection_query()) == []
    whole = get_introspection_query(
        specified_by_url=True,
        directive_is_repeatable=True,
        schema_description=True,
        input_value_deprecation=True,
    )
    assert check(whole) == []


def nested(levels: int) -> str:
    """Fields in each other; that they are not in the schema matters to nobody before they are too deep."""
    return "{a" * levels + "}" * levels


def chain(levels: int, link: Callable[[str], str], end: str, on: str, root: str) -> str:
    """A document of `root`, which spreads f0, and fragments of which each spreads the next, within `link`."""
    fragments = "".join(f"fragment f{n} on {on}{{{link(f'...f{n + 1}')}}}" for n in range(levels))
    return root + fragments + f"fragment f{levels} on {on}{{{end}}}"


def bomb(levels: int, on: str, root: str, end: str) -> str:
    """Each fragment spreads the next one twice."""
    return chain(levels, lambda spread: spread * 2, end, on, root)


AT_THE_LIMIT = {
    "depth": "{ jobs { nodes { dataset { " + "...on Node { " * 6 + "id" + " }" * 10,
    "aliases": "{ viewer { " + " ".join(f"a{n}: id" for n in range(15)) + " } }",
    "root fields": "{ " + "presets { id } " * 10 + "}",
    "directives": "{ viewer { " + "id @skip(if: false) " * 20 + "} }",
    "fields side by side": "{ viewer { " + "id " * 60 + "} }",
    "a mutation and its name": 'mutation { __typename cancelJob(id: "1") { __typename } }',
    "cost": "{ jobs(first: 100) { nodes { metrics(last: 89) { step } } } }",
}


@pytest.mark.parametrize("what", AT_THE_LIMIT)
def test_what_reaches_a_limit_is_answered(what: str) -> None:
    assert check(AT_THE_LIMIT[what]) == []


BEYOND: dict[str, tuple[str, str]] = {
    "11 levels": (nested(11), "QUERY_TOO_DEEP"),
    "50 levels": (nested(50), "QUERY_TOO_DEEP"),
    "199 levels": (nested(199), "QUERY_TOO_DEEP"),
    "levels in inline fragments": ("{ " + "a { ... { " * 11 + "b" + " } }" * 11 + " }", "QUERY_TOO_DEEP"),
    "levels in fragments": (
        chain(12, lambda spread: f"a {{ {spread} }}", "b", "Query", "{ ...f0 }"),
        "QUERY_TOO_DEEP",
    ),
    "levels of introspection": (
        chain(20, lambda spread: f"ofType {{ {spread} }}", "name", "__Type", "{ __schema { types { ...f0 } } }"),
        "QUERY_TOO_DEEP",
    ),
    "16 aliases": ("{ viewer { " + " ".join(f"a{n}: id" for n in range(16)) + " } }", "TOO_MANY_ALIASES"),
    "aliases in a fragment": (
        "{ a: viewer { ...f } b: viewer { ...f } } fragment f on Viewer { "
        + " ".join(f"a{n}: id" for n in range(7))
        + " }",
        "TOO_MANY_ALIASES",
    ),
    "aliases in two operations": (
        "query A { viewer { " + " ".join(f"a{n}: id" for n in range(8)) + " } } "
        "query B { viewer { " + " ".join(f"a{n}: id" for n in range(8)) + " } }",
        "TOO_MANY_ALIASES",
    ),
    "11 fields at the root": ("{ " + "presets { id } " * 11 + "}", "TOO_MANY_ROOT_FIELDS"),
    "two mutations": (
        'mutation { cancelJob(id: "1") { __typename } b: cancelJob(id: "2") { __typename } }',
        "TOO_MANY_MUTATIONS",
    ),
    "two mutations in a fragment": (
        "mutation { ...f } fragment f on Mutation { "
        + " ".join(f'm{n}: cancelJob(id: "{n}") {{ __typename }}' for n in range(2))
        + " }",
        "TOO_MANY_MUTATIONS",
    ),
    "21 directives": ("{ viewer { " + "id @skip(if: false) " * 21 + "} }", "TOO_MANY_DIRECTIVES"),
    "400 unknown directives": ("{ viewer { id " + "@a " * 400 + "} }", "TOO_MANY_DIRECTIVES"),
    "900 times one field": ("{ viewer { " + "id " * 900 + "} }", "QUERY_TOO_LARGE"),
    "900 times one field where nobody looks": (
        "{ viewer { id } } fragment f on Viewer { " + "id " * 900 + "}",
        "QUERY_TOO_LARGE",
    ),
    "one object 200 times": ("{ job(id: 1) { " + "dataset { id } " * 200 + "} }", "QUERY_TOO_LARGE"),
    "one fragment 400 times": (
        "{ job(id: 1) { " + "...f " * 400 + "} } fragment f on Job { id stage }",
        "QUERY_TOO_LARGE",
    ),
    "1,001 tokens": ("{ " + "a " * 999 + "}", "QUERY_TOO_LARGE"),
    "comments": ("{ a }" + "#\n" * 40_000, "QUERY_TOO_LARGE"),
    "a page of pages": ("{ jobs(first: 100) { nodes { metrics(last: 1000) { step } } } }", "QUERY_TOO_COSTLY"),
    "the metrics of many jobs": (
        "{ " + " ".join(f"a{n}: job(id: {n}) {{ metrics(maxPoints: 1000) {{ step }} }}" for n in range(10)) + " }",
        "QUERY_TOO_COSTLY",
    ),
    "a default page size": ("{ jobs(first: 100) { nodes { metrics { step } } } }", "QUERY_TOO_COSTLY"),
    "a page size without end": ("{ notifications(first: 2147483647) { nodes { job { id } } } }", "QUERY_TOO_COSTLY"),
}  # fmt: skip


@pytest.mark.parametrize("what", BEYOND)
def test_what_goes_beyond_a_limit_is_refused_with_its_code_in_no_time(what: str) -> None:
    text, code = BEYOND[what]
    assert code in check(text)
    assert seconds(text) < PROMPT


@pytest.mark.parametrize("levels", [12, 22, 40, 85])
@pytest.mark.parametrize(
    ("on", "root", "end"),
    [
        ("Job", "{ job(id: 1) { ...f0 } }", "id"),
        ("Query", "{ ...f0 }", "viewer { id }"),
        ("__Type", "{ __schema { types { ...f0 } } }", "name"),
        ("Job", "{ viewer { id } }", "dataset { id }"),  # spread by nobody
    ],
)
def test_doubling_fragments_are_refused_in_no_time(levels: int, on: str, root: str, end: str) -> None:
    text = bomb(levels, on, root, end)
    assert check(text)
    assert seconds(text) < PROMPT


@pytest.mark.parametrize(
    "text",
    [
        "{ job(id: 1) { ...a } } fragment a on Job { ...b } fragment b on Job { ...a }",
        "{ job(id: 1) { ...a } } fragment a on Job { id ...a ...a }",
        "{ job(id: 1) { ...nothing } }",
        "fragment a on Job { id }",
        "type A { b: Int }",
        "subscription { a }",
        "{ viewer { id } } { viewer { id } }",
        "{ viewer { id ...on Nothing { a } } }",
        "{ viewer { id { a } } }",
        "{ job { id } }",
        "{",
        "",
        "\0",
        '{"' * 10,
        nested(330),
    ],
)
def test_what_is_no_valid_document_is_refused(text: str) -> None:
    assert check(text)


def test_five_flaws_at_most_are_told() -> None:
    assert len(check("{ viewer { " + " ".join(f"nothing{n}" for n in range(50)) + " } }")) == MOST_ERRORS


def cost(text: str, **variables: object) -> bool:
    """Whether it is refused for its cost."""
    return check(text, **variables) == ["QUERY_TOO_COSTLY"]


def test_page_sizes_count_wherever_they_come_from() -> None:
    page = "query($n: Int! = 100) { jobs(first: $n) { nodes { metrics(last: 100) { step } } } }"
    assert cost(page)
    assert not cost(page, n=5)
    assert cost(page, n=100.0)
    points = "query($last: Int!) { jobs(first: 10) { nodes { metrics(last: $last) { step } } } }"
    assert cost(points, last=1_000)
    assert not cost(points, last=100)
    for nonsense in (None, "1000", True, [1_000], -5, 10**30, 1e300):
        cost(points, last=nonsense)  # what is no number is refused later, for what it is


def test_a_fragment_costs_at_each_place_what_it_asks_there() -> None:
    fragment = "fragment f on Job { dataset { id } costs { current } metrics(last: 10) { step } }"
    assert not cost("{ jobs(first: 100) { nodes { ...f } } } " + fragment)
    many = " ".join(f"a{n}: jobs(first: 100) {{ nodes {{ ...f }} }}" for n in range(3))
    assert cost("{ " + many + " } " + fragment)


def test_the_answer_to_one_question_is_not_given_to_another() -> None:
    documents = Documents(schema._schema)
    text = "query A($n: Int!) { jobs(first: $n) { nodes { metrics(last: 50) { step } } } } query B { viewer { id } }"
    for _ in range(2):
        operation = documents.operation(text, "A")
        documents.check_cost(operation, {"n": 5})
        with pytest.raises(BadDocument):
            documents.check_cost(operation, {"n": 1_000})
        documents.check_cost(documents.operation(text, "B"), {"n": 1_000})


def test_what_is_remembered_is_bounded() -> None:
    documents = Documents(schema._schema)
    for number in range(40):
        documents.operation("{ viewer { id } } #" + "x" * 20_000 + str(number), None)
    assert documents._characters <= 300_000
    assert sum(map(len, documents._known)) == documents._characters


def test_the_limits_are_those_that_are_documented() -> None:
    assert (limits.TOKENS, limits.DEPTH, limits.ALIASES, limits.ROOT_FIELDS) == (1_000, 10, 15, 10)
    assert (limits.MUTATIONS, limits.COST) == (1, 1_000)
