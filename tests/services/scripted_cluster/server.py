"""The scripted cluster itself: a real HTTP server on loopback that speaks the wire contract, until told otherwise."""

import asyncio
import contextlib
import functools
import json
import os
import signal
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import unquote
from uuid import UUID

from aiohttp import web

from tests.services.scripted_cluster.answers import Answer, usual
from tests.services.scripted_cluster.pause import Pause
from tests.services.scripted_cluster.runs import Call, Run, ScriptedJob, Verb

KEY = "key-of-the-scripted-cluster"
_PIECE = 64 * 1024
_PATIENCE = 0.01  # seconds that requests in flight get when it goes down
_MEMBERS = {"job_id", "dataset_url", "hyperparameters", "gpu_config", "callback_url"}


class _Jobs(dict[str, ScriptedJob]):
    """Jobs by id, as UUID or text; one that is not there yet is made, so that it can be scripted beforehand."""

    def __getitem__(self, job_id: UUID | str) -> ScriptedJob:
        return super().__getitem__(str(job_id))

    def __missing__(self, job_id: str) -> ScriptedJob:
        made = self[job_id] = ScriptedJob(job_id=job_id)
        return made


class Listener:
    """An HTTP server on one loopback port that can go and come back."""

    def __init__(
        self, answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], port: int = 0
    ) -> None:
        self._answer, self.port = answer, port
        self._runner: web.ServerRunner | None = None

    @property
    def url(self) -> str:
        """`http://127.0.0.1:port`; known once it has been up."""
        return f"http://127.0.0.1:{self.port}"

    async def come_up(self) -> None:
        """Listen; the same port each time."""
        if self._runner is None:
            self._runner = web.ServerRunner(
                web.Server(self._answer, handler_cancellation=True, access_log=None),
                shutdown_timeout=_PATIENCE,
            )
            await self._runner.setup()
            site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True, backlog=1024)
            await site.start()
            self.port = site.port

    async def go_down(self) -> None:
        """Refuse connections, and end those that are there."""
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()


