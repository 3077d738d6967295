"""What is logged of a job on its way: each line says which job it is about, and none holds a secret."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from jobs.logs import configure_logging
from jobs.questions import Questions
from tests.cycle.conftest import SECRET, USER, House
from tests.services.scripted_cluster import KEY, hangs, resets, says

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """What was logged, line by line; logging is the process's and given back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    out = io.StringIO()
    configure_logging("json", out)
    yield lambda: [json.loads(line) for line in out.getvalue().splitlines()]
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


async def test_every_line_about_a_job_names_it_and_none_holds_a_secret(
    impatient: House, lines: Lines
) -> None:
    job = await impatient.job()
    impatient.cluster.script(
        job.id, submit=[says(401), resets()], status=[hangs(), says(500)], cancel=[says(503)]
    )
    for _ in range(8):
        await impatient.turn(seconds=60)
    await impatient.commands.cancel_job(USER, job.id)
    for _ in range(4):
        await impatient.turn(seconds=60)
    another = await impatient.running()
    reported = {"path": "adapter.tar", "size_bytes": 7, "sha256": "0" * 64}
    impatient.cluster.jobs[another.id].complete(artifact=reported)  # which nobody has put there
    await impatient.turn(seconds=60)

    logged = [line for line in lines() if line["logger"].startswith("jobs.")]
    events = [line["event"] for line in logged]
    assert {"job created", "job cancelled", "job moved"} <= set(events)
    assert "the reported adapter is not in the storage" in events
    assert {line["job"] for line in logged} == {str(job.id), str(another.id)}
    said = json.dumps(lines())
    sent = json.loads(impatient.cluster.calls("submit", job_id=job.id)[-1].body)
    tokens = [sent[name].rpartition("=")[2] for name in ("dataset_url", "artifact_url", "callback_url")]
    for secret in (KEY, SECRET.decode(), *tokens):
        assert secret not in said


async def test_a_job_that_could_not_be_followed_is_named(
    house: House, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await house.job()

    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Questions, "ask", broken)
    await house.turn()
    failed = [line for line in lines() if line["level"] == "error"]
    assert [line["job"] for line in failed] == [str(job.id)]
