"""One question about a job, by POST and by GET, as somebody asks it who watches."""

import json
from typing import Any
from uuid import UUID

import httpx

from jobs.domain.job import Job
from tests.server.web import Site

WHOLE = """query ($id: ID!) {
    job(id: $id) { id status progress metrics { step trainingLoss } costs { current records { id } } dataset { name } }
}"""


def question(job: Job | UUID, query: str = WHOLE) -> dict[str, Any]:
    return {"query": query, "variables": {"id": str(job.id if isinstance(job, Job) else job)}}


async def ask(there: Site, job: Job | UUID, user: str = "ada", **headers: str) -> httpx.Response:
    """The question by POST, always the same bytes."""
    return await there.http.post("/graphql", json=question(job), headers=there.signed_in(user) | headers)


async def get(there: Site, job: Job | UUID, user: str = "ada", **headers: str) -> httpx.Response:
    """The same by GET."""
    params = {"query": WHOLE, "variables": json.dumps(question(job)["variables"])}
    return await there.http.get("/graphql", params=params, headers=there.signed_in(user) | headers)


async def counted(there: Site) -> dict[str, float]:
    """How questions about one job were answered, so far."""
    lines = (await there.http.get("/metrics")).text.splitlines()
    found = [line for line in lines if line.startswith("lora_pipeline_job_answers_total{")]
    return {line.split('"')[1]: float(line.rpartition(" ")[2]) for line in found}
