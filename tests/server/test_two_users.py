"""What is Bob's does not exist for Ada: over every field and argument of the schema, as the schema itself lists them."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from graphql import (
    GraphQLArgument,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLUnionType,
    build_schema,
    get_named_type,
)

from jobs.buckets import DATASETS
from jobs.domain.training import TrainingWish
from server.schema import schema
from tests.server.house import House

SCHEMA = build_schema(schema.as_str())
NEW = re.compile(  # what differs between two answers to the same question
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{4}-\d\d-\d\dT[\d:.]+Z|signature=\w+|expires=\d+"
)
Path = tuple[str, ...]
Given = GraphQLArgument | GraphQLInputField


def roots() -> list[tuple[str, str, GraphQLField]]:
    """Every operation: its kind, name and field."""
    kinds = (("query", SCHEMA.query_type), ("mutation", SCHEMA.mutation_type))
    return [(kind, name, field) for kind, type_ in kinds if type_ for name, field in type_.fields.items()]


def selection(kind: GraphQLNamedType) -> str:
    """All there is to select, at every depth."""
    if isinstance(kind, GraphQLUnionType):
        return (
            "{ __typename " + " ".join(f"... on {each.name} {selection(each)}" for each in kind.types) + " }"
        )
    if isinstance(kind, GraphQLObjectType):
        fields = (f"{name} {selection(get_named_type(field.type))}" for name, field in kind.fields.items())
        return "{ " + " ".join(fields) + " }"
    return ""


def document(kind: str, name: str, field: GraphQLField) -> str:
    """The operation with all its arguments as variables, asking for everything."""
    variables = ", ".join(f"${argument}: {about.type}" for argument, about in field.args.items())
    arguments = ", ".join(f"{argument}: ${argument}" for argument in field.args)
    head = f"{kind} ({variables}) {{ {name}({arguments})" if arguments else f"{kind} {{ {name}"
    return f"{head} {selection(get_named_type(field.type))} }}"


def leaves(about: Given, path: Path) -> Iterator[tuple[Path, str]]:
    """Where text may be given, and the name of its type: Boolean, Int and enums can name nothing of Bob's."""
    kind = get_named_type(about.type)
    if isinstance(kind, GraphQLInputObjectType):
        for name, field in kind.fields.items():
            yield from leaves(field, (*path, name))
    elif kind.name in ("ID", "String"):
        yield path, kind.name


class Case(NamedTuple):
    """One place of one operation where text may be given."""

    kind: str
    name: str
    field: GraphQLField
    path: Path
    takes: str  #: ID or String


CASES = [
    Case(kind, name, field, path, takes)
    for kind, name, field in roots()
    for argument, about in field.args.items()
    for path, takes in leaves(about, (argument,))
]


class Ada:
    """Ada's own, well-formed questions, into which something of Bob's is put."""

    def __init__(self, house: House, dataset_id: str) -> None:
        self.house = house
        self._own = {"datasetId": dataset_id, "presetId": "laptop", "gpuType": "local"}

    async def answer(self, case: Case, text: str) -> str:
        """What she is answered, without what she said herself."""
        variables = self._values(case.field.args, (), case.path, text)
        result = await self.house.ask(document(case.kind, case.name, case.field), "ada", **variables)
        errors = [(error.message, error.extensions) for error in result.errors or ()]
        return json.dumps([result.data, errors]).replace(text, "what she said")

    def _values(self, known: Mapping[str, Given], above: Path, path: Path, text: str) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, about in known.items():
            here = (*above, name)
            kind = get_named_type(about.type)
            asked = path[: len(here)] == here
            if not asked and name not in self._own and not isinstance(about.type, GraphQLNonNull):
                continue
            if isinstance(kind, GraphQLInputObjectType):
                values[name] = self._values(kind.fields, here, path, text)
            elif asked:
                values[name] = [text] if "[" in str(about.type) else text
            else:
                plain = {"Int": 20, "BigInt": 20, "Boolean": False, "StorageBucket": "LORA_DATASETS"}
                values[name] = plain.get(kind.name, self._own.get(name, "something"))
        return values


