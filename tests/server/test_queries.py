"""Every field of every query, on rows of every kind, on both databases."""

import asyncio
import json
import re
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest

from jobs.database import Database
from jobs.domain.dataset import DatasetStatus
from jobs.domain.lifecycle import JobStatus
from jobs.domain.metrics import Point
from jobs.domain.pricing import GpuConfig
from server.scalars import dollars, instant
from tests.server.house import MINUTE, NINE, House
from tests.statements import statements
from tests.test_schema import frontend_documents

JOB = """query($id: ID!) { job(id: $id) {
  id status stage progress currentEpoch totalEpochs currentStep totalSteps presetId externalJobId errorMessage
  release releasingSince stale lastContactAt createdAt startedAt completedAt
  hyperparameters { baseModel learningRate batchSize numEpochs loraRank loraAlpha loraDropout }
  gpuConfig { gpuType numGpus costPerGpuHour hourlyRate }
  currentMetrics { trainingLoss validationLoss learningRate throughput gpuUtilization }
  metrics { timestamp epoch step }
  costs { estimatedTotal current final records { costType amount durationHours } }
  dataset { id name totalTrainingPairs totalTokens }
  artifact { id name sizeBytes sha256 downloadUrl createdAt }
  events { at kind detail }
} }"""
METRICS = """query($id: ID!, $last: Int! = 100, $afterStep: Int, $maxPoints: Int) {
  job(id: $id) { metrics(last: $last, afterStep: $afterStep, maxPoints: $maxPoints) { step trainingLoss validationLoss } }
}"""
PAGE = """{ jobs(first: 50) { totalCount nodes {
  id dataset { name } costs { estimatedTotal current final records { amount } } artifact { name } events { kind }
} } }"""


def curve(steps: int, **changes: Any) -> list[Point]:
    """So many points with a falling loss."""
    return [
        Point(step=step, timestamp=NINE + step * MINUTE, training_loss=2.0 - step / 1000, **changes)
        for step in range(1, steps + 1)
    ]


async def steps(house: House, job_id: Any, **arguments: Any) -> list[int]:
    """The steps of the points that are answered."""
    found = await house.data(METRICS, id=str(job_id), **arguments)
    return [point["step"] for point in found["job"]["metrics"]]


async def test_a_completed_job_shows_everything_it_has(house: House) -> None:
    job = await house.completed(preset_id="mistral-7b-balanced")
    found = (await house.data(JOB, id=str(job.id)))["job"]
    url = found["artifact"].pop("downloadUrl")
    record = found["costs"].pop("records")
    points = found.pop("metrics")
    dataset = found.pop("dataset")
    assert [(event["at"][11:16], event["kind"], event["detail"]) for event in found.pop("events")] == [
        ("09:01", "CREATED", "mistral-7b-balanced"),
        ("09:02", "SUBMITTED", None),
        ("09:02", "ACCEPTED", "2x NVIDIA A100"),
        ("09:03", "FIRST_METRICS", "step 120"),
        ("10:02", "COMPLETED", None),
        ("10:02", "RELEASED", None),
    ]
    assert found == {
        "id": str(job.id),
        "status": "COMPLETED",
        "stage": None,
        "progress": 100.0,
        "currentEpoch": 1,
        "totalEpochs": 3,
        "currentStep": 120,
        "totalSteps": 300,
        "presetId": "mistral-7b-balanced",
        "externalJobId": f"run-{job.id}",
        "errorMessage": None,
        "release": "RELEASED",
        "releasingSince": None,
        "stale": False,
        "lastContactAt": "2026-11-23T10:02:00Z",
        "createdAt": "2026-11-23T09:01:00Z",
        "startedAt": "2026-11-23T09:02:00Z",
        "completedAt": "2026-11-23T10:02:00Z",
        "hyperparameters": {
            "baseModel": "mistralai/Mistral-7B-v0.1",
            "learningRate": 2e-4,
            "batchSize": 4,
            "numEpochs": 3,
            "loraRank": 16,
            "loraAlpha": 32,
            "loraDropout": 0.05,
        },
        "gpuConfig": {
            "gpuType": "NVIDIA A100",
            "numGpus": 2,
            "costPerGpuHour": "2.50",
            "hourlyRate": "5.00",
        },
        "currentMetrics": {
            "trainingLoss": 0.0,
            "validationLoss": None,
            "learningRate": 2e-4,
            "throughput": None,
            "gpuUtilization": 97.5,
        },
        "costs": {"estimatedTotal": "15.00", "current": "5.00", "final": "5.00"},
        "artifact": {
            "id": str(job.artifact_id),
            "name": f"{job.id}.tar",
            "sizeBytes": 2**33,
            "sha256": "ab" * 32,
            "createdAt": "2026-11-23T10:02:00Z",
        },
    }
    assert [(row["costType"], row["amount"], row["durationHours"]) for row in record] == [
        ("training_compute", "5.00", 1.0)
    ]
    assert dataset == {
        "id": str(job.dataset_id),
        "name": "Pairs",
        "totalTrainingPairs": 400,
        "totalTokens": 90_000,
    }
    assert points[0]["timestamp"] == "2026-11-23T09:03:00Z"
    assert url.startswith(f"https://pipeline.example/storage/model-artifacts/ada/{job.id}.tar?")


