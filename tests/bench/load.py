"""HTTP load from wrk: ready-made requests at a number of connections, and what they cost the processes that answer."""

import itertools
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tests.bench.machine import AROUND, cpu_seconds, on
from tests.bench.report import PartMissing

_FOLDER = Path(__file__).parent


class Load(msgspec.Struct, frozen=True):
    """What a stretch of load brought; latencies in milliseconds, while so many connections were waiting."""

    requests: int
    seconds: float
    bytes: int
    p50: float
    p95: float
    p99: float
    refused: int
    broken: int
    server_ms: float = 0.0  #: processor time of the server, a request
    database_ms: float = 0.0  #: and of Postgres

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


@dataclass(frozen=True, slots=True)
class Target:
    """A server, and the requests it is asked."""

    name: str
    url: str
    pid: int
    requests: Path
    script: str = "load.lua"
    environment: Mapping[str, str] | None = None
    connections: int = 16
    least_seconds: float = 0  #: for those who answer seldom


def request(
    method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
) -> bytes:
    """A request as it goes over the wire."""
    fields = {"Host": "127.0.0.1", **(headers or {})}
    if body is not None:
        fields |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + (body or b"")


_numbers = itertools.count(1)


def keep_requests(folder: Path, requests: Iterable[bytes]) -> Path:
    """A file of requests for wrk."""
    file = folder / f"requests-{next(_numbers)}"
    file.write_bytes(b"".join(request + b"\0" for request in requests))
    return file


def need_wrk() -> None:
    """Raises `PartMissing` when there is no wrk."""
    if shutil.which("wrk") is None:
        raise PartMissing("wrk is missing: apt-get install wrk")


def put_load(
    target: Target, *, seconds: float, connections: int | None = None, database_pid: int | None = None
) -> Load:
    """Ask `target` for that long. Raises `RuntimeError` when answers are missing or refused."""
    seconds = max(seconds, target.least_seconds)
    command = [
        "wrk",
        "-t1",
        f"-c{connections or target.connections}",
        f"-d{round(seconds)}s",
        "--timeout",
        "30s",
    ]
    pids = [target.pid] if database_pid is None else [target.pid, database_pid]
    before = [cpu_seconds(pid) for pid in pids]
    with on(AROUND):
        done = subprocess.run(
            [*command, "-s", str(_FOLDER / target.script), target.url],
            env={**os.environ, "REQUESTS": str(target.requests), **(target.environment or {})},
            capture_output=True,
            text=True,
            check=True,
        )
    used = [cpu_seconds(pid) - then for pid, then in zip(pids, before, strict=True)]
    load = msgspec.json.decode(done.stdout.splitlines()[-1], type=Load)
    if load.requests == 0 or load.refused or load.broken:
        raise RuntimeError(
            f"{target.name}: {load.refused} refused, {load.broken} broken, {load.requests} answered"
        )
    per_request = [seconds * 1e3 / load.requests for seconds in used]
    return msgspec.structs.replace(
        load, server_ms=per_request[0], database_ms=per_request[1] if database_pid else 0.0
    )