@dataclass
class Bob:
    """One of each thing of Bob's that might be of use to somebody else."""

    ids: list[str]
    texts: dict[str, str]  #: each with one of the same shape that is nobody's


@pytest.fixture
async def bob(house: House) -> Bob:
    """Bob has jobs, datasets, a file, an upload, money spent, and news."""
    line = b'{"prompt": "a", "completion": "b"}\n'
    await house.buckets.put(DATASETS, "bob/secret.jsonl", line)
    imported = await house.commands.datasets.import_dataset(
        "bob", name="Secret", bucket=DATASETS, path="bob/secret.jsonl"
    )
    upload = await house.commands.datasets.create_upload(
        "bob", name="Secret too", file_name="f", size_bytes=len(line)
    )
    wish = TrainingWish(dataset_id=imported.id, preset_id="laptop", idempotency_key="bob's key")
    queued = await house.commands.create_job("bob", wish)
    done = await house.completed("bob")
    seen = json.dumps(await everything(house, "bob"))
    record = re.search(r'"records": \[{"id": "(.+?)"', seen)
    notice = re.search(r'"notifications": {"nodes": \[{"id": "(.+?)"', seen)
    cursors = re.findall(r'"endCursor": "(.+?)"', seen)
    assert record
    assert notice
    assert len(cursors) == 3
    ids = [queued.id, done.id, imported.id, upload.dataset.id, done.artifact_id, record[1], notice[1]]
    texts = {"bob/secret.jsonl": "bob/nobody.jsonl", "bob's key": "nobody's key", "bob": "nobody"}
    return Bob([str(each) for each in ids], texts | {cursor: cursor[::-1] for cursor in cursors})


async def everything(house: House, user: str) -> dict[str, Any]:
    """The user's whole world, as the API shows it."""
    asked = [
        (name, field) for _, name, field in roots() if name in ("viewer", "jobs", "datasets", "notifications")
    ]
    return {
        name: await house.data(document("query", name, GraphQLField(field.type)), user)
        for name, field in asked
    }


@pytest.mark.parametrize("through", ["the API's role", "a role that sees all"])
async def test_what_is_bobs_answers_like_what_nobody_has(house: House, bob: Bob, through: str) -> None:
    if through == "a role that sees all":  # then only our own filters stand between the two
        house.api = house.database
        house.__post_init__()
    before = await everything(house, "bob")
    ada = Ada(house, str((await house.dataset("ada")).id))
    for case in CASES:
        texts = dict.fromkeys(bob.ids, str(uuid4())) if case.takes == "ID" else bob.texts
        for text, nobodys in texts.items():
            answer, unknown = await ada.answer(case, text), await ada.answer(case, nobodys)
            assert NEW.sub("new", answer) == NEW.sub("new", unknown), (case.name, case.path, text)
            assert [leaked for leaked in bob.ids if leaked in answer] == [], (case.name, case.path, text)
    assert await everything(house, "bob") == before


async def test_nothing_of_bobs_is_in_what_ada_sees(house: House, bob: Bob) -> None:
    await house.completed("ada")
    seen = json.dumps(await everything(house, "ada"))
    assert '"COMPLETED"' in seen
    assert [text for text in [*bob.ids, "Secret", *list(bob.texts)[:2]] if text in seen] == []


async def test_a_world_with_something_of_bobs_would_be_seen(house: House, bob: Bob) -> None:
    seen = json.dumps(await everything(house, "bob"))
    assert [text for text in [*bob.ids, "Secret"] if text not in seen] == []


def test_every_operation_that_takes_text_is_asked() -> None:
    assert {case.name for case in CASES} == {name for _, name, field in roots() if field.args}
    assert {"id", "ids", "after", "datasetId", "idempotencyKey", "path"} <= {case.path[-1] for case in CASES}
