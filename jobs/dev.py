"""The whole service on this machine, on embedded parts: its processes are started and ended as one."""

import asyncio
import contextlib
import errno
import fcntl
import json
import os
import secrets
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from jobs.api_client import ApiRefused, ApiUnavailable
from jobs.crew import Crew, CrewError, python_module
from jobs.embedded import valkey_command
from jobs.first_job import make_first_job

USER = "dev"
_ORDER_OF_ENDING = ("worker", "executor", "api", "valkey")
_SECONDS_TO_END = 9.0
_SECONDS_TO_START = 60.0
_SECRETS = ("SECRET_KEY", "JWT_SECRET", "GPU_CLUSTER_API_KEY")


class CannotStartError(Exception):
    """Something about this machine or its settings is in the way; the message says what to do."""


@dataclass(frozen=True)
class Plan:
    """What is to be started; a part that a variable places elsewhere is left alone."""

    environment: Mapping[str, str]  #: what every process gets
    host: str
    port: int
    executor_port: int | None  #: None when `GPU_CLUSTER_API_URL` names another cluster
    valkey_socket: Path | None  #: None when `REDIS_URL` names another server

    @property
    def public_url(self) -> str:
        """Where the browser finds the API."""
        return self.environment["PUBLIC_URL"].rstrip("/")

    @property
    def local_url(self) -> str:
        """Where this process finds the API."""
        return _url(self.host, self.port)


def plan(given: Mapping[str, str], data: Path, valkey_socket: Path) -> Plan:
    """Fill what `given` (the environment) leaves open; `data` is an absolute folder that exists."""
    environment = {name: value for name, value in given.items() if value}
    host, port = environment.get("HOST", "127.0.0.1"), _port(environment, "PORT", 8000)
    own_executor = "GPU_CLUSTER_API_URL" not in environment
    own_valkey = "REDIS_URL" not in environment
    executor_port = _port(environment, "EXECUTOR_PORT", 8100)
    environment["DATA_DIR"] = str(data)
    for name, value in {
        "PUBLIC_URL": _url(host, port),
        "GPU_CLUSTER_API_URL": f"http://127.0.0.1:{executor_port}",
        "REDIS_URL": f"unix://{valkey_socket}",
        "EXECUTOR_END_RUNS_WITH_PARENT": "1",
        **_kept_secrets(data / "secrets.json"),
    }.items():
        environment.setdefault(name, value)
    return Plan(
        environment,
        host,
        port,
        executor_port if own_executor else None,
        valkey_socket if own_valkey else None,
    )


async def run(given: Mapping[str, str], data: Path) -> None:
    """Start everything and stay until SIGINT, SIGTERM or SIGHUP, or until a process ends by itself.

    `given` is the environment, `data` the absolute folder in which everything is kept.
    Raises `CannotStartError` and `CrewError`; in every case all processes have ended when it returns.
    """
    with _only_one(data), tempfile.TemporaryDirectory(prefix="lora-pipeline-") as private:
        doing = plan(given, data, Path(private) / "valkey.sock")
        _refuse_taken_ports(doing)
        logs = data / "logs"
        logs.mkdir(exist_ok=True)
        crew = Crew(logs, doing.environment)
        stop = _on_signals(crew)
        life = asyncio.create_task(_start(crew, doing))
        try:
            await _until_something_ends(life, stop, crew)
        finally:
            life.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await life
            await crew.end(_ORDER_OF_ENDING, seconds=_SECONDS_TO_END)


def main() -> int:
    """Run until told to stop; the exit code: 0 when asked to end, 1 when something went wrong."""
    try:
        asyncio.run(run(os.environ, Path(os.environ.get("DATA_DIR") or "data").absolute()))
    except (CannotStartError, CrewError) as error:
        print(f"dev: {error}", file=sys.stderr)
        return 1
    print("dev: everything has ended.")
    return 0


