"""`python -m tests.kills.nursery`: makes workers in hundredths of a second, each a fork of a process that has imported all.

A line of JSON on standard input (`environ`, `log`, `dies_at`) is a new process that does what `python -m jobs worker` does;
its id comes on standard output. With `dies_at` it kills itself at that point: points lie before and after every write to the
cluster or to Postgres and every SQL statement, and before every commit, and are counted from its first claim on.
"""

import asyncio
import gc
import itertools
import json
import os
import signal
import socket
import sys
from urllib.parse import urlsplit

import uvloop
from sqlalchemy import event
from sqlalchemy.engine import Engine

import jobs.cli.worker
from jobs.cli import main
from jobs.embedded import ends_with_parent


def serve() -> None:
    """Fork a worker for each line, until there are no more."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the dead need nobody's wait
    gc.freeze()
    for line in iter(sys.stdin.readline, ""):
        ask_the_kernel = ends_with_parent()
        if child := os.fork():
            print(child, flush=True)
        else:
            ask_the_kernel()
            be_worker(**json.loads(line))


def be_worker(environ: dict[str, str], log: str, dies_at: int | None) -> None:
    """Never returns."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    words = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for fd, number in ((nothing, 0), (words, 1), (words, 2)):
        os.dup2(fd, number)
    os.environ.clear()
    os.environ.update(environ)
    if dies_at is not None:
        arm(dies_at)
    code = main(["worker"], os.environ)
    sys.stderr.flush()
    os._exit(code)


def arm(dies_at: int) -> None:
    """Kill this process at the point `dies_at`, counted from 1."""
    points = itertools.count(1)
    has_begun = False

    def point() -> None:
        if has_begun and next(points) == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def before_statement(_: object, __: object, statement: str, *___: object) -> None:
        nonlocal has_begun
        has_begun = has_begun or "UPDATE training_jobs" in statement
        point()

    send, bell = socket.socket.send, urlsplit(os.environ["REDIS_URL"]).port

    def send_between_points(own: socket.socket, data: bytes) -> int:
        # The loop wakes itself, and arq asks all the time: points there would be others in every run.
        if own.family == socket.AF_UNIX or own.getpeername()[1] == bell:
            return send(own, data)
        point()
        sent = send(own, data)
        point()
        return sent

    uvloop.run = asyncio.run  # type: ignore[assignment]  # Python's own loop writes through Python's sockets
    socket.socket.send = send_between_points  # type: ignore[method-assign,assignment]
    event.listen(Engine, "before_cursor_execute", before_statement)
    event.listen(Engine, "after_cursor_execute", lambda *_: point())
    event.listen(Engine, "commit", lambda _: point())


if __name__ == "__main__":
    assert jobs.cli.worker  # imported above all for its imports
    serve()
