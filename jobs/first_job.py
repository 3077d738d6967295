"""A first dataset and job for a new installation, made through the GraphQL API as any client would."""

from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

import aiohttp

_PRESET = "laptop"
_KEY = "first-job"
_DEADLINE = aiohttp.ClientTimeout(total=30)

_STATE = """query { jobs(first: 1) { totalCount } datasets(first: 1) { nodes { id status } } }"""
_UPLOAD = """mutation ($input: DatasetUploadInput!) { result: createDatasetUpload(input: $input) {
  __typename ... on DatasetUpload { uploadUrl dataset { id } } ... on Error { message } } }"""
_COMPLETE = """mutation ($id: ID!) { result: completeDatasetUpload(id: $id) {
  __typename ... on DatasetPayload { dataset { status errorMessage } } ... on Error { message } } }"""
_CREATE = """mutation ($input: TrainingConfigInput!) { result: createJob(input: $input) {
  __typename ... on CreateJobSuccess { job { id } } ... on Error { message } } }"""


class FirstJobError(Exception):
    """The API refused; the message holds its words."""


async def make_first_job(url: str, token: str) -> str | None:
    """Upload the shipped sample and start a job with it, unless the user has jobs already; the job's id.

    Raises `FirstJobError`, `aiohttp.ClientError` and `TimeoutError`; what was done is found by the next call.
    """
    async with aiohttp.ClientSession(timeout=_DEADLINE) as http:
        api = _Api(http, url, token)
        state = await api.ask(_STATE)
        if state["jobs"]["totalCount"]:
            return None
        known = [dataset["id"] for dataset in state["datasets"]["nodes"] if dataset["status"] == "READY"]
        dataset = known[0] if known else await _upload(api, _sample())
        wish = {"datasetId": dataset, "presetId": _PRESET, "idempotencyKey": _KEY}
        created = await api.change(_CREATE, "CreateJobSuccess", input=wish)
        job: str = created["job"]["id"]
        return job


class _Api:
    def __init__(self, http: aiohttp.ClientSession, url: str, token: str) -> None:
        self.http, self._url = http, f"{url}/graphql"
        self._headers = {"Authorization": f"Bearer {token}"}

    async def ask(self, document: str, **variables: object) -> dict[str, Any]:
        body = {"query": document, "variables": variables}
        async with self.http.post(self._url, json=body, headers=self._headers) as answer:
            said = await answer.json(content_type=None)
        if said.get("errors") or not said.get("data"):
            raise FirstJobError(f"the API answered {answer.status}: {said}")
        data: dict[str, Any] = said["data"]
        return data

    async def change(self, document: str, success: str, **variables: object) -> dict[str, Any]:
        result: dict[str, Any] = (await self.ask(document, **variables))["result"]
        if result["__typename"] != success:
            raise FirstJobError(f"{result['__typename']}: {result['message']}")
        return result


async def _upload(api: _Api, sample: Traversable) -> str:
    content = sample.read_bytes()
    name = sample.name.removesuffix(".jsonl").replace("-", " ").replace("_", " ").capitalize()
    wish = {"name": name, "fileName": sample.name, "sizeBytes": len(content)}
    upload = await api.change(_UPLOAD, "DatasetUpload", input=wish)
    async with api.http.put(upload["uploadUrl"], data=content) as answer:
        if not answer.ok:
            raise FirstJobError(f"the upload was answered with {answer.status}: {await answer.text()}")
    done = await api.change(_COMPLETE, "DatasetPayload", id=upload["dataset"]["id"])
    if done["dataset"]["status"] != "READY":
        raise FirstJobError(f"the dataset is {done['dataset']['status']}: {done['dataset']['errorMessage']}")
    dataset: str = upload["dataset"]["id"]
    return dataset


def _sample() -> Traversable:
    samples = sorted((resources.files("jobs") / "samples").iterdir(), key=lambda file: file.name)
    return next(file for file in samples if file.name.endswith(".jsonl"))