async def _start(crew: Crew, doing: Plan) -> None:
    begun = time.monotonic()
    environment = doing.environment
    print(f"dev: data and logs in {environment['DATA_DIR']}", flush=True)
    if doing.valkey_socket:
        await crew.start("valkey", valkey_command(socket=doing.valkey_socket))
    if doing.executor_port:
        await crew.start("executor", python_module("jobs.executor"))
    await crew.run("migrate", python_module("jobs", "migrate"))
    await crew.start("api", python_module("server"))
    await crew.start("worker", python_module("jobs", "worker"))
    token, _ = await asyncio.gather(
        crew.run("token", python_module("jobs", "token", USER)), _until_healthy(doing.local_url)
    )
    for name, where in (
        ("api", doing.public_url),
        ("worker", "at every bell, and by the clock"),
        ("executor", environment["GPU_CLUSTER_API_URL"]),
        ("valkey", "on a private socket" if doing.valkey_socket else "not started: REDIS_URL is set"),
    ):
        print(f"dev:   {name:<9} {where}")
    print(f"dev: ready in {time.monotonic() - begun:.1f} s", flush=True)
    try:
        if job := await make_first_job(doing.local_url, token):
            print(f"dev: a sample dataset and a first job are there: {doing.public_url}/training/jobs/{job}")
    except (ApiRefused, ApiUnavailable) as error:
        print(f"dev: the sample job could not be made: {error}", file=sys.stderr)
    print(f"dev: sign in as {USER}: {doing.public_url}/training/jobs#token={token}")
    print("dev: Ctrl-C ends everything.", flush=True)


async def _until_something_ends(life: asyncio.Task[None], stop: asyncio.Event, crew: Crew) -> None:
    """Return when asked to stop; raise when the start fails or a process ends by itself."""
    asked = asyncio.create_task(stop.wait())
    awaited: set[asyncio.Future[Any]] = {life, asked, crew.first_loss}
    try:
        while not asked.done():
            done, awaited = await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
            if crew.first_loss in done:
                raise CrewError(crew.first_loss.result().last_words())
            if life in done:
                life.result()
    finally:
        asked.cancel()
    print("\ndev: ending worker, executor, API …", flush=True)


async def _until_healthy(url: str) -> None:
    deadline = time.monotonic() + _SECONDS_TO_START
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as http:
        while time.monotonic() < deadline:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with http.get(f"{url}/healthz") as answer:
                    if answer.ok:
                        return
            await asyncio.sleep(0.05)
    raise CannotStartError(f"The API at {url} was not healthy within {_SECONDS_TO_START:.0f} s; see its log.")


def _on_signals(crew: Crew) -> asyncio.Event:
    """An event set by the first signal to stop; the second kills what is left."""
    stop = asyncio.Event()

    def asked() -> None:
        if stop.is_set():
            crew.kill()
        stop.set()

    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(signum, asked)
    return stop


@contextlib.contextmanager
def _only_one(data: Path) -> Iterator[None]:
    """Hold the folder for this process; whoever comes second is told."""
    try:
        data.mkdir(parents=True, exist_ok=True)
        lock = (data / "dev.lock").open("w")
    except OSError as exc:
        raise CannotStartError(f"DATA_DIR {data} cannot be written: {exc.strerror}.") from exc
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise CannotStartError(
                f"Another scripts/dev runs on {data}. End it, or set DATA_DIR to another folder."
            ) from exc
        yield


def _kept_secrets(file: Path) -> dict[str, str]:
    """The secrets of this folder, made on first use; the file is readable by its owner alone."""
    if file.exists():
        kept: dict[str, str] = json.loads(file.read_text())
        if all(kept.get(name) for name in _SECRETS):
            return kept
    else:
        kept = {}
    kept = {name: kept.get(name) or secrets.token_urlsafe(32) for name in _SECRETS}
    new = file.with_suffix(".new")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as output:  # noqa: PTH123 - born private
        json.dump(kept, output, indent=2)
    new.replace(file)
    return kept


def _refuse_taken_ports(doing: Plan) -> None:
    ports = [("PORT", doing.host, doing.port)]
    if doing.executor_port:
        host = doing.environment.get("EXECUTOR_HOST", "127.0.0.1")
        ports.append(("EXECUTOR_PORT", host, doing.executor_port))
    for variable, host, port in ports:
        try:
            family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            with socket.socket(family, kind) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
        except OSError as exc:
            if exc.errno == errno.EADDRINUSE:
                wish = f"Set {variable} to a free one, such as {variable}={port + 1}."
                raise CannotStartError(f"Port {port} on {host} is taken by another program. {wish}") from exc
            raise CannotStartError(f"{variable}: cannot listen on {host}, port {port}: {exc}.") from exc


def _port(environment: Mapping[str, str], variable: str, default: int) -> int:
    text = environment.get(variable, str(default))
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 2**16:
        raise CannotStartError(f"{variable} is {text!r}; it must be a port number from 1 to 65535.")
    return int(text)


def _url(host: str, port: int) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - where to reach it, not where to listen
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


if __name__ == "__main__":
    sys.exit(main())
