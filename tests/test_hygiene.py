"""No file that is kept holds a machine's path, a registry's host or unfinished work, or is too long."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LONGEST = 400  # lines; 300 is the moment to split
LOCKS = ("requirements/", "frontend/package-lock.json", "LICENSE")
MAY_BE_LONG = (*LOCKS, "tests/", "jobs/database/migrations/", "jobs/samples/", "schema.graphql", "README.md")

# Written with a [b]racket each, so that this file does not hold what it looks for.
UNWANTED = {
    "a registry's host": r"py[p]i\.org|python[h]osted|npm[j]s\.(org|com)|npm[m]irror|/simpl[e]/",
    "a path of one machine": r"(?<![\w.])/(wor[k]|roo[t]|hom[e]/\w+|op[t]/(wheels|pypi)|Use[r]s/\w+)/",
}
UNFINISHED = {
    "a mark of unfinished work": r"\b(TO[D]O|FIX[M]E|XX[X])\b",
    "a test that does not run": r"\b(pytest(\.mark)?\.(ski[p]|xfai[l])|unittest\.ski[p]"
    r"|(it|test|describe)\.(ski[p]|tod[o]))",
}


def kept_files() -> list[str]:
    """Paths of every file that git keeps or would keep, relative to the root."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return sorted({name for name in listed if (ROOT / name).is_file()})


def text_of(name: str) -> str:
    """The file's text; empty when it is not text."""
    content = (ROOT / name).read_bytes()
    return "" if b"\0" in content else content.decode(errors="replace")


KEPT = kept_files()


@pytest.mark.parametrize("what", [*UNWANTED, *UNFINISHED])
def test_no_kept_file_holds(what: str) -> None:
    pattern = re.compile((UNWANTED | UNFINISHED)[what])
    files = KEPT if what in UNWANTED else [name for name in KEPT if not name.startswith(LOCKS)]
    found = [
        f"{name}:{number}: {line.strip()[:120]}"
        for name in files
        for number, line in enumerate(text_of(name).splitlines(), 1)
        if pattern.search(line)
    ]
    assert found == []


def test_no_file_is_too_long_to_read() -> None:
    lengths = {name: text_of(name).count("\n") for name in KEPT if not name.startswith(MAY_BE_LONG)}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST} == {}


def test_what_is_unwanted_would_be_seen() -> None:
    assert re.search(UNWANTED["a path of one machine"], "cd /" + "root/x")
    assert re.search(UNWANTED["a registry's host"], "https://py" + "pi.org/p")
    assert re.search(UNFINISHED["a mark of unfinished work"], "# TO" + "DO later")
    assert re.search(UNFINISHED["a test that does not run"], "@pytest.mark." + "skip")
