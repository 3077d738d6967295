"""Every secret is a word found nowhere else; after a busy day with every kind of trouble nobody has written one down."""

import asyncio
import base64
import json
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest

from jobs.database.security import API, SERVICE
from jobs.embedded import ends_with_parent
from tests.services import PostgresServer, s3, valkey
from tests.services.api import Api, api
from tests.services.process import end, free_port
from tests.services.s3 import S3Server
from tests.services.scripted_cluster import ScriptedCluster, hangs, resets, says, scripted_cluster
from tests.services.valkey import ValkeyServer
from tests.worker.passes import until

ROOT = Path(__file__).parent.parent
SECRETS = {
    "SECRET_KEY": "canary-master-key-5yPq0wJtR1vN8sKd3fGh",
    "JWT_SECRET": "canary-jwt-secret-9aXc7bZm2nQe4rTy6uIo",
    "GPU_CLUSTER_API_KEY": "canary-cluster-key-1kLj8hGf",
    "API_PASSWORD": "canary-api-password-7yTr3eWq",
    "SERVICE_PASSWORD": "canary-service-password-2pOi",
    "REDIS_PASSWORD": "canary-redis-password-6mNb4vCx",
    "AWS_SECRET_ACCESS_KEY": "",  # the storage server's own
}
SIGNED = re.compile(r"(?:X-Amz-Signature|token|signature)=([\w.~%+/=-]{16,})")
LINE = b'{"prompt": "one", "completion": "two"}\n'
QUIET = {"CYCLE_SECONDS": "0.2", "CLAIM_SECONDS": "1", "CLUSTER_TIMEOUT_SECONDS": "1", "STALE_SECONDS": "0"}


@dataclass
class Day:
    """What was written anywhere, by whom."""

    answers: list[str] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)
    rows: str = ""
    signed: set[str] = field(default_factory=set)  #: signatures and tokens that were given out
    bearers: set[str] = field(default_factory=set)


def spellings(secret: str) -> Iterator[str]:
    """How it may have been written down."""
    yield secret
    yield quote(secret, safe="")
    yield repr(secret.encode())[2:-1]
    yield base64.b64encode(secret.encode()).decode().rstrip("=")


def leaks(secrets: dict[str, str], places: dict[str, str]) -> list[str]:
    """Which secret stands where."""
    return [
        f"{name} in {place}: …{text[max(0, text.index(spelling) - 80) :][:200]}"
        for name, secret in secrets.items()
        for spelling in {*spellings(secret)}
        for place, text in places.items()
        if spelling in text
    ]


class Client:
    """Asks as ada and keeps every answer whole."""

    def __init__(self, running: Api, day: Day) -> None:
        self._running, self._day = running, day
        self.http = httpx.AsyncClient(base_url=running.url, timeout=30)
        self.token = running.token()
        day.bearers.add(self.token)

    async def send(self, method: str, url: str, **more: Any) -> httpx.Response:
        """Any request."""
        answer = await self.http.request(method, url, **more)
        self._day.answers.append(f"{method} {answer.status_code} {answer.headers} {answer.text}")
        self._day.signed |= set(SIGNED.findall(answer.text))
        return answer

    async def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The answer's data, {} when there is none."""
        answer = await self.send(
            "POST",
            "/graphql",
            json={"query": query, "variables": variables},
            headers={"Authorization": f"Bearer {self.token}"},
        )
        return answer.json().get("data") or {}

    async def job(self, job_id: str) -> dict[str, Any]:
        """Everything of a job."""
        found: dict[str, Any] = (await self.ask(JOB, id=job_id))["job"]
        return found


JOB = """query ($id: ID!) { job(id: $id) {
  id status stage release errorMessage externalJobId stale progress artifact { downloadUrl }
} }"""
UPLOAD = """mutation ($size: BigInt!) {
  createDatasetUpload(input: { name: "Pairs", fileName: "pairs.jsonl", sizeBytes: $size }) {
    ... on DatasetUpload { uploadUrl dataset { id } } ... on Error { message } } }"""
COMPLETE = """mutation ($id: ID!) { completeDatasetUpload(id: $id) {
    ... on DatasetPayload { dataset { status errorMessage } } ... on Error { message } } }"""
CREATE = """mutation ($dataset: ID!) { createJob(input: { datasetId: $dataset, presetId: "laptop" }) {
    ... on CreateJobSuccess { job { id } } ... on Error { message } } }"""
CANCEL = """mutation ($id: ID!) { cancelJob(id: $id) {
    ... on CancelJobSuccess { job { release } } ... on Error { message } } }"""
IMPORT = """mutation { importDataset(input: { name: "x", bucket: LORA_DATASETS, path: "ada/x" }) {
    __typename } }"""


