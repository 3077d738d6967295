"""What is logged and how: one event a line, the same for our modules and for libraries, and never a secret.

Our modules write `structlog.get_logger(__name__).warning("what happened", job=str(job.id))`; libraries that use the
standard `logging` come out the same way. A job's id stands under `job`, given so or bound by
`structlog.contextvars.bound_contextvars(job=…)`.
"""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import Processor

REDACTED = "[redacted]"
_LONGEST = 2_000  # characters of one value; tracebacks are longer
_LONGEST_TRACEBACK = 20_000
_OURS = frozenset({"event", "level", "logger", "timestamp"})

# Libraries that say too much: strawberry prints whole queries, arq two lines for every ring.
_LEVELS = {
    "strawberry.execution": logging.CRITICAL,
    "alembic": logging.WARNING,
    "arq.worker": logging.WARNING,
    "sqlalchemy": logging.WARNING,
    "aiosqlite": logging.WARNING,
    "asyncio": logging.WARNING,
}
_WITH_HANDLERS = ("uvicorn", "uvicorn.error", "uvicorn.access", "arq", "sqlalchemy", "alembic")

_SECRET_NAMES = re.compile(
    r"(?i)authorization|cookie|password|secret|signature|credential|api_?key|(^|_)token$"
)
_SECRETS = (
    (re.compile(r"(?i)\b(bearer)\s+[\w.~+/=-]{6,}"), rf"\1 {REDACTED}"),
    (
        re.compile(
            r"(?i)\b((?:access_|id_|refresh_)?token|sig|signature|api_?key|password|secret"
            r"|x-amz-(?:signature|credential|security-token))(=|%3D|[\"']\s*:\s*[\"'])[^&\s\"'<>,)\]}]+"
        ),
        rf"\1\2{REDACTED}",
    ),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), REDACTED),  # a JSON web token, wherever it stands
    (re.compile(r"://([^/\s:@\"']*):[^/\s@\"']+@"), rf"://\1:{REDACTED}@"),  # a URL with a password
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_CONTROL_BUT_NEWLINE = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")


def configure_logging(log_format: str, stream: TextIO | None = None) -> None:
    """Send everything that is logged to `stream` (standard error): `json`, one object a line, or `console` for people.

    Calling it again replaces what it did before.
    """
    output = sys.stderr if stream is None else stream
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,  # a later call, and a test that captures, reach loggers already in use
    )
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[
                ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                without_secrets,
                _renderer(log_format, output),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name in _WITH_HANDLERS:
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
    for name, level in _LEVELS.items():
        logging.getLogger(name).setLevel(level)


def without_secrets(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Redact bearer tokens, signatures and passwords in every value, escape control characters, cut what is long."""
    event.pop("color_message", None)  # uvicorn's second copy of its words
    return {
        name: _traceback(value) if name in ("exception", "stack") else _clean(name, value)
        for name, value in event.items()
    }


def _renderer(log_format: str, output: TextIO) -> Processor:
    if log_format == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    return structlog.dev.ConsoleRenderer(
        colors=output.isatty(), exception_formatter=structlog.dev.plain_traceback
    )


def _clean(name: str, value: object) -> object:
    if _SECRET_NAMES.search(name) and name not in _OURS and value is not None:
        return REDACTED
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(key): _clean(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean("", item) for item in value]
    return _CONTROL.sub(_escaped, _redacted(str(value)[: 4 * _LONGEST])[:_LONGEST])


def _traceback(value: object) -> str:
    """Its end says what went wrong, so that is kept."""
    return _CONTROL_BUT_NEWLINE.sub(
        _escaped, _redacted(str(value)[-4 * _LONGEST_TRACEBACK :])[-_LONGEST_TRACEBACK:]
    )


def _redacted(text: str) -> str:
    for secret, instead in _SECRETS:
        text = secret.sub(instead, text)
    return text


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
