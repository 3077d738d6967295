"""GraphQL over HTTP as its working group audits servers: the suite of npm's graphql-http against the running API."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.services.api import api

HERE = Path(__file__).parent
MODULES = HERE.parents[1] / "frontend" / "node_modules"


@pytest.fixture(scope="module")
def verdicts(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Every audit with its outcome: `ok`, `error` (of a MUST), `warn` (of a SHOULD) or `notice` (of a MAY)."""
    node = shutil.which("node")
    assert node, "Node.js 20 or newer is missing"
    folder = tmp_path_factory.mktemp("audit")
    script = shutil.copy(HERE / "audit.mjs", folder)
    (folder / "node_modules").symlink_to(MODULES)
    with api(sqlite_template) as running:
        command = [node, script, f"{running.url}/graphql", running.token()]
        output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    found: list[dict[str, Any]] = json.loads(output)
    return found


def test_every_must_and_every_should_is_kept(verdicts: list[dict[str, Any]]) -> None:
    demanded = [verdict for verdict in verdicts if verdict["name"].startswith(("MUST", "SHOULD"))]
    assert len(demanded) >= 30
    assert [verdict for verdict in demanded if verdict["status"] != "ok"] == []


def test_what_may_be_is_so_as_well(verdicts: list[dict[str, Any]]) -> None:
    free = [verdict for verdict in verdicts if verdict["name"].startswith("MAY")]
    assert len(verdicts) - len(free) == sum(
        verdict["name"].startswith(("MUST", "SHOULD")) for verdict in verdicts
    )
    assert [verdict for verdict in free if verdict["status"] != "ok"] == []