async def upload(client: Client, content: bytes) -> str:
    """A dataset's id."""
    made = (await client.ask(UPLOAD, size=len(content)))["createDatasetUpload"]
    await client.send("PUT", made["uploadUrl"], content=content)
    await client.ask(COMPLETE, id=made["dataset"]["id"])
    return str(made["dataset"]["id"])


@contextmanager
def worker(running: Api, log: Path) -> Iterator[None]:
    """A worker on the same settings."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "jobs", "worker"],
            env=running.environment,
            stdout=output,
            stderr=output,
            cwd=ROOT,
            preexec_fn=ends_with_parent(),  # noqa: PLW1509 - it takes no lock
        )
    try:
        yield
    finally:
        end(process, signal.SIGTERM, seconds=15)


async def train(client: Client, cluster: ScriptedCluster, running: Api, day: Day, log: Path) -> None:
    """Jobs of every fate, with a cluster that quotes what it was sent."""
    dataset = await upload(client, 60 * LINE)
    await upload(client, b'{"prompt": 1}\n')
    quoting = f"no: Authorization: Bearer {cluster.key}"
    jobs = {
        fate: (await client.ask(CREATE, dataset=dataset))["createJob"]["job"]["id"]
        for fate in ("refused", "fails", "completes", "cancelled", "unsure")
    }
    cluster.script(jobs["refused"], submit=[says(401, {"error": quoting}), says(422, {"error": quoting})])
    cluster.script(jobs["unsure"], submit=[says(500, quoting), resets(act=True), hangs(act=True)])
    with worker(running, log):
        for fate in ("fails", "completes", "cancelled"):
            await cluster.called("submit", job_id=jobs[fate], seconds=60)
        body = json.loads(cluster.jobs[jobs["fails"]].run.body)
        addresses = [body[name] for name in ("dataset_url", "callback_url", "artifact_url")]
        for call in cluster.calls("submit"):
            day.signed |= set(SIGNED.findall(call.body.decode()))
        callback = json.loads(cluster.jobs[jobs["completes"]].run.body)["callback_url"]
        own = urlsplit(callback)._replace(scheme="", netloc="").geturl()
        for content in (b'{"points": [{"step": 1, "training_loss": 0.5}]}', b"no JSON", b" " * 70_000):
            await client.send("POST", own, content=content)
        await client.send("POST", own[:-1], content=b"{}")
        await client.send("POST", own, json={"error_message": " ".join(addresses)})
        await client.ask(CANCEL, id=jobs["cancelled"])
        cluster.script(
            jobs["cancelled"], status=[says(500, quoting), says(302, headers={"Location": addresses[0]})]
        )
        cluster.always(status=says(403, {"error": quoting}))
        await cluster.called("status", len(cluster.calls("status")) + 3, seconds=60)
        cluster.always()
        cluster.jobs[jobs["fails"]].fail(f"{quoting}; cannot load {' nor '.join(addresses)}")
        cluster.jobs[jobs["completes"]].complete(
            artifact={"path": f"ada/{jobs['completes']}.tar", "size_bytes": 5, "sha256": "ab" * 32}
        )
        for fate, status in (("refused", "FAILED"), ("fails", "FAILED"), ("completes", "COMPLETED")):
            async with asyncio.timeout(60):
                while (await client.job(jobs[fate]))["status"] != status:  # noqa: ASYNC110 - it is asked over HTTP
                    await asyncio.sleep(0.1)
        await until(lambda: "job" in log.read_text())
    assert "[redacted]" in (await client.job(jobs["refused"]))["errorMessage"]
    assert "cannot load http" in (await client.job(jobs["fails"]))["errorMessage"]


async def abuse(client: Client, running: Api, day: Day) -> None:
    """Requests of every kind of wrong."""
    stranger = client.token[:-4] + "AAAA"
    day.bearers.add(stranger)
    for bearer in (stranger, "nonsense", "é"):
        headers = {"Authorization": f"Bearer {bearer}".encode()}
        await client.send("POST", "/graphql", json={"query": "{ viewer { id } }"}, headers=headers)
    await client.send("GET", f"/graphql?query=%7Bviewer%7Bid%7D%7D&token={client.token}")
    signed_in = {"Authorization": f"Bearer {client.token}"}
    for query in ("{", "{ nothing }", "{ job(id: 5) { id } }", "{ __schema { types { name } } }", "{a" * 300):
        await client.send("POST", "/graphql", json={"query": query}, headers=signed_in)
    await client.send("POST", "/graphql", content=b" " * 200_000, headers=signed_in)
    for path in ("/healthz", "/readyz", "/metrics", "/training/jobs", "/nothing", "/static/none.js"):
        await client.send("GET", path)


async def lose(
    client: Client, postgres: PostgresServer, storage: S3Server, redis: ValkeyServer, url: str
) -> None:
    """Everything that the API leans on goes away for a moment."""
    storage.stop()
    await client.ask(IMPORT)
    storage.start()
    redis.kill()
    dataset = await upload(client, 60 * LINE)
    await client.ask(CREATE, dataset=dataset)
    postgres.terminate_backends(url)
    await client.ask("{ jobs { totalCount } }")
    await client.ask("{ jobs { totalCount } }")


async def tools(running: Api, day: Day) -> None:
    """What the commands say when nothing is where the settings have it."""
    lost = running.environment | {
        name: re.sub(r"(127\.0\.0\.1:)\d+", rf"\g<1>{free_port()}", running.environment[name])
        for name in ("DATABASE_URL", "SERVICE_DATABASE_URL", "REDIS_URL")
    }
    commands = [
        (("jobs", "doctor"), lost),
        (("jobs", "worker"), lost),
        (("server",), lost),
    ]

    async def said(module: tuple[str, ...], environment: dict[str, str]) -> str:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", *module),
            env=environment,
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(60):
                output, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            output, _ = await process.communicate()
        return f"{module}: {output.decode()}"

    day.logs += await asyncio.gather(*(said(*command) for command in commands))


@pytest.fixture(scope="module")
async def day(
    postgres_server: PostgresServer, postgres_template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Day]:
    """The busy day."""
    url, lived = postgres_server.fresh_database(template=postgres_template), Day()
    name = urlsplit(url).path.lstrip("/")
    api_role = postgres_server.login_role("api_login", member_of=API)
    service_role = postgres_server.login_role("service_login", member_of=SERVICE)
    log = tmp_path_factory.mktemp("secrets") / "worker.log"
    with s3() as storage, valkey() as redis:
        SECRETS["AWS_SECRET_ACCESS_KEY"] = storage.secret_key
        for bucket in ("lora-datasets", "training-files", "model-artifacts"):
            storage.bucket(bucket)
        async with scripted_cluster(SECRETS["GPU_CLUSTER_API_KEY"]) as cluster:
            with api(
                DATABASE_URL=postgres_server.url(name, role=f"{api_role}:{SECRETS['API_PASSWORD']}"),
                SERVICE_DATABASE_URL=postgres_server.url(
                    name, role=f"{service_role}:{SECRETS['SERVICE_PASSWORD']}"
                ),
                REDIS_URL=redis.url.replace("//", f"//default:{SECRETS['REDIS_PASSWORD']}@"),
                STORAGE_URL="s3://",
                GPU_CLUSTER_API_URL=cluster.url,
                GPU_CLUSTER_API_KEY=cluster.key,
                SECRET_KEY=SECRETS["SECRET_KEY"],
                JWT_SECRET=SECRETS["JWT_SECRET"],
                **QUIET,
                **storage.environment(),
            ) as running:
                client = Client(running, lived)
                await train(client, cluster, running, lived, log)
                await abuse(client, running, lived)
                await tools(running, lived)
                await lose(client, postgres_server, storage, redis, url)
                await client.http.aclose()
                lived.logs += [running.log.read_text(), log.read_text()]
    tables = postgres_server.sql(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public'", url=url
    ).split()
    assert "training_jobs" in tables
    lived.rows = "\n".join(
        postgres_server.sql(f'SELECT row_to_json(t) FROM "{table}" t', url=url) for table in tables
    )
    yield lived
    postgres_server.drop_database(url)


def test_no_secret_stands_in_any_answer_log_or_row(day: Day) -> None:
    places = {"the answers": "\n".join(day.answers), "the logs": "\n".join(day.logs), "the rows": day.rows}
    assert all(secret for secret in SECRETS.values())
    assert leaks(SECRETS, places) == []
    assert leaks({f"bearer {number}": each for number, each in enumerate(day.bearers)}, places) == []


def test_nothing_that_was_signed_stands_in_a_log_or_a_row(day: Day) -> None:
    assert len(day.signed) > 10
    places = {"the logs": "\n".join(day.logs), "the rows": day.rows}
    assert leaks({f"signed {number}": each for number, each in enumerate(day.signed)}, places) == []


def test_the_day_was_busy(day: Day) -> None:
    statuses = {answer.split()[1] for answer in day.answers}
    assert {"200", "202", "400", "401", "404", "413", "503"} <= statuses
    text = "\n".join(day.logs)
    for word in ("refused", "unavailable", "FAIL"):
        assert word in text, word
    assert day.rows.count("\n") > 20
    assert "cannot load http" in day.rows


def test_a_leak_would_be_seen() -> None:
    for written in (SECRETS["JWT_SECRET"], base64.b64encode(SECRETS["JWT_SECRET"].encode()).decode()):
        assert leaks(SECRETS, {"here": f"x {written} y"}) != []
