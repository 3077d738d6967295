"""`schema.graphql` is what the code serves, and every document of the frontend is valid against it."""

import json
import shutil
import subprocess
from pathlib import Path

from graphql import build_schema, parse, validate

from server.schema import schema

ROOT = Path(__file__).parent.parent
DOCUMENTS = ROOT / "frontend" / "src" / "js" / "documents.js"


def test_the_printed_schema_equals_the_code() -> None:
    printed = (ROOT / "schema.graphql").read_text()
    assert printed == schema.as_str().rstrip("\n") + "\n", (
        "run scripts/export-schema and look at the difference"
    )


def test_every_document_of_the_frontend_is_valid() -> None:
    served = build_schema((ROOT / "schema.graphql").read_text())
    for name, document in frontend_documents().items():
        assert [error.message for error in validate(served, parse(document))] == [], name


def test_everything_in_the_schema_is_described() -> None:
    bare = []
    for type_name, type_ in build_schema(schema.as_str()).type_map.items():
        if type_.ast_node is None:  # GraphQL's own
            continue
        members = {**getattr(type_, "fields", {}), **getattr(type_, "values", {})}
        described = {type_name: type_, **{f"{type_name}.{name}": member for name, member in members.items()}}
        for name, member in members.items():
            arguments = getattr(member, "args", {}).items()
            described |= {f"{type_name}.{name}({argument}:)": value for argument, value in arguments}
        bare += [name for name, element in described.items() if not element.description]
    assert bare == []


def frontend_documents() -> dict[str, str]:
    """Each exported document by its name, as the page would send it."""
    node = shutil.which("node")
    assert node, "Node.js 20 or newer is missing"
    script = f"import * as all from {json.dumps(DOCUMENTS.as_uri())}; console.log(JSON.stringify(all))"
    command = [node, "--input-type=module", "--eval", script]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    documents: dict[str, str] = json.loads(output)
    assert documents, f"{DOCUMENTS} exports nothing"
    return documents