async def test_zero_is_shown_as_zero_and_nothing_as_null(house: House) -> None:
    job = await house.running()
    await house.points(job, [Point(step=0, timestamp=NINE, training_loss=0.0, gpu_utilization=0.0)])
    found = await house.data(
        "query($id: ID!) { job(id: $id) { currentMetrics { trainingLoss throughput } "
        "metrics { step epoch trainingLoss validationLoss gpuUtilization gradientNorm } } }",
        id=str(job.id),
    )
    assert found["job"]["currentMetrics"] == {"trainingLoss": 0.0, "throughput": None}
    assert found["job"]["metrics"][0] == {
        "step": 0, "epoch": 0, "trainingLoss": 0.0, "validationLoss": None, "gpuUtilization": 0.0, "gradientNorm": None,
    }  # fmt: skip


async def test_a_queued_job_costs_nothing_and_has_no_figures_yet(house: House) -> None:
    job = await house.job()
    found = await house.data(
        "query($id: ID!) { job(id: $id) { status stage release startedAt currentMetrics { trainingLoss } artifact { id } "
        "metrics { step } costs { current final records { id } } } }",
        id=str(job.id),
    )
    assert found["job"] == {
        "status": "QUEUED",
        "stage": "waiting for a worker",
        "release": "NONE",
        "startedAt": None,
        "currentMetrics": None,
        "artifact": None,
        "metrics": [],
        "costs": {"current": "0.00", "final": None, "records": []},
    }


async def test_the_books_of_a_cancelled_job_are_newest_first(house: House) -> None:
    job = await house.cancelled()
    document = """query($id: ID!) { job(id: $id) { status release releasingSince costs { final records {
      id costType amount gpuType gpuCount durationHours billingPeriod recordedAt } } } }"""
    found = (await house.data(document, id=str(job.id)))["job"]
    assert (found["status"], found["release"]) == ("CANCELLED", "RELEASED")
    assert found["costs"]["final"] == "5.50"
    overrun, training = found["costs"]["records"]
    assert len(overrun.pop("id")) == 36
    assert overrun == {
        "costType": "release_overrun",
        "amount": "0.50",
        "gpuType": "NVIDIA A100",
        "gpuCount": 2,
        "durationHours": 0.1,
        "billingPeriod": "2026-11-23",
        "recordedAt": "2026-11-23T10:08:00Z",
    }
    assert (training["costType"], training["amount"]) == ("training_compute", "5.00")


async def test_a_release_that_goes_on_says_since_when(house: House) -> None:
    job = await house.cancelled(released=False)
    found = await house.data("query($id: ID!) { job(id: $id) { release releasingSince } }", id=str(job.id))
    assert found["job"] == {"release": "RELEASING", "releasingSince": "2026-11-23T10:02:00Z"}


async def test_last_gives_the_newest_points_in_ascending_order(house: House) -> None:
    job = await house.job()
    await house.points(job, curve(250))
    assert await steps(house, job.id) == list(range(151, 251))
    assert await steps(house, job.id, last=1) == [250]
    assert await steps(house, job.id, last=1000) == list(range(1, 251))


