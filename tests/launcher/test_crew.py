"""Children start together, are missed when one dies, and end in order; none is left over."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jobs.crew import Crew, CrewError

FOREVER = [sys.executable, "-c", "import signal; signal.pause()"]
DEAF = [
    sys.executable,
    "-c",
    "import signal; signal.signal(15, signal.SIG_IGN); print(1, flush=True); signal.pause()",
]


def crew_in(folder: Path) -> Crew:
    return Crew(folder, os.environ)


async def test_a_child_that_dies_is_named_with_its_exit_code_and_last_words(tmp_path: Path) -> None:
    crew = crew_in(tmp_path)
    await crew.start("steady", FOREVER)
    await crew.start("frail", [sys.executable, "-c", "print('out of paper'); raise SystemExit(3)"])
    lost = await asyncio.wait_for(crew.first_loss, 10)
    await crew.end([], seconds=5)
    assert "frail ended with exit code 3" in lost.last_words()
    assert "out of paper" in lost.last_words()


async def test_children_asked_to_end_are_no_loss(tmp_path: Path) -> None:
    crew = crew_in(tmp_path)
    await crew.start("steady", FOREVER)
    await crew.end(["steady"], seconds=5)
    await asyncio.sleep(0)
    assert not crew.first_loss.done()


async def test_a_deaf_child_is_killed_and_leaves_time_for_the_rest(tmp_path: Path) -> None:
    crew = crew_in(tmp_path)
    await crew.start("deaf", DEAF)
    await crew.start("steady", FOREVER)
    await asyncio.to_thread(spoken, tmp_path / "deaf.log")
    begun = time.monotonic()
    await crew.end(["deaf", "steady"], seconds=1)
    assert time.monotonic() - begun < 1


async def test_a_command_gives_its_answer_or_its_error(tmp_path: Path) -> None:
    crew = crew_in(tmp_path)
    assert await crew.run("answer", [sys.executable, "-c", "print(6 * 7)"]) == "42"
    with pytest.raises(CrewError, match=r"(?s)question ended with exit code 1.*no such thing"):
        await crew.run("question", [sys.executable, "-c", "raise SystemExit('no such thing')"])


async def test_the_log_of_the_last_time_is_kept(tmp_path: Path) -> None:
    for word in ("first", "second"):
        crew = crew_in(tmp_path)
        await crew.start("speaker", [sys.executable, "-c", f"print({word!r})"])
        await asyncio.wait_for(crew.first_loss, 10)
    assert (tmp_path / "speaker.log").read_text() == "second\n"
    assert (tmp_path / "speaker.log.1").read_text() == "first\n"


def test_kill_9_of_the_parent_ends_the_children(tmp_path: Path) -> None:
    parent = f"""
import asyncio, os, pathlib, signal
from jobs.crew import Crew
async def main():
    crew = Crew(pathlib.Path({str(tmp_path)!r}), os.environ)
    await crew.start("steady", {FOREVER!r})
    print(crew._members["steady"].process.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    command = [sys.executable, "-c", parent]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert ended_within(int(done.stdout), seconds=5)


def spoken(log: Path) -> None:
    """Return when the child has said something."""
    deadline = time.monotonic() + 10
    while not log.read_text():
        assert time.monotonic() < deadline, f"{log} stays empty"
        time.sleep(0.01)


def ended_within(pid: int, *, seconds: float) -> bool:
    """Whether the process is gone, or a zombie nobody has asked for yet."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False