class ScriptedCluster:
    """A GPU cluster for tests: `jobs` to make things happen, `script` and `always` for faults, `journal` to look back.

    Without a script it keeps the contract: the bearer key is checked, the same Idempotency-Key gives the same run (unless
    `dedupes` is false), also after a cancel; a run stays `running` until its `ScriptedJob` says otherwise.
    """

    def __init__(self, key: str = KEY, *, port: int = 0, dedupes: bool = True) -> None:
        self.key, self.dedupes = key, dedupes
        self.jobs = _Jobs()
        self.journal: list[Call] = []
        self.complaints: list[str] = []  #: what a good client would never do; tests expect it empty
        self.decoy_calls: list[Call] = []  #: what came to `decoy_url`, where nobody has any business
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)  #: the Date of its answers
        self.pause: Pause | None = None  #: set one to hold the answers to what comes from now on
        self._listener, self._decoy = Listener(self._answer, port), Listener(self._trap)
        self._came = asyncio.Event()
        self._always: dict[str, Answer] = {}
        self._by_key: dict[str, Run] = {}
        self._by_id: dict[str, tuple[ScriptedJob, Run]] = {}

    @property
    def url(self) -> str:
        """Its base URL."""
        return self._listener.url

    @property
    def decoy_url(self) -> str:
        """Another origin, to be redirected to."""
        return self._decoy.url

    @property
    def live(self) -> list[Run]:
        """Every run that holds GPUs now."""
        return [run for job in self.jobs.values() for run in job.live]

    async def start(self) -> None:
        """Listen; ports are known afterwards."""
        await self._listener.come_up()
        await self._decoy.come_up()

    async def close(self) -> None:
        """End it."""
        await self._listener.go_down()
        await self._decoy.go_down()

    async def go_down(self) -> None:
        """Refuse connections until `come_back`; runs go on."""
        await self._listener.go_down()

    async def come_back(self) -> None:
        """Listen again, on the same port."""
        await self._listener.come_up()

    def script(
        self,
        job_id: UUID | str,
        *,
        submit: Iterable[Answer] = (),
        status: Iterable[Answer] = (),
        cancel: Iterable[Answer] = (),
    ) -> None:
        """How the next requests about a job are answered, one each; as usual after that."""
        self.jobs[job_id].script(submit=submit, status=status, cancel=cancel)

    def always(
        self, *, submit: Answer | None = None, status: Answer | None = None, cancel: Answer | None = None
    ) -> None:
        """How every request of a verb is answered, whatever the job; a verb left out is as scripted again."""
        told = {"submit": submit, "status": status, "cancel": cancel}
        self._always = {verb: answer for verb, answer in told.items() if answer is not None}

    def calls(self, verb: Verb | None = None, job_id: UUID | str | None = None) -> list[Call]:
        """The journal, of one verb or job."""
        return [
            call
            for call in self.journal
            if verb in (None, call.verb) and (job_id is None or call.job_id == str(job_id))
        ]

    async def called(
        self, verb: Verb, times: int = 1, *, job_id: UUID | str | None = None, seconds: float = 10
    ) -> list[Call]:
        """Wait until `verb` has come so often. Raises `TimeoutError`."""
        async with asyncio.timeout(seconds):
            while len(self.calls(verb, job_id)) < times:
                self._came.clear()
                await self._came.wait()
        return self.calls(verb, job_id)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        call = await _call(request)
        job, run = self._subject(call)
        call.job_id = job.job_id if job else None
        self.journal.append(call)
        self._came.set()
        if call.headers.get("Authorization") != f"Bearer {self.key}":
            return await self._speak(
                request, call, Answer(), 401, b'{"error": "The bearer key is missing or wrong."}'
            )
        answer = self._always.get(call.verb) or (job.next_answer(call.verb) if job else None) or usual()
        done = functools.partial(self._done, answer, call, job, run)
        status, body = await self.pause.outcome(done) if self.pause else done()
        if answer.delay:
            await asyncio.sleep(answer.delay)
        if answer.how != "speak":
            call.answered = answer.how
            await _misbehave(request, call, answer)
        if answer.status is not None:
            status, body = answer.status, answer.body
        return await self._speak(request, call, answer, status, body)

    async def _speak(
        self, request: web.BaseRequest, call: Call, answer: Answer, status: int, body: bytes
    ) -> web.StreamResponse:
        call.answered = str(status)
        date = format_datetime(self.clock(), usegmt=True)
        headers = {"Content-Type": "application/json", "Date": date, **answer.headers}
        response = web.StreamResponse(status=status, headers=headers)
        if answer.chunked:
            response.enable_chunked_encoding()
        else:
            response.content_length = answer.filler or len(body)
        with contextlib.suppress(ConnectionError):  # the client has heard enough
            await response.prepare(request)
            for piece in _pieces(answer, body):
                await asyncio.sleep(answer.drip)
                await response.write(piece)
                call.sent += len(piece)
        return response

    async def _trap(self, request: web.BaseRequest) -> web.StreamResponse:
        self.decoy_calls.append(await _call(request))
        return web.json_response({"external_job_id": "trapped", "status": "completed"})

    def _subject(self, call: Call) -> tuple[ScriptedJob | None, Run | None]:
        """The job and run that a call is about."""
        if call.verb == "submit":
            job_id = _json(call.body).get("job_id")
            return (self.jobs[job_id] if isinstance(job_id, str) else None), None
        return self._by_id.get(call.external_id or "", (None, None))

    def _done(
        self, answer: Answer, call: Call, job: ScriptedJob | None, run: Run | None
    ) -> tuple[int, bytes]:
        return self._act(call, job, run) if answer.act else (500, b"")

    def _act(self, call: Call, job: ScriptedJob | None, run: Run | None) -> tuple[int, bytes]:
        """Do what a good cluster does, and what it would answer."""
        if call.verb == "submit":
            return self._submit(call, job)
        if job is None or run is None or run.forgotten:
            return 404, b'{"error": "No such job."}'
        if call.verb == "status":
            return 200, json.dumps(job.document(run)).encode()
        if call.verb != "cancel":
            return 404, b'{"error": "No such path."}'
        if not run.is_live:
            return 409, b'{"error": "The job is over already."}'
        job.stop(run)
        return 200, b"{}"

    def _submit(self, call: Call, job: ScriptedJob | None) -> tuple[int, bytes]:
        if job is None or call.key != job.job_id:
            self.complaints.append(f"submit: job_id and Idempotency-Key must be the same, not {call.key!r}")
            return 422, b'{"error": "Idempotency-Key: it must equal job_id."}'
        if missing := _MEMBERS - _json(call.body).keys():
            self.complaints.append(f"submit: without {sorted(missing)}")
        known = self._by_key.get(call.key)
        if known is not None and known.body != call.body:
            self.complaints.append(f"submit: other bytes under the key {call.key}")
        if known is None or not self.dedupes:
            external_id = job.next_name() or f"ext-{len(self._by_id) + 1}"
            known = self._by_key[call.key] = Run(external_id=external_id, body=call.body)
            self._by_id[external_id] = (job, known)
            job.start(known)
        return 200, json.dumps({"external_job_id": known.external_id}).encode()


@contextlib.asynccontextmanager
async def scripted_cluster(key: str = KEY, *, dedupes: bool = True) -> AsyncIterator[ScriptedCluster]:
    """A scripted cluster in this event loop, on a free port."""
    cluster = ScriptedCluster(key, dedupes=dedupes)
    await cluster.start()
    try:
        yield cluster
    finally:
        await cluster.close()


async def _call(request: web.BaseRequest) -> Call:
    _, _, tail = request.rel_url.raw_path.partition("/training/")
    verb, _, segment = tail.partition("/")
    return Call(
        at=datetime.now(UTC),
        verb=verb if verb and "/" not in segment else request.rel_url.raw_path,
        job_id=None,
        external_id=unquote(segment) or None,
        key=request.headers.get("Idempotency-Key"),
        headers=dict(request.headers),
        body=await request.read(),
    )


def _pieces(answer: Answer, body: bytes) -> Iterable[bytes]:
    if answer.filler:
        return (b" " * min(_PIECE, answer.filler - start) for start in range(0, answer.filler, _PIECE))
    return (body[at : at + 1] for at in range(len(body))) if answer.drip else (body,)


async def _misbehave(request: web.BaseRequest, call: Call, answer: Answer) -> None:
    """Anything but an answer; ends when the connection does."""
    transport = request.transport
    if transport is not None and answer.how == "raw":
        for piece in _pieces(answer, answer.body):
            await asyncio.sleep(answer.drip)
            transport.write(piece)
            call.sent += len(piece)
        transport.close()
    elif transport is not None and answer.how == "reset":
        connection: socket.socket = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # RST, not FIN
        transport.abort()
    elif answer.how == "kill":
        os.kill(answer.pid, signal.SIGKILL)
    await asyncio.Event().wait()


def _json(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