async def test_after_step_gives_only_what_is_new(house: House) -> None:
    job = await house.job()
    await house.points(job, curve(250))
    assert await steps(house, job.id, afterStep=247) == [248, 249, 250]
    assert await steps(house, job.id, afterStep=247, last=2) == [249, 250]
    assert await steps(house, job.id, afterStep=250) == []
    assert await steps(house, job.id, afterStep=None, last=2) == [249, 250]
    assert await steps(house, job.id, afterStep=-1, last=1000) == list(range(1, 251))


async def test_max_points_thins_the_whole_history_and_keeps_every_spike(house: House) -> None:
    job = await house.job()
    points = curve(3000)
    points[1776] = Point(step=1777, timestamp=NINE, training_loss=99.0)
    await house.points(job, points)
    found = await steps(house, job.id, maxPoints=50)
    assert len(found) <= 50
    assert {1, 1777, 3000} <= set(found)
    assert found == sorted(found) == await steps(house, job.id, maxPoints=50)
    assert await steps(house, job.id, maxPoints=50, last=2, afterStep=2990) == found


async def test_what_is_no_number_never_appears(house: House) -> None:
    job = await house.job()
    await house.points(
        job, [Point(step=1, timestamp=NINE, training_loss=None, non_finite=True, throughput=1e308)]
    )
    result = await house.ask(
        "query($id: ID!) { job(id: $id) { metrics { trainingLoss throughput } } }", id=str(job.id)
    )
    assert (
        json.dumps(result.data, allow_nan=False)
        == '{"job": {"metrics": [{"trainingLoss": null, "throughput": 1e+308}]}}'
    )


@pytest.mark.parametrize("arguments", ["last: 0", "last: -1", "last: 1001", "maxPoints: 0", "maxPoints: 1001",
                                       "last: 0, maxPoints: 5"])  # fmt: skip
async def test_more_points_than_allowed_are_refused_not_cut(house: House, arguments: str) -> None:
    job = await house.job()
    document = f'{{ job(id: "{job.id}") {{ metrics({arguments}) {{ step }} }} }}'
    result = await house.ask(document)
    assert result.errors
    assert result.errors[0].extensions == {"code": "BAD_USER_INPUT"}
    assert re.fullmatch(r"`(last|maxPoints)` must be from 1 to 1000, not -?\d+\.", result.errors[0].message)


@pytest.mark.parametrize(
    "text", ["", "1", "nobody", "../../etc", "\0", "é" * 300, "{%s}", "urn:uuid:%s", "%s "]
)
async def test_an_id_that_is_none_answers_like_an_unknown_one(house: House, text: str) -> None:
    job = await house.job()
    wanted = text % job.id if "%s" in text else text
    document = "query($id: ID!) { job(id: $id) { id } dataset(id: $id) { id } }"
    assert await house.data(document, id=wanted) == await house.data(document, id=str(uuid4()))
    assert await house.data(document, id=str(job.id).upper()) != {"job": None, "dataset": None}


async def test_a_dataset_shows_everything_it_has(house: House) -> None:
    dataset = await house.dataset(
        status=DatasetStatus.INVALID,
        error_message="line 7: not valid JSON",
        total_tokens=2**52,
        storage_bucket="training-files",
    )
    document = """query($id: ID!) { dataset(id: $id) { __typename id name format status storageBucket storagePath
      totalTrainingPairs totalTokens errorMessage createdAt ... on Node { id } } }"""
    assert await house.data(document, id=str(dataset.id)) == {
        "dataset": {
            "__typename": "Dataset",
            "id": str(dataset.id),
            "name": "Pairs",
            "format": "prompt_completion",
            "status": "INVALID",
            "storageBucket": "TRAINING_FILES",
            "storagePath": dataset.storage_path,
            "totalTrainingPairs": 400,
            "totalTokens": 2**52,
            "errorMessage": "line 7: not valid JSON",
            "createdAt": "2026-11-23T09:00:00Z",
        }
    }


async def test_notifications_tell_of_their_job(house: House) -> None:
    job = await house.completed()
    found = await house.data(
        "{ viewer { id unreadNotifications } notifications { totalCount nodes { id type title message priority "
        "actionUrl readAt createdAt job { id status } } } }"
    )
    assert found["viewer"] == {"id": "ada", "unreadNotifications": 2}
    ended, started = found["notifications"]["nodes"]
    assert len(ended.pop("id")) == 36
    assert ended == {
        "type": "JOB_COMPLETED",
        "title": "Training Complete",
        "message": "Your training job finished successfully. Cost: $5.00",
        "priority": "HIGH",
        "actionUrl": f"/training/jobs/{job.id}",
        "readAt": None,
        "createdAt": "2026-11-23T10:02:00Z",
        "job": {"id": str(job.id), "status": "COMPLETED"},
    }
    assert (started["type"], started["priority"]) == ("JOB_STARTED", "MEDIUM")


