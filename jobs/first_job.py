"""A first dataset and job for a new installation, made through the GraphQL API as any client would."""

from importlib import resources
from importlib.resources.abc import Traversable

from jobs.api_client import open_api

_PRESET = "laptop"
_KEY = "first-job"
_STATE = """query { jobs(first: 1) { totalCount } datasets(first: 1) { nodes { id status } } }"""


async def make_first_job(url: str, token: str) -> str | None:
    """Upload the shipped sample and start a job with it, unless the user has jobs already; the job's id.

    Raises `ApiRefused` and `ApiUnavailable`; what was done is found by the next call.
    """
    async with open_api(url, token) as api:
        state = await api.ask(_STATE)
        if state["jobs"]["totalCount"]:
            return None
        known = [dataset["id"] for dataset in state["datasets"]["nodes"] if dataset["status"] == "READY"]
        if known:
            dataset = known[0]
        else:
            with resources.as_file(_sample()) as sample:
                dataset = await api.upload(sample, name=sample.stem.replace("_", " ").capitalize())
        return await api.create_job({"datasetId": dataset, "presetId": _PRESET, "idempotencyKey": _KEY})


def _sample() -> Traversable:
    samples = sorted((resources.files("jobs") / "samples").iterdir(), key=lambda file: file.name)
    return next(file for file in samples if file.name.endswith(".jsonl"))
