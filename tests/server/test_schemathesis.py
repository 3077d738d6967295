"""Documents that schemathesis makes up from the schema the API publishes: none of them makes it fail."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.core.result import Ok
from schemathesis.graphql import nodes

from tests.services.api import Api, api

EXAMPLES = 40  # for each operation
CREATE_DATASET = """mutation ($file: DatasetUploadInput!) {
  createDatasetUpload(input: $file) { ... on DatasetUpload { uploadUrl dataset { id } } }
}"""
COMPLETE = "mutation ($id: ID!) { completeDatasetUpload(id: $id) { __typename } }"
CREATE_JOB = """mutation ($dataset: ID!) {
  createJob(input: { datasetId: $dataset, presetId: "laptop" }) { ... on CreateJobSuccess { job { id } } }
}"""
LINE = b'{"prompt": "one", "completion": "two"}\n'


@pytest.fixture(scope="module")
def running(sqlite_template: Path) -> Iterator[Api]:
    with api(sqlite_template) as started:
        yield started


@pytest.fixture(scope="module")
def http(running: Api) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.url, headers=running.signed_in(), timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def known(http: httpx.Client) -> list[str]:
    """Ids of what is there, beside presets and GPU types."""

    def ask(document: str, **variables: Any) -> dict[str, Any]:
        answer = http.post("/graphql", json={"query": document, "variables": variables}).json()
        data: dict[str, Any] = answer["data"]
        return data

    file = {"name": "Pairs", "fileName": "pairs.jsonl", "sizeBytes": 50 * len(LINE)}
    upload = ask(CREATE_DATASET, file=file)["createDatasetUpload"]
    httpx.put(upload["uploadUrl"], content=50 * LINE).raise_for_status()
    dataset = upload["dataset"]["id"]
    ask(COMPLETE, id=dataset)
    made = [ask(CREATE_JOB, dataset=dataset)["createJob"]["job"]["id"] for _ in range(3)]
    return [dataset, *made, "laptop", "a100", str(uuid4())]


def test_nothing_that_the_schema_allows_makes_the_api_fail(
    running: Api, http: httpx.Client, known: list[str]
) -> None:
    schemathesis.graphql.scalar("ID", st.sampled_from(known).map(nodes.String))
    schemathesis.graphql.scalar("BigInt", st.integers(-(2**53), 2**53).map(nodes.Int))
    schemathesis.graphql.scalar("Decimal", st.sampled_from(["0.00", "12.30"]).map(nodes.String))
    schema = schemathesis.graphql.from_url(f"{running.url}/graphql", headers=running.signed_in())
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    assert len(operations) >= 15
    seen: Counter[str] = Counter()

    for operation in operations:

        @settings(
            max_examples=EXAMPLES, derandomize=True, database=None, suppress_health_check=[*HealthCheck]
        )
        @given(case=operation.as_strategy())
        def fuzz(case: Any) -> None:
            answer = http.post("/graphql", json={"query": case.body})
            seen[what_came(answer)] += 1

        fuzz()
    assert seen.total() >= 10 * len(operations)
    assert seen["executed"] > 0.7 * seen.total()
    assert "INTERNAL" not in running.log.read_text()
    assert [
        line for line in running.log.read_text().splitlines() if json.loads(line)["level"] == "error"
    ] == []


def what_came(answer: httpx.Response) -> str:
    """`executed`, or the code of a refusal that a client can do something about. Fails for anything else."""
    assert answer.status_code == 200, answer.text
    body = answer.json()
    if "errors" not in body:
        assert body["data"]
        return "executed"
    codes = {error["extensions"]["code"] for error in body["errors"]}
    assert codes <= {"BAD_USER_INPUT", "GRAPHQL_VALIDATION_FAILED", "QUERY_TOO_COSTLY", "QUERY_TOO_LARGE"}, (
        body
    )
    return str(min(codes))
