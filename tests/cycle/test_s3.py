"""A job's whole way with its files in S3, a real server that checks signatures: upload, submit, artifact."""

import hashlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import aiohttp
import pytest

from jobs.buckets import ARTIFACTS, BUCKETS, DATASETS, S3Buckets
from jobs.database import Database, artifacts
from jobs.dataset_commands import Upload
from jobs.domain.dataset import DatasetStatus
from jobs.domain.errors import InvalidTraining
from jobs.domain.job import Job
from jobs.domain.lifecycle import JobStatus
from jobs.domain.training import TrainingWish
from tests.cycle.conftest import LINE, USER, Clock, House, furnished
from tests.services import S3Server, s3

FILE = LINE * 400
ADAPTER = b"adapter " * 1000
REFUSED = (400, 403)  # AWS says 403 to all; this server 400 to what is unsigned or expired


@pytest.fixture(scope="session")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A client that knows nothing but URLs."""
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def cloudy(database: Database, s3_server: S3Server) -> AsyncIterator[House]:
    """A house whose files lie in S3, below a prefix; its clock is the S3 server's, which judges what has expired."""
    buckets = S3Buckets.from_env(s3_server.environment(), "team/a")
    async with furnished(database, buckets, clock=Clock(datetime.now(UTC))) as house:
        yield house


async def announced(house: House) -> Upload:
    """A dataset that waits for its file."""
    return await house.commands.datasets.create_upload(
        USER, name="Pairs", file_name="pairs.jsonl", size_bytes=len(FILE)
    )


async def submitted(house: House, http: aiohttp.ClientSession) -> tuple[Job, dict[str, str]]:
    """A job whose dataset was uploaded as a browser does it, running, and what its submit said."""
    upload = await announced(house)
    await put(http, upload.url, FILE)
    dataset = await house.commands.datasets.complete_upload(USER, upload.dataset.id)
    job = await house.job(dataset=dataset)
    await house.turn()
    return await house.look(job), json.loads(house.cluster.calls("submit", job_id=job.id)[-1].body)


async def put(http: aiohttp.ClientSession, url: str, data: bytes) -> int:
    """The status of a PUT."""
    async with http.put(url, data=data) as answer:
        return answer.status


async def get(http: aiohttp.ClientSession, url: str) -> tuple[int, bytes]:
    """Status and body of a GET."""
    async with http.get(url) as answer:
        return answer.status, await answer.read()


async def test_an_upload_is_put_to_s3_checked_and_sealed(cloudy: House, http: aiohttp.ClientSession) -> None:
    upload = await announced(cloudy)
    with pytest.raises(InvalidTraining, match="not been uploaded"):
        await cloudy.commands.datasets.complete_upload(USER, upload.dataset.id)
    assert await put(http, upload.url, FILE + LINE) == 403  # the size is signed
    assert await put(http, upload.url.replace("X-Amz-Signature=", "X-Amz-Signature=0"), FILE) == 403
    assert (await get(http, upload.url))[0] == 403
    assert await put(http, upload.url, FILE) == 200
    dataset = await cloudy.commands.datasets.complete_upload(USER, upload.dataset.id)
    assert (dataset.status, dataset.total_training_pairs) == (DatasetStatus.READY, 400)
    await put(http, upload.url, b"x" * len(FILE))  # what S3 cannot take back reaches the sealed file no more
    assert b"".join([piece async for piece in cloudy.buckets.stream(DATASETS, dataset.storage_path)]) == FILE


async def test_the_cluster_gets_a_url_that_reads_one_object_for_a_day(
    cloudy: House, http: aiohttp.ClientSession
) -> None:
    job, said = await submitted(cloudy, http)
    assert job.status is JobStatus.RUNNING
    url = said["dataset_url"]
    assert await get(http, url) == (200, FILE)
    assert "X-Amz-Expires=86400" in url

    path = urlsplit(url).path
    await cloudy.buckets.put(DATASETS, f"{USER}/other.jsonl", b"another's")
    for changed in (
        url.replace(path, f"/{DATASETS}/team/a/{USER}/other.jsonl"),
        url.replace(f"/{DATASETS}/", f"/{ARTIFACTS}/"),
        url.replace("X-Amz-Expires=86400", "X-Amz-Expires=604800"),
        url[:-1] + ("0" if url[-1] != "0" else "1"),
        url.partition("?")[0],
    ):
        assert changed != url
        assert (await get(http, changed))[0] in REFUSED, changed
    for method in ("PUT", "DELETE", "POST", "HEAD"):
        async with http.request(method, url, data=None if method == "HEAD" else b"mine now") as answer:
            assert answer.status == 403, method
    for hours, still_good in ((23.9, True), (24.1, False)):
        issued_at = datetime.now(UTC) - timedelta(hours=hours)
        aged = cloudy.buckets.get_url(DATASETS, path.partition("/team/a/")[2], issued_at=issued_at)
        assert ((await get(http, aged)) == (200, FILE)) is still_good


