"""The real client against a scripted far side."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
import uvloop

from jobs.cluster import Cluster, encode_body, open_cluster
from jobs.domain.sighting import Accepted
from tests.services.scripted_cluster import ScriptedCluster, scripted_cluster


def pytest_asyncio_loop_factories(
    config: pytest.Config,
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The client's HTTP is tried on the loop that a worker has, too."""
    own = {"asyncio": asyncio.new_event_loop}
    return own | {"uvloop": uvloop.new_event_loop} if item.path.stem == "test_http_client" else own


@pytest.fixture
async def far() -> AsyncIterator[ScriptedCluster]:
    """The far side."""
    async with scripted_cluster() as cluster:
        yield cluster


@pytest.fixture
async def cluster(far: ScriptedCluster) -> AsyncIterator[Cluster]:
    """A client with time enough."""
    async with open_cluster(far.url, far.key, timedelta(seconds=20)) as client:
        yield client


@pytest.fixture
async def hasty(far: ScriptedCluster) -> AsyncIterator[Cluster]:
    """A client that gives a call 0.6 s, for answers that never come."""
    async with open_cluster(far.url, far.key, timedelta(seconds=0.6)) as client:
        yield client


def body_of(job_id: UUID) -> bytes:
    """A submit body."""
    return encode_body(
        {
            "job_id": str(job_id),
            "dataset_url": "http://127.0.0.1/dataset?signature=s",
            "hyperparameters": {"base_model": "m", "learning_rate": 0.0002, "num_epochs": 3},
            "gpu_config": {
                "gpu_type": "NVIDIA A100",
                "num_gpus": 2,
                "cost_per_gpu_hour": Decimal("2.50"),
            },
            "callback_url": "http://127.0.0.1/callback?token=t",
        }
    )


@pytest.fixture
def job() -> UUID:
    """A job's id."""
    return uuid4()


@pytest.fixture
async def run(cluster: Cluster, job: UUID) -> str:
    """The external id of `job`, which runs."""
    accepted = await cluster.submit(job, body_of(job))
    assert isinstance(accepted, Accepted)
    return accepted.external_job_id