async def test_presets_and_gpu_types_need_no_rows(house: House) -> None:
    with statements(house.api) as seen:
        found = await house.data(
            "{ presets { id name description gpuType numGpus hyperparameters { baseModel loraRank } } "
            "gpuTypes { id name memoryGb costPerGpuHour maxGpus } }"
        )
    assert seen == []
    assert {preset["gpuType"] for preset in found["presets"]} <= {gpu["id"] for gpu in found["gpuTypes"]}
    assert {
        "id": "a100-80gb",
        "name": "NVIDIA A100",
        "memoryGb": 80,
        "costPerGpuHour": "2.50",
        "maxGpus": 8,
    } in found["gpuTypes"]


async def test_a_list_costs_the_same_statements_however_long_it_is(house: House) -> None:
    for _ in range(3):
        await house.completed()
    with statements(house.api) as three:
        assert len((await house.data(PAGE))["jobs"]["nodes"]) == 3
    for _ in range(9):
        await house.completed()
    with statements(house.api) as twelve:
        assert len((await house.data(PAGE))["jobs"]["nodes"]) == 12
    # The page, its count, the datasets, the books, the artifacts, the events.
    assert len(twelve) == len(three) == 6
    with statements(house.api) as plain:
        await house.data("{ jobs { nodes { id status costs { current final } gpuConfig { hourlyRate } } } }")
    assert len(plain) == 1


async def test_the_jobs_of_notifications_cost_one_statement(house: House) -> None:
    for _ in range(4):
        await house.completed()
    with statements(house.api) as seen:
        found = await house.data("{ notifications { nodes { job { id } } } }")
    assert len(found["notifications"]["nodes"]) == 8
    assert len(seen) == 2


async def test_a_download_link_lives_an_hour_and_stays_the_same_for_a_while(house: House) -> None:
    job = await house.completed()

    async def link(at: datetime) -> str:
        result = await house.ask(
            "query($id: ID!) { job(id: $id) { artifact { downloadUrl } } }", id=str(job.id), at=at
        )
        assert result.data
        return str(result.data["job"]["artifact"]["downloadUrl"])

    for minutes in (0, 7, 29.9, 30, 59):
        at = NINE + timedelta(minutes=minutes)
        expires = int(parse_qs(urlsplit(await link(at)).query)["expires"][0])
        assert 60 <= (expires - at.timestamp()) / 60 <= 90
    assert await link(NINE) == await link(NINE + 29 * MINUTE) != await link(NINE + 31 * MINUTE)


async def test_the_estimate_is_what_the_catalogue_says(house: House) -> None:
    dataset = await house.dataset(total_training_pairs=1000, total_tokens=10_800_000)
    document = """query($input: TrainingConfigInput!) { estimateCost(input: $input) {
      __typename ... on CostEstimate { total hourlyRate durationHours totalSteps } ... on Error { message } } }"""
    wish = {"datasetId": str(dataset.id), "presetId": "mistral-7b-quick", "numGpus": 2}
    assert await house.data(document, input=wish) == {
        "estimateCost": {
            "__typename": "CostEstimate",
            "total": "2.67",  # 1,800 s at 2 x 3,000 tokens a second, two minutes to start, at $5.00 an hour
            "hourlyRate": "5.00",
            "durationHours": 0.533333,
            "totalSteps": 125,
        }
    }


async def test_every_document_of_the_frontend_is_answered(house: House) -> None:
    job = await house.completed()
    wish = {"datasetId": str(job.dataset_id), "presetId": "laptop"}
    variables: dict[str, dict[str, Any]] = {
        "JOBS": {"first": 20, "status": ["COMPLETED"], "orderBy": "COST", "ascending": True},
        "JOB_UPDATE": {"id": str(job.id), "afterStep": 3, "last": 100},
        "ESTIMATE_COST": {"input": wish},
        "CREATE_JOB": {"input": wish},
        "CREATE_UPLOAD": {"input": {"name": "More", "fileName": "more.jsonl", "sizeBytes": 9}},
        "MARK_READ": {"ids": []},
        "METRICS_PART": {"id": str(job.id), "from": 0, "to": 200, "most": 50},
    }
    for name, document in frontend_documents().items():
        given = variables.get(name, {"id": str(job.id)} if "$id" in document else {})
        assert await house.data(document, **given), name