async def test_a_submit_that_is_repeated_sends_the_same_bytes(
    cloudy: House, http: aiohttp.ClientSession
) -> None:
    upload = await announced(cloudy)
    await put(http, upload.url, FILE)
    dataset = await cloudy.commands.datasets.complete_upload(USER, upload.dataset.id)
    await cloudy.cluster.go_down()
    job = await cloudy.commands.create_job(
        USER, TrainingWish(dataset_id=dataset.id, preset_id="mistral-7b-quick")
    )
    await cloudy.turn()
    await cloudy.cluster.come_back()
    for seconds in (60, 60, 60):
        await cloudy.turn(seconds=seconds)
    assert (await cloudy.look(job)).status is JobStatus.RUNNING
    assert len({call.body for call in cloudy.cluster.calls("submit", job_id=job.id)}) == 1


async def test_the_adapter_that_was_put_there_is_the_jobs_artifact(
    cloudy: House, http: aiohttp.ClientSession
) -> None:
    job, said = await submitted(cloudy, http)
    assert (await get(http, said["artifact_url"]))[0] == 403
    assert await put(http, said["artifact_url"], ADAPTER) == 200
    await end(cloudy, job, len(ADAPTER))
    done = await cloudy.look(job)
    assert done.status is JobStatus.COMPLETED
    assert done.artifact_id is not None
    async with cloudy.database.read() as tx:
        artifact = (await artifacts.get_many(tx, [done.artifact_id]))[done.artifact_id]
    download = cloudy.buckets.get_url(
        artifact.storage_bucket, artifact.storage_path, issued_at=datetime.now(UTC), filename="adapter.tar"
    )
    async with http.get(download) as answer:
        assert await answer.read() == ADAPTER
        assert "adapter.tar" in answer.headers.get("Content-Disposition", "")


async def test_an_adapter_of_another_size_than_reported_is_nobodys_download(
    cloudy: House, http: aiohttp.ClientSession
) -> None:
    job, said = await submitted(cloudy, http)
    await put(http, said["artifact_url"], ADAPTER[:-1])
    await end(cloudy, job, len(ADAPTER))
    done = await cloudy.look(job)
    assert (done.status, done.artifact_id) == (JobStatus.COMPLETED, None)


async def test_a_job_does_not_end_without_its_adapter_because_s3_is_away(
    database: Database, http: aiohttp.ClientSession
) -> None:
    with s3() as server:
        for bucket in BUCKETS:
            server.bucket(bucket)
        buckets = S3Buckets.from_env(server.environment())
        async with furnished(database, buckets, clock=Clock(datetime.now(UTC))) as house:
            job, said = await submitted(house, http)
            await put(http, said["artifact_url"], ADAPTER)
            server.stop()
            await end(house, job, len(ADAPTER))
            waiting = await house.look(job)
            assert (waiting.status, waiting.artifact_id) == (JobStatus.RUNNING, None)
            server.start()
            await house.turn(seconds=60)
            done = await house.look(job)
            assert done.status is JobStatus.COMPLETED
            assert done.artifact_id is not None


async def test_a_job_does_not_end_without_its_adapter_because_the_bucket_is_missing(
    database: Database, http: aiohttp.ClientSession
) -> None:
    with s3() as server:
        server.bucket(DATASETS)
        buckets = S3Buckets.from_env(server.environment())
        async with furnished(database, buckets, clock=Clock(datetime.now(UTC))) as house:
            job, said = await submitted(house, http)
            assert await put(http, said["artifact_url"], ADAPTER) == 404
            await end(house, job, len(ADAPTER))
            waiting = await house.look(job)
            assert (waiting.status, waiting.stale) == (JobStatus.RUNNING, False)
            assert "The bucket model-artifacts cannot be read: it is not there. Make it" in str(
                waiting.current_stage
            )
            server.stop()  # it remembers for minutes what its folder held
            server.bucket(ARTIFACTS)
            server.start()
            assert await put(http, said["artifact_url"], ADAPTER) == 200
            await house.turn(seconds=60)
            done = await house.look(job)
            assert (done.status, done.artifact_id is None) == (JobStatus.COMPLETED, False)


async def end(house: House, job: Job, size_bytes: int) -> None:
    """The run ends and reports an adapter of that size; a pass looks."""
    house.cluster.jobs[job.id].complete(
        artifact={
            "path": f"{job.id}.tar",
            "size_bytes": size_bytes,
            "sha256": hashlib.sha256(ADAPTER).hexdigest(),
        }
    )
    await house.turn(seconds=60)
