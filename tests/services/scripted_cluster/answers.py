"""How a scripted cluster answers one request: as usual, or with a fault."""

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

MEGABYTE = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer. Made by the functions below; `act` is theirs too: do what was asked first, then misbehave."""

    how: Literal["speak", "hang", "reset", "raw", "kill"] = "speak"
    status: int | None = None  #: null: status and body as a good cluster would answer
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    act: bool = False
    delay: float = 0.0  #: seconds before the first byte
    drip: float = 0.0  #: seconds before each byte of the body
    filler: int = 0  #: bytes of spaces that make up the body, made while they are sent
    chunked: bool = False
    pid: int = 0


def usual(*, delay: float = 0.0, drip: float = 0.0) -> Answer:
    """What a good cluster answers, perhaps late or one byte every `drip` seconds."""
    return Answer(act=True, delay=delay, drip=drip)


def says(
    status: int,
    body: bytes | str | Mapping[str, Any] = b"",
    *,
    headers: Mapping[str, str] | None = None,
    act: bool = False,
    delay: float = 0.0,
    drip: float = 0.0,
) -> Answer:
    """Any status, body (a mapping is sent as JSON) and headers."""
    if isinstance(body, Mapping):
        body = json.dumps(body)
    raw = body if isinstance(body, bytes) else body.encode()
    return Answer(status=status, body=raw, headers=dict(headers or {}), act=act, delay=delay, drip=drip)


def redirects(to: str, status: int = 307) -> Answer:
    """Sends the caller elsewhere."""
    return says(status, headers={"Location": to})


def hangs(*, act: bool = False) -> Answer:
    """Takes the request and never says a word."""
    return Answer(how="hang", act=act)


def resets(*, act: bool = False) -> Answer:
    """Takes the request and resets the connection."""
    return Answer(how="reset", act=act)


def writes(raw: bytes, *, act: bool = False, drip: float = 0.0) -> Answer:
    """Writes these very bytes to the connection, HTTP or not, and closes it."""
    return Answer(how="raw", body=raw, act=act, drip=drip)


def breaks_off(body: bytes = b'{"external_job_id": "ext', *, act: bool = False) -> Answer:
    """A 200 that promises more bytes than come."""
    return writes(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + body, act=act)


def bomb(megabytes: int = 50) -> Answer:
    """A small gzip body, whatever was asked for, that unpacks to many megabytes of an acceptable answer."""
    unpacked = b'{"external_job_id": "bomb", "status": "completed"' + b" " * (megabytes * MEGABYTE) + b"}"
    return says(200, gzip.compress(unpacked), headers={"Content-Encoding": "gzip"})


def huge(size: int = 100 * MEGABYTE, *, status: int = 200, chunked: bool = False) -> Answer:
    """A body of `size` bytes; chunked, its length is not told beforehand."""
    return Answer(status=status, filler=size, chunked=chunked)


def kills(pid: int, *, act: bool = False) -> Answer:
    """kill -9 the process `pid` (the worker that asks), and never answer."""
    return Answer(how="kill", pid=pid, act=act)
