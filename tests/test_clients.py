"""README's examples for other clients, run as they stand against one running API; they print what README says."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.services.api import Api, api

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
SECTION = README.partition("## From a program")[2].partition("\n## ")[0]
EXAMPLES = re.findall(
    r"\*\*([^*]+)\.\*\*.*?```(sh|python|js)\n(.*?)```\s+```text\n(.*?)```", SECTION, re.DOTALL
)
ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
CODE = re.compile(r"\"([A-Z][A-Z_]{3,})\"")
METHODS = {"HEAD", "POST", "OPTIONS", "DELETE", "PATCH"}


def test_there_is_an_example_for_each_client() -> None:
    assert [name for name, *_ in EXAMPLES] == [
        "curl",
        "Python, httpx",
        "Python, gql",
        "JavaScript, graphql-request",
    ]


def test_the_examples_do_what_readme_says(sqlite_template: Path, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(ROOT / "frontend" / "node_modules")
    ids: set[str] = set()
    with api(sqlite_template) as running:
        for name, language, source, promised in EXAMPLES:
            said = run(running, tmp_path, language, source)
            assert ID.sub("an id", said) == ID.sub("an id", promised), name
            ids |= {found[0] for found in ID.finditer(said)}
    assert len(ids) == 1  # all of them speak of one job


def run(running: Api, folder: Path, language: str, source: str) -> str:
    """What the example prints. Raises `CalledProcessError`."""
    assert "http://127.0.0.1:8000" in source
    program = {"sh": "bash", "python": sys.executable, "js": "node"}[language]
    assert shutil.which(program), f"{program} is missing"
    script = folder / f"example.{'mjs' if language == 'js' else language}"
    script.write_text(source.replace("http://127.0.0.1:8000", running.url))
    environment = {"PATH": running.environment["PATH"], "token": running.token()}
    done = subprocess.run(
        [program, script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def test_every_code_that_clients_may_meet_is_explained() -> None:
    explained = set(re.findall(r"`([A-Z_]+)`", SECTION))
    written = {
        code for file in (ROOT / "server").glob("*.py") for code in CODE.findall(file.read_text())
    } - METHODS
    assert written - explained == {"GONE", "NOT_BUILT", "NOT_FOUND", "REFUSED"}  # no answers of /graphql
    assert {code for code in explained if "_" in code} - {"X_REQUEST_ID"} <= written
