"""`python -m tests.kills.nursery`: makes workers and APIs in hundredths of a second, each a fork of a process that has
imported all.

A line of JSON on standard input (`program`, `environ`, `log`, `dies_at`) is a new process that does what `python -m jobs
worker` or `python -m server` does; its id comes on standard output. With `dies_at` it kills itself at that point: points lie
before and after every write to a socket and every SQL statement, and before every commit, and are counted from a worker's
first claim on, and from when an API gets a mutation.
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
from uvicorn.config import LOOP_FACTORIES

import jobs.cli.worker
import server.__main__
from jobs.cli import main
from jobs.embedded import ends_with_parent

BEGINS = {
    "worker": "UPDATE training_jobs",
    "server": "mutation",
}  #: what is said when the first point is near


def serve() -> None:
    """Fork a process for each line, until there are no more."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the dead need nobody's wait
    gc.freeze()
    for line in iter(sys.stdin.readline, ""):
        ask_the_kernel = ends_with_parent()
        if child := os.fork():
            print(child, flush=True)
        else:
            ask_the_kernel()
            be(**json.loads(line))


def be(program: str, environ: dict[str, str], log: str, dies_at: int | None) -> None:
    """Never returns."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    words = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for fd, number in ((nothing, 0), (words, 1), (words, 2)):
        os.dup2(fd, number)
    os.environ.clear()
    os.environ.update(environ)
    if dies_at is not None:
        arm(program, dies_at)
    code = main(["worker"], os.environ) if program == "worker" else server.__main__.main()
    sys.stderr.flush()
    os._exit(code)


def arm(program: str, dies_at: int) -> None:
    """Kill this process at the point `dies_at`, counted from 1."""
    points = itertools.count(1)
    has_begun = False

    def point() -> None:
        if has_begun and next(points) == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def begin(words: str) -> None:
        nonlocal has_begun
        has_begun = has_begun or BEGINS[program] in words

    def before_statement(_: object, __: object, statement: str, *___: object) -> None:
        begin(statement)
        point()

    send, receive = socket.socket.send, socket.socket.recv
    # arq asks all the time: points there would be others in every run. An API only rings.
    quiet = urlsplit(os.environ["REDIS_URL"]).port if program == "worker" else None

    def send_between_points(own: socket.socket, data: bytes) -> int:
        if own.family == socket.AF_UNIX or own.getpeername()[1] == quiet:  # the loop wakes itself
            return send(own, data)
        point()
        sent = send(own, data)
        point()
        return sent

    def receive_and_begin(own: socket.socket, most: int) -> bytes:
        data = receive(own, most)
        if own.family != socket.AF_UNIX:
            begin(data.decode("latin-1"))
        return data

    uvloop.run = asyncio.run  # type: ignore[assignment]  # Python's own loop writes through Python's sockets
    LOOP_FACTORIES["auto"] = LOOP_FACTORIES["asyncio"]
    socket.socket.send = send_between_points  # type: ignore[method-assign,assignment]
    socket.socket.recv = receive_and_begin  # type: ignore[method-assign,assignment]
    event.listen(Engine, "before_cursor_execute", before_statement)
    event.listen(Engine, "after_cursor_execute", lambda *_: point())
    event.listen(Engine, "commit", lambda _: point())


if __name__ == "__main__":
    assert jobs.cli.worker  # imported above all for its imports
    serve()
