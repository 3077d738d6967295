"""A scripted cluster in a process of its own, spoken to over a control port that stays up when it is down."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import msgspec
from aiohttp import web

from tests.services.process import accepts_tcp, end, free_port, launch
from tests.services.scripted_cluster.answers import Answer
from tests.services.scripted_cluster.runs import Call, Run, Verb
from tests.services.scripted_cluster.server import KEY, ScriptedCluster

_ROOT = Path(__file__).parents[3]
_OF_CLUSTER = {"always", "go_down", "come_back"}
_OF_JOB = {"script", "then", "progress", "complete", "fail", "cancel", "forget", "linger"}


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """What the process had of a job when it was asked."""

    runs: list[Run]
    max_live: int


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What the process knew when it was asked."""

    journal: list[Call]
    complaints: list[str]
    jobs: dict[str, JobView]


class RemoteJob:
    """One job of a `RemoteCluster`; the methods of `ScriptedJob`, awaited."""

    def __init__(self, tell: Callable[..., Awaitable[None]], job_id: str) -> None:
        self._tell, self._job_id = tell, job_id

    async def script(self, **answers: Iterable[Answer]) -> None:
        """`submit=`, `status=`, `cancel=`: how the next requests are answered."""
        await self._tell("script", self._job_id, named={verb: list(each) for verb, each in answers.items()})

    async def then(self, *turns: str | Mapping[str, Any]) -> None:
        """What the next polls show, the last for good."""
        await self._tell("then", self._job_id, turns)

    async def progress(self, **members: Any) -> None:
        """What the status document says from now on."""
        await self._tell("progress", self._job_id, named=members)

    async def complete(
        self, *, finished_at: datetime | None = None, artifact: Mapping[str, Any] | None = None
    ) -> None:
        """The run ends well."""
        await self._tell("complete", self._job_id, named={"finished_at": finished_at, "artifact": artifact})

    async def fail(self, message: str | None = None, *, finished_at: datetime | None = None) -> None:
        """The run fails."""
        await self._tell("fail", self._job_id, (message,), {"finished_at": finished_at})

    async def cancel(self) -> None:
        """The run is stopped without anybody's asking."""
        await self._tell("cancel", self._job_id)

    async def forget(self) -> None:
        """404 from now on."""
        await self._tell("forget", self._job_id)

    async def linger(self, polls: int) -> None:
        """A run that is cancelled stays alive for so many polls."""
        await self._tell("linger", self._job_id, (polls,))


class RemoteCluster:
    """The control port of a scripted cluster elsewhere."""

    def __init__(self, http: aiohttp.ClientSession, url: str, control_url: str, key: str) -> None:
        self.url, self.key = url, key
        self._http, self._control_url = http, control_url

    def job(self, job_id: UUID | str) -> RemoteJob:
        """One job, to be scripted also before it is submitted."""
        return RemoteJob(self._tell, str(job_id))

    async def always(self, **answers: Answer) -> None:
        """`submit=`, `status=`, `cancel=`: how every request is answered; a verb left out is as scripted again."""
        await self._tell("always", None, named=answers)

    async def go_down(self) -> None:
        """Refuse connections."""
        await self._tell("go_down", None)

    async def come_back(self) -> None:
        """Listen again."""
        await self._tell("come_back", None)

    async def look(self) -> View:
        """The journal, the complaints and the runs of every job."""
        async with self._http.get(self._control_url) as answer:
            return msgspec.json.decode(await answer.read(), type=View)

    async def called(
        self, verb: Verb, times: int = 1, *, job_id: UUID | str | None = None, seconds: float = 10
    ) -> list[Call]:
        """Wait until `verb` has come so often. Raises `TimeoutError`."""
        async with asyncio.timeout(seconds):
            while True:
                calls = [call for call in (await self.look()).journal if call.verb == verb]
                calls = [call for call in calls if job_id is None or call.job_id == str(job_id)]
                if len(calls) >= times:
                    return calls
                await asyncio.sleep(0.02)

    async def _tell(
        self,
        name: str,
        job_id: str | None,
        given: Iterable[Any] = (),
        named: Mapping[str, Any] | None = None,
    ) -> None:
        order = {"name": name, "job_id": job_id, "given": list(given), "named": named or {}}
        async with self._http.post(self._control_url, data=msgspec.json.encode(order)) as answer:
            if answer.status != 200:
                raise RuntimeError(f"{name}: {await answer.text()}")


@contextlib.asynccontextmanager
async def scripted_cluster_process(
    folder: Path, key: str = KEY, *, dedupes: bool = True
) -> AsyncIterator[RemoteCluster]:
    """A scripted cluster in a process of its own, its log in `folder`; nothing of it is left afterwards."""
    port, control_port = free_port(), free_port()
    command = [sys.executable, "-m", "tests.services.scripted_cluster", "--port", str(port)]
    command += ["--control-port", str(control_port), "--key", key, *([] if dedupes else ["--no-dedupe"])]
    process = launch(command, folder / "cluster.log", lambda: accepts_tcp(control_port), cwd=_ROOT)
    try:
        async with aiohttp.ClientSession() as http:
            own, control_url = (f"http://127.0.0.1:{each}" for each in (port, control_port))
            yield RemoteCluster(http, own, control_url, key)
    finally:
        end(process, signal.SIGKILL)


def control(cluster: ScriptedCluster) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
    """The far end of `RemoteCluster`: GET tells everything, POST does something."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "GET":
            jobs = {
                job_id: JobView(runs=job.runs, max_live=job.max_live) for job_id, job in cluster.jobs.items()
            }
            view = View(journal=cluster.journal, complaints=cluster.complaints, jobs=jobs)
            return web.Response(body=msgspec.json.encode(view), content_type="application/json")
        order = msgspec.json.decode(await request.read())
        try:
            await _obey(cluster, **order)
        except (LookupError, TypeError, ValueError) as error:
            return web.Response(status=400, text=str(error))
        return web.Response()

    return answer


async def _obey(
    cluster: ScriptedCluster, name: str, job_id: str | None, given: list[Any], named: dict[str, Any]
) -> None:
    if name not in (_OF_CLUSTER if job_id is None else _OF_JOB):
        raise ValueError("no such order")
    if name in {"script", "always"}:
        shape: Any = list[Answer] if name == "script" else Answer
        named = {verb: msgspec.convert(each, shape) for verb, each in named.items()}
    done = getattr(cluster if job_id is None else cluster.jobs[job_id], name)(*given, **named)
    if done is not None:
        await done