async def test_queries_run_side_by_side(house: House) -> None:
    job = await house.running()
    fields = " ".join(
        f'j{n}: job(id: "{job.id}") {{ metrics {{ step }} dataset {{ name }} }}' for n in range(15)
    )
    answers = await asyncio.gather(*(house.data(f"{{ {fields} }}") for _ in range(4)))
    assert all(answer == answers[0] for answer in answers)


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ("{ viewer { id }", "GRAPHQL_PARSE_FAILED"),
        ("", "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ job { id } }", "GRAPHQL_VALIDATION_FAILED"),
        ('{ jobs(first: "2") { totalCount } }', "GRAPHQL_VALIDATION_FAILED"),
        ("query($id: ID!) { job(id: $id) { id } }", "BAD_USER_INPUT"),
        ("query($first: Int = 3) { jobs(first: $first) { totalCount } }", "none"),
        ("{ jobs(first: 101) { totalCount } }", "BAD_USER_INPUT"),
    ],
)
async def test_every_error_has_a_code(house: House, document: str, code: str) -> None:
    if not document:
        document = "\ufeff#"
    if code == "none":
        assert await house.code(document, first=None) == "BAD_USER_INPUT"
        await house.data(document)
    else:
        assert await house.code(document) == code


async def test_a_database_that_is_away_is_unavailable_not_a_bug(house: House) -> None:
    await house.api.close()
    away = Database.open("postgresql://nobody@127.0.0.1:9/none")
    house.api = away
    result = await house.ask("{ viewer { unreadNotifications } }")
    assert result.errors
    assert result.errors[0].extensions == {"code": "UNAVAILABLE"}
    assert result.errors[0].message == "The database cannot be reached now. Try again in a moment."
    await away.close()


async def test_what_nobody_expected_is_masked_and_logged_whole(
    house: House, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    await house.job(gpu_config=GpuConfig("Broken", 2**31, Decimal("1.00")))
    result = await house.ask("{ jobs { nodes { gpuConfig { numGpus } } } }")
    assert result.errors
    assert result.errors[0].message == "Something went wrong here. If it stays, quote the request id r-42."
    assert result.errors[0].extensions == {"code": "INTERNAL", "requestId": "r-42"}
    assert result.errors[0].path == ["jobs", "nodes", 0, "gpuConfig", "numGpus"]
    logged = "".join((*capsys.readouterr(), caplog.text))  # wherever logs go
    assert "non 32-bit" in logged
    assert "r-42" in logged


def test_money_and_instants_are_written_one_way() -> None:
    assert [dollars(Decimal(text)) for text in ("12.3", "0", "1E+3", "0.005", "2.500", "0.000125")] == [
        "12.30", "0.00", "1000.00", "0.005", "2.50", "0.000125",
    ]  # fmt: skip
    assert instant(datetime.fromisoformat("2026-11-23T10:30:00.25+01:00")) == "2026-11-23T09:30:00.250000Z"
    with pytest.raises(ValueError, match="time zone"):
        instant(datetime(2026, 11, 23))  # noqa: DTZ001 - that is the point


async def test_filters_name_statuses(house: House) -> None:
    queued, ended = await house.job(), await house.completed()
    document = "query($status: [JobStatus!]) { jobs(status: $status) { totalCount nodes { id } } }"
    for status, wanted in (
        ([JobStatus.QUEUED.name], [queued]),
        (["COMPLETED", "COMPLETED"], [ended]),
        (["QUEUED", "COMPLETED"], [ended, queued]),
        (["FAILED"], []),
        ([], [ended, queued]),
        (None, [ended, queued]),
    ):
        found = (await house.data(document, status=status))["jobs"]
        assert [node["id"] for node in found["nodes"]] == [str(job.id) for job in wanted], status
        assert found["totalCount"] == len(wanted)
