"""What a hostile or broken far side cannot do: fill our memory, lead us elsewhere, or get more than its due."""

import tracemalloc
from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

import pytest

from jobs.cluster import MAX_ANSWER, MAX_STATUS_ANSWER, Cluster, open_cluster
from jobs.domain.sighting import Accepted, NoReport, Report, StillHeld, Unclear
from tests.cluster.conftest import body_of
from tests.services.scripted_cluster import Answer, ScriptedCluster, bomb, huge, redirects, says

MEGABYTE = 1024 * 1024
IN_THE_PIPES = 24 * MEGABYTE  #: what two sockets of this machine may hold between them


@pytest.fixture
def traced() -> Iterator[None]:
    """Memory is traced."""
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.parametrize("chunked", [False, True], ids=["length told", "length not told"])
@pytest.mark.usefixtures("traced")
async def test_a_body_of_100_megabytes_is_not_read(
    cluster: Cluster, far: ScriptedCluster, job: UUID, run: str, *, chunked: bool
) -> None:
    flood = huge(chunked=chunked)
    far.script(job, submit=[flood], status=[flood], cancel=[flood])
    tracemalloc.reset_peak()
    assert await cluster.submit(job, body_of(job)) == Unclear(
        f"it answered 200 with more than {MAX_ANSWER} bytes"
    )
    assert await cluster.status(run) == NoReport(f"it answered 200 with more than {MAX_STATUS_ANSWER} bytes")
    assert await cluster.stop(run) == StillHeld("the run is still running")
    assert tracemalloc.get_traced_memory()[1] < 12 * MEGABYTE
    await far.go_down()
    floods = [call for call in far.journal if call.sent > MAX_STATUS_ANSWER]
    assert all(call.sent < IN_THE_PIPES for call in floods)


@pytest.mark.usefixtures("traced")
async def test_a_gzip_bomb_is_not_unpacked(
    cluster: Cluster, far: ScriptedCluster, job: UUID, run: str
) -> None:
    boom = bomb()
    assert len(boom.body) < MAX_ANSWER  # it is not the cap that saves us
    far.script(job, submit=[boom], status=[boom], cancel=[boom])
    tracemalloc.reset_peak()
    assert await cluster.submit(job, body_of(job)) == Unclear("it answered 200 with a compressed body")
    assert await cluster.status(run) == NoReport("it answered 200 with a compressed body")
    assert await cluster.stop(run) == StillHeld("the run is still running")
    assert tracemalloc.get_traced_memory()[1] < 12 * MEGABYTE


@pytest.mark.parametrize(("size", "fits"), [(MAX_ANSWER, True), (MAX_ANSWER + 1, False)])
async def test_the_cap_is_exact(
    cluster: Cluster, far: ScriptedCluster, job: UUID, size: int, *, fits: bool
) -> None:
    body = b'{"external_job_id": "ext-1"}'
    far.script(job, submit=[says(200, body.ljust(size))])
    assert isinstance(await cluster.submit(job, body_of(job)), Accepted if fits else Unclear)


async def test_after_a_flood_the_next_call_is_answered_as_usual(
    cluster: Cluster, far: ScriptedCluster, job: UUID, run: str
) -> None:
    far.script(job, status=[huge(chunked=True)])
    assert isinstance(await cluster.status(run), NoReport)
    assert isinstance(await cluster.status(run), Report)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed_and_the_key_stays_here(
    cluster: Cluster, far: ScriptedCluster, job: UUID, run: str, status: int
) -> None:
    away = redirects(f"{far.decoy_url}/training/submit", status)
    far.script(job, submit=[away], status=[away, away], cancel=[away])
    assert await cluster.submit(job, body_of(job)) == Unclear(f"it answered {status}")
    assert await cluster.status(run) == NoReport(f"it answered {status}")
    assert await cluster.stop(run) == StillHeld(f"it answered {status}")
    assert far.decoy_calls == []


async def test_no_proxy_of_the_environment_sees_the_key(
    far: ScriptedCluster, job: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, far.decoy_url)
    async with open_cluster(far.url, far.key, timedelta(seconds=20)) as client:
        assert await client.submit(job, body_of(job)) == Accepted("ext-1")
    assert far.decoy_calls == []


async def test_no_cookie_is_kept(far: ScriptedCluster, job: UUID, run: str) -> None:
    far.script(job, status=[says(200, {"status": "running"}, headers={"Set-Cookie": "spy=1; Path=/"})])
    named = far.url.replace("127.0.0.1", "localhost")  # no client keeps cookies of a bare address
    async with open_cluster(named, far.key, timedelta(seconds=20)) as client:
        await client.status(run)
        await client.status(run)
    assert [call.headers.get("Cookie") for call in far.journal] == [None] * 3


async def test_a_cluster_that_quotes_our_key_does_not_give_it_away(
    cluster: Cluster, far: ScriptedCluster, job: UUID, run: str
) -> None:
    quoted = f"cannot parse the request: Authorization: Bearer {far.key}"
    far.script(job, submit=[says(400, {"error": quoted})])
    far.script(job, status=[says(200, {"status": "failed", "error_message": quoted})])
    for seen in (await cluster.submit(job, body_of(job)), await cluster.status(run)):
        assert "cannot parse the request: Authorization: Bearer [redacted]" in repr(seen)
        assert far.key not in repr(seen)


@pytest.mark.parametrize("answer", [says(500, "key " * 50), says(400, {"error": "x" * 60_000})])
async def test_what_is_told_is_short(
    cluster: Cluster, far: ScriptedCluster, job: UUID, answer: Answer
) -> None:
    far.script(job, submit=[answer])
    assert len(repr(await cluster.submit(job, body_of(job)))) < 2_100
