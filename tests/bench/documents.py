"""The questions that are asked, and the requests they become."""

import json
import re
from pathlib import Path
from urllib.parse import urlencode

from tests.bench.data import job_id
from tests.bench.load import request

_MONITOR = Path(__file__).parents[2] / "frontend" / "src" / "js" / "documents.js"
ACCEPT = "application/graphql-response+json, application/json;q=0.9"
POINT = "timestamp epoch step trainingLoss validationLoss learningRate gradientNorm throughput gpuUtilization"

#: A job with 100 points of 9 fields, its costs and its dataset: for the API and for the natural build.
JOB = f"""
query Job($id: ID!) {{
  job(id: $id) {{
    id status stage progress currentStep totalSteps presetId createdAt startedAt
    metrics(last: 100) {{ {POINT} }}
    costs {{ estimatedTotal current final records {{ id costType amount recordedAt }} }}
    dataset {{ id name totalTrainingPairs totalTokens }}
  }}
}}
"""

#: The same of PostGraphile, as it names things.
POSTGRAPHILE_JOB = f"""
query Job($id: UUID!) {{
  trainingJobByRowId(rowId: $id) {{
    rowId status currentStage progress currentStep totalSteps presetId createdAt startedAt
    metricsPointsByJobId(last: 100, orderBy: [PRIMARY_KEY_ASC]) {{ nodes {{ {POINT} }} }}
    estimatedTotalCost currentCost finalCost
    costRecordsByJobId {{ nodes {{ rowId costType amount recordedAt }} }}
    datasetByDatasetId {{ rowId name totalTrainingPairs totalTokens }}
  }}
}}
"""


def monitor(name: str) -> str:
    """A document of the web monitor, as it is sent."""
    found = re.search(rf"export const {name} = /\* GraphQL \*/ `([^`]+)`", _MONITOR.read_text())
    if found is None:
        raise LookupError(f"the monitor has no document {name}")
    return " ".join(found[1].split())


def by_get(document: str, token: str, etag: str | None = None, **variables: object) -> bytes:
    """As the monitor polls; with `etag`, what it has already."""
    question = urlencode({"query": document, "variables": json.dumps(variables, separators=(",", ":"))})
    headers = {"Accept": ACCEPT, "Authorization": f"Bearer {token}"}
    return request("GET", f"/graphql?{question}", headers | ({"If-None-Match": etag} if etag else {}))


def by_post(document: str, number: int, token: str | None = None) -> bytes:
    """The job of this number, as a program asks."""
    body = json.dumps({"query": document, "variables": {"id": str(job_id(number))}}).encode()
    headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    return request("POST", "/graphql", headers, body)
