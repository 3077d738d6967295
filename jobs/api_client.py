"""A client of this service's GraphQL API, as any other program would be one: a URL and a token."""

import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp

from jobs.domain.errors import PipelineError

_DEADLINE = aiohttp.ClientTimeout(total=30)
_UPLOAD_DEADLINE = aiohttp.ClientTimeout(total=3600, sock_read=60, sock_connect=10)

_UPLOAD = """mutation ($input: DatasetUploadInput!) { result: createDatasetUpload(input: $input) {
  __typename ... on DatasetUpload { uploadUrl dataset { id } }
  ... on InvalidInput { message fields { path message } } } }"""
_COMPLETE = """mutation ($id: ID!) { result: completeDatasetUpload(id: $id) {
  __typename ... on DatasetPayload { dataset { status errorMessage } } ... on Error { message } } }"""
_CREATE = """mutation ($input: TrainingConfigInput!) { result: createJob(input: $input) {
  __typename ... on CreateJobSuccess { job { id } } ... on InvalidInput { message fields { path message } }
  ... on Error { message } } }"""


class ApiRefused(PipelineError):
    """The API understood and declined; the message holds its words."""


class ApiUnavailable(PipelineError):
    """The API gave no usable answer: ask again later."""


@contextlib.asynccontextmanager
async def open_api(url: str, token: str) -> AsyncIterator["ApiClient"]:
    """The API at `url` (`PUBLIC_URL`) for the length of the block; nothing is contacted yet."""
    async with aiohttp.ClientSession(timeout=_DEADLINE, trust_env=False) as http:
        yield ApiClient(http, url, token)


class ApiClient:
    """Questions and wishes. Every method raises `ApiRefused` and `ApiUnavailable`."""

    def __init__(self, http: aiohttp.ClientSession, url: str, token: str) -> None:
        self._http, self._url = http, url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}

    async def ask(self, document: str, **variables: object) -> dict[str, Any]:
        """The data of a GraphQL answer."""
        body = {"query": document, "variables": variables}
        with _in_words(f"The API at {self._url}"):
            async with self._http.post(
                f"{self._url}/graphql", json=body, headers=self._headers, allow_redirects=False
            ) as answer:
                status, text = answer.status, await answer.text()
                said = await answer.json(content_type=None) if text.startswith("{") else {}
        if status == 401:
            raise ApiRefused(f"The API at {self._url} does not accept the token.")
        if status >= 500 or status == 429 or not isinstance(said, dict) or not said:
            raise ApiUnavailable(f"The API at {self._url} answered {status}.")
        if errors := said.get("errors"):
            raise ApiRefused("; ".join(str(error["message"]) for error in errors))
        data: dict[str, Any] = said["data"]
        return data

    async def change(self, document: str, success: str, **variables: object) -> dict[str, Any]:
        """The `result` of a mutation, which is of type `success`; another type is its refusal."""
        result: dict[str, Any] = (await self.ask(document, **variables))["result"]
        if result["__typename"] != success:
            fields = [f"{field['path']}: {field['message']}" for field in result.get("fields", ())]
            raise ApiRefused("; ".join(fields) or result["message"])
        return result

    async def upload(self, file: Path, *, name: str) -> str:
        """Make a dataset of a JSONL file; its id, once the API has found it good. Raises OSError for the file."""
        with file.open("rb") as content:
            wish = {
                "name": name,
                "fileName": file.name,
                "sizeBytes": os.fstat(content.fileno()).st_size,
            }
            upload = await self.change(_UPLOAD, "DatasetUpload", input=wish)
            await self._put(upload["uploadUrl"], content)
        dataset: str = upload["dataset"]["id"]
        done = await self.change(_COMPLETE, "DatasetPayload", id=dataset)
        if done["dataset"]["status"] != "READY":
            raise ApiRefused(f"The dataset is not good: {done['dataset']['errorMessage']}")
        return dataset

    async def create_job(self, wish: dict[str, Any]) -> str:
        """Start a training, `wish` as in TrainingConfigInput; the job's id."""
        created = await self.change(_CREATE, "CreateJobSuccess", input=wish)
        job: str = created["job"]["id"]
        return job

    async def _put(self, url: str, content: Any) -> None:
        with _in_words("The storage that the API sends uploads to"):
            async with self._http.put(url, data=content, timeout=_UPLOAD_DEADLINE) as answer:
                if not answer.ok:
                    raise ApiRefused(
                        f"The upload was answered with {answer.status}: {(await answer.text())[:300]}"
                    )


@contextlib.contextmanager
def _in_words(who: str) -> Iterator[None]:
    try:
        yield
    except TimeoutError as exc:
        raise ApiUnavailable(f"{who} did not answer in time.") from exc
    except (aiohttp.ClientError, ValueError, OSError) as exc:
        raise ApiUnavailable(f"{who} cannot be reached: {exc}.") from exc
