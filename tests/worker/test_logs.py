"""One event is one line, ours and a library's alike, and no secret gets through."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
import structlog

from jobs.logs import REDACTED, configure_logging

JOB = UUID("11111111-1111-1111-1111-111111111111")


@pytest.fixture
def as_before() -> Iterator[None]:
    """Logging is the process's: give it back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()
    for name in ("strawberry.execution", "arq.worker", "sqlalchemy", "aiosqlite", "asyncio"):
        logging.getLogger(name).setLevel(logging.NOTSET)


@pytest.fixture
def out(as_before: None) -> io.StringIO:
    """Where JSON lines go."""
    stream = io.StringIO()
    configure_logging("json", stream)
    return stream


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    """Each line, read; anything but one object a line fails."""
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_our_events_and_a_librarys_have_the_same_members(out: io.StringIO) -> None:
    structlog.get_logger("jobs.cycle").warning("cluster away", job=JOB)
    with structlog.contextvars.bound_contextvars(job=str(JOB)):
        logging.getLogger("uvicorn.error").warning("it is %s", "late")
    ours, theirs = lines(out)
    assert set(ours) == set(theirs) == {"event", "level", "logger", "timestamp", "job"}
    assert (ours["event"], ours["level"], ours["logger"]) == ("cluster away", "warning", "jobs.cycle")
    assert (theirs["event"], theirs["job"]) == ("it is late", str(JOB))
    assert ours["job"] == str(JOB)


def test_what_extra_gives_a_standard_record_is_kept(out: io.StringIO) -> None:
    logging.getLogger("jobs.old").warning("saved", extra={"job": str(JOB)})
    assert lines(out)[0]["job"] == str(JOB)


def test_a_library_with_handlers_of_its_own_is_heard_once(as_before: None) -> None:
    other, ours = io.StringIO(), io.StringIO()
    arq = logging.getLogger("arq")
    arq.addHandler(logging.StreamHandler(other))  # as arq's own command does
    configure_logging("json", ours)
    logging.getLogger("arq.connections").warning("redis connection error")
    assert other.getvalue() == ""
    assert len(lines(ours)) == 1


def test_chatter_is_left_out(out: io.StringIO) -> None:
    logging.getLogger("strawberry.execution").error("query { password }")
    logging.getLogger("arq.worker").info("0.00s → run_cycle()")
    logging.getLogger("sqlalchemy.engine.Engine").info("SELECT 1")
    structlog.get_logger("jobs").debug("detail")
    assert lines(out) == []


SECRET = "c2VjcmV0LXRoYXQtbXVzdC1ub3QtYmUtc2Vlbg"
TOKEN = f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.{SECRET}"


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {SECRET}",
        f"authorization: bearer {SECRET} sent",
        f"POST /callbacks/training/{JOB}?token={SECRET} HTTP/1.1",
        f"callback http%3A//api/callbacks?token%3D{SECRET}",
        f"GET /files/a?x=1&signature={SECRET}&expires=5",
        f"https://s3/x?X-Amz-Credential={SECRET}%2F2026&X-Amz-Signature={SECRET}",
        f"https://s3/x?X-Amz-Security-Token={SECRET}",
        f'body {{"token": "{SECRET}"}}',
        f"cannot connect to postgresql://pipeline:{SECRET}@db:5432/x",
        f"cannot connect to redis://:{SECRET}@redis:6379/0",
        f"a token on its own: {TOKEN}",
    ],
)
@pytest.mark.parametrize("log_format", ["json", "console"])
def test_no_secret_is_written_wherever_it_stands(as_before: None, text: str, log_format: str) -> None:
    out = io.StringIO()
    configure_logging(log_format, out)
    logger = structlog.get_logger("jobs.cluster")
    logger.warning(text)
    logger.warning("call", error=ValueError(text), nested={"list": [text]})
    logging.getLogger("uvicorn.access").warning('"%s" %d', text, 200)
    try:
        raise ValueError(text)
    except ValueError:
        logger.exception("failed")
    assert SECRET not in out.getvalue()
    assert out.getvalue().count(REDACTED) >= 4
    assert "ValueError" in out.getvalue()


@pytest.mark.parametrize(
    "name", ["Authorization", "jwt_secret", "password", "token", "api_key", "callback_token"]
)
def test_a_value_under_a_secrets_name_is_not_written(out: io.StringIO, name: str) -> None:
    structlog.get_logger("jobs").warning("settings", **{name: SECRET, "headers": {name: SECRET}})
    assert SECRET not in out.getvalue()


@pytest.mark.parametrize("text", ["total_tokens=12", "design=flat", "no bearer", "step 3: token count 5"])
def test_words_that_only_look_like_it_are_kept(out: io.StringIO, text: str) -> None:
    structlog.get_logger("jobs").warning(text, total_tokens=12)
    assert (lines(out)[0]["event"], lines(out)[0]["total_tokens"]) == (text, 12)


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_nobody_forges_a_line_or_paints_the_terminal(as_before: None, log_format: str) -> None:
    out = io.StringIO()
    configure_logging(log_format, out)
    structlog.get_logger("jobs").warning("bad\r\n2026 [info] forged", said="\x1b[31mred\x1b[0m\u2028")
    assert len(out.getvalue().splitlines()) == 1
    assert "\x1b" not in out.getvalue()


def test_a_value_of_a_megabyte_is_cut(out: io.StringIO) -> None:
    structlog.get_logger("jobs").warning("long", said="x" * 1_000_000)
    assert len(out.getvalue()) < 5_000
