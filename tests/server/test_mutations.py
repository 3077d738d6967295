"""Every mutation, each of its answers, and what stands in the database afterwards."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest

from jobs.buckets import DATASETS, IMPORTS, S3Buckets, upload_path
from jobs.buckets.s3 import S3Account
from jobs.buckets.sigv4 import Credentials
from jobs.domain.dataset import DatasetStatus
from tests.server.house import House
from tests.services.process import free_port
from tests.test_schema import frontend_documents

DOCUMENTS = frontend_documents()
CREATE = """mutation($input: TrainingConfigInput!) { createJob(input: $input) { __typename
  ... on CreateJobSuccess { job { id status stage presetId totalEpochs totalSteps release
    hyperparameters { baseModel learningRate batchSize numEpochs loraRank loraAlpha loraDropout }
    gpuConfig { gpuType numGpus costPerGpuHour hourlyRate } costs { estimatedTotal current final } } }
  ... on Error { message } ... on DatasetNotReady { status } ... on InvalidInput { fields { path message } } } }"""
CANCEL = """mutation($id: ID!) { cancelJob(id: $id) { __typename
  ... on CancelJobSuccess { job { id status stage release releasingSince completedAt costs { final records { amount } } } }
  ... on Error { message } ... on JobNotCancellable { status } } }"""
COMPLETE = """mutation($id: ID!) { completeDatasetUpload(id: $id) { __typename
  ... on DatasetPayload { dataset { id status format totalTrainingPairs totalTokens errorMessage } }
  ... on Error { message } ... on InvalidInput { fields { path message } } } }"""
IMPORT = """mutation($input: ImportDatasetInput!) { importDataset(input: $input) { __typename
  ... on DatasetPayload { dataset { id name status storageBucket storagePath totalTrainingPairs errorMessage } }
  ... on Error { message } ... on InvalidInput { fields { path message } } } }"""
UPLOAD = """mutation($input: DatasetUploadInput!) { createDatasetUpload(input: $input) { __typename
  ... on DatasetUpload { uploadUrl expiresAt dataset { id name status format storageBucket storagePath createdAt } }
  ... on Error { message } ... on InvalidInput { fields { path message } } } }"""
READ = """mutation($ids: [ID!]!) { markNotificationsRead(ids: $ids) { __typename
  ... on MarkNotificationsReadSuccess { viewer { id unreadNotifications } }
  ... on Error { message } ... on InvalidInput { fields { path message } } } }"""
LINE = b'{"prompt": "a", "completion": "b"}\n'
NASTY = ["\0", "a\0b", "\ud800", "\u202eabc", "", "\n", "x" * 100_000]


def paths(answer: dict[str, Any]) -> list[str]:
    """The fields that an answer complains about."""
    assert answer["__typename"] == "InvalidInput", answer
    assert answer["message"]
    return [field["path"] for field in answer["fields"]]


async def create(house: House, /, **wish: Any) -> dict[str, Any]:
    """What Ada is answered by `createJob`."""
    return dict((await house.data(CREATE, input=wish))["createJob"])


async def test_a_job_is_created_from_a_preset_and_what_overrides_it(house: House) -> None:
    dataset = await house.dataset()
    answer = await create(
        house,
        datasetId=str(dataset.id),
        presetId="mistral-7b-balanced",
        hyperparameters={"numEpochs": 2, "loraDropout": 0, "learningRate": None},
        numGpus=2,
    )
    job = answer["job"]
    assert len(job.pop("id")) == 36
    assert float(job["costs"].pop("estimatedTotal")) > 0
    assert answer["__typename"] == "CreateJobSuccess"
    assert job == {
        "status": "QUEUED",
        "stage": "waiting for a worker",
        "presetId": "mistral-7b-balanced",
        "totalEpochs": 2,
        "totalSteps": 100,
        "release": "NONE",
        "hyperparameters": {
            "baseModel": "mistralai/Mistral-7B-v0.1",
            "learningRate": 2e-4,
            "batchSize": 8,
            "numEpochs": 2,
            "loraRank": 16,
            "loraAlpha": 32,
            "loraDropout": 0.0,
        },
        "gpuConfig": {"gpuType": "NVIDIA A100", "numGpus": 2, "costPerGpuHour": "2.50", "hourlyRate": "5.00"},
        "costs": {"current": "0.00", "final": None},
    }
    assert house.rings.count == 1


async def test_nulls_count_as_left_out(house: House) -> None:
    dataset = await house.dataset()
    nulls = dict.fromkeys(("presetId", "hyperparameters", "numGpus", "idempotencyKey"))
    answer = await create(house, datasetId=str(dataset.id), gpuType="l4", **nulls)
    assert answer["job"]["gpuConfig"]["numGpus"] == 1
    assert answer["job"]["presetId"] is None


async def test_everything_that_is_wrong_is_named_at_once(house: House) -> None:
    dataset = await house.dataset()
    answer = await create(
        house,
        datasetId=str(dataset.id),
        presetId="none such",
        gpuType="abacus",
        hyperparameters={
            "loraRank": 0,
            "learningRate": 2,
            "baseModel": " ",
            "loraDropout": 1,
            "batchSize": 2**31 - 1,
        },
    )
    assert set(paths(answer)) == {
        "presetId",
        "gpuType",
        *(
            f"hyperparameters.{name}"
            for name in ("loraRank", "learningRate", "baseModel", "loraDropout", "batchSize")
        ),
    }
    assert paths(await create(house, datasetId=str(dataset.id), gpuType="l4", numGpus=0)) == ["numGpus"]
    assert paths(await create(house, datasetId=str(dataset.id), gpuType="l4", numGpus=9)) == ["numGpus"]
    assert (await house.data("{ jobs { totalCount } }"))["jobs"]["totalCount"] == 0


@pytest.mark.parametrize("document", [CREATE, DOCUMENTS["ESTIMATE_COST"]])
async def test_the_dataset_must_be_there_and_ready(house: House, document: str) -> None:
    uploading = await house.dataset(status=DatasetStatus.UPLOADING)
    bad = await house.dataset(status=DatasetStatus.INVALID, error_message="line 3: not valid JSON")
    for dataset_id, kind, words in (
        (str(uploading.id), "DatasetNotReady", "uploading"),
        (str(bad.id), "DatasetNotReady", "line 3: not valid JSON"),
        (str(uuid4()), "DatasetNotFound", "no dataset"),
        ("nonsense", "DatasetNotFound", "no dataset"),
    ):
        wish = {"datasetId": dataset_id, "presetId": "laptop"}
        (answer,) = (await house.data(document, input=wish)).values()
        assert answer["__typename"] == kind
        assert words in answer["message"]


async def test_the_same_key_gives_the_same_job_and_other_arguments_are_refused(house: House) -> None:
    dataset = await house.dataset()
    wish = {"datasetId": str(dataset.id), "presetId": "laptop", "idempotencyKey": "once"}
    made = await asyncio.gather(*(create(house, **wish) for _ in range(4)))
    assert len({answer["job"]["id"] for answer in made}) == 1
    assert paths(await create(house, **(wish | {"presetId": "mistral-7b-quick"}))) == ["idempotencyKey"]
    theirs = await house.dataset("bob")
    other = (await house.data(CREATE, "bob", input=wish | {"datasetId": str(theirs.id)}))["createJob"]
    assert other["job"]["id"] != made[0]["job"]["id"]
    again = await create(house, **wish)
    assert again["job"]["id"] == made[0]["job"]["id"]


@pytest.mark.parametrize("document", [CREATE, DOCUMENTS["ESTIMATE_COST"]])
async def test_more_steps_than_can_be_counted_are_invalid_input(house: House, document: str) -> None:
    dataset = await house.dataset(total_training_pairs=2**31 - 1, total_tokens=2**53)
    wish = {
        "datasetId": str(dataset.id),
        "gpuType": "l4",
        "hyperparameters": {"batchSize": 1, "numEpochs": 2},
    }
    (answer,) = (await house.data(document, input=wish)).values()
    assert paths(answer) == ["hyperparameters.numEpochs"]
    wish["hyperparameters"] = {"batchSize": 1, "numEpochs": 1}
    (answer,) = (await house.data(document, input=wish)).values()
    assert answer["__typename"] in ("CreateJobSuccess", "CostEstimate")


@pytest.mark.parametrize("text", NASTY)
async def test_text_that_no_database_keeps_is_invalid_input(house: House, text: str) -> None:
    dataset = await house.dataset()
    wish = {"datasetId": str(dataset.id), "presetId": "laptop"}
    assert paths(await create(house, **wish, idempotencyKey=text)) == ["idempotencyKey"]
    assert paths(await create(house, **wish, hyperparameters={"baseModel": text})) == [
        "hyperparameters.baseModel"
    ]
    upload = {"name": text, "fileName": text, "sizeBytes": 5}
    answer = (await house.data(UPLOAD, input=upload))["createDatasetUpload"]
    assert paths(answer) == ["name", "fileName"]
    imported = {"name": "Fine", "bucket": "LORA_DATASETS", "path": f"ada/{text}"}
    answer = (await house.data(IMPORT, input=imported))["importDataset"]
    assert answer["__typename"] in ("InvalidInput", "DatasetNotFound")


async def test_a_queued_job_is_cancelled_for_nothing(house: House) -> None:
    job = await house.job()
    answer = (await house.data(CANCEL, id=str(job.id)))["cancelJob"]
    assert answer["job"].pop("completedAt").endswith("Z")
    assert answer == {
        "__typename": "CancelJobSuccess",
        "job": {
            "id": str(job.id),
            "status": "CANCELLED",
            "stage": None,
            "release": "NONE",
            "releasingSince": None,
            "costs": {"final": "0.00", "records": []},
        },
    }
    assert house.rings.count == 1


async def test_a_running_job_is_cancelled_at_once_and_its_gpus_are_being_released(house: House) -> None:
    job = await house.running()
    first = (await house.data(CANCEL, id=str(job.id)))["cancelJob"]["job"]
    assert (first["status"], first["release"]) == ("CANCELLED", "RELEASING")
    assert first["releasingSince"] == first["completedAt"]
    assert [record["amount"] for record in first["costs"]["records"]] == [first["costs"]["final"]]
    again = (await house.data(CANCEL, id=str(job.id)))["cancelJob"]
    assert again == {"__typename": "CancelJobSuccess", "job": first}
    told = await house.data("{ notifications { nodes { type job { id } } } }")
    types = [node["type"] for node in told["notifications"]["nodes"]]
    assert types == ["JOB_CANCELLED", "JOB_STARTED"]


async def test_a_finished_job_cannot_be_cancelled(house: House) -> None:
    job = await house.completed()
    answer = (await house.data(CANCEL, id=str(job.id)))["cancelJob"]
    assert (answer["__typename"], answer["status"]) == ("JobNotCancellable", "COMPLETED")
    assert "completed" in answer["message"]


async def test_a_job_that_is_not_there_is_not_found(house: House) -> None:
    answers = [(await house.data(CANCEL, id=wanted))["cancelJob"] for wanted in (str(uuid4()), "", "\0", "x")]
    assert answers == [{"__typename": "JobNotFound", "message": "There is no job with this id."}] * 4


async def test_a_dataset_is_uploaded_checked_and_closed(house: House) -> None:
    wanted = {"name": "  Pairs ", "fileName": "pairs.jsonl", "sizeBytes": len(LINE) * 3}
    upload = (await house.data(UPLOAD, input=wanted))["createDatasetUpload"]
    dataset = upload["dataset"]
    assert (dataset["name"], dataset["status"], dataset["storageBucket"]) == (
        "Pairs",
        "UPLOADING",
        "LORA_DATASETS",
    )
    assert dataset["storagePath"] == f"ada/{dataset['id']}.jsonl"
    assert upload["expiresAt"].endswith("Z")
    assert urlsplit(upload["uploadUrl"]).netloc == "pipeline.example"

    early = (await house.data(COMPLETE, id=dataset["id"]))["completeDatasetUpload"]
    assert paths(early) == ["id"]
    await house.buckets.put(DATASETS, upload_path("ada", UUID(dataset["id"])), LINE * 3)
    done = (await house.data(COMPLETE, id=dataset["id"]))["completeDatasetUpload"]["dataset"]
    assert done["errorMessage"] is None
    assert (done["status"], done["format"], done["totalTrainingPairs"]) == ("READY", "prompt_completion", 3)
    assert (await house.data(COMPLETE, id=dataset["id"]))["completeDatasetUpload"]["dataset"] == done


async def test_how_far_a_check_has_read_can_be_asked_meanwhile(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = {"name": "Long", "fileName": "long.jsonl", "sizeBytes": len(LINE) * 4}
    dataset_id = (await house.data(UPLOAD, input=wanted))["createDatasetUpload"]["dataset"]["id"]
    await house.buckets.put(DATASETS, upload_path("ada", UUID(dataset_id)), LINE * 4)
    has_read, may_go_on = asyncio.Event(), asyncio.Event()

    async def slow(_bucket: str, _path: str) -> AsyncIterator[bytes]:
        yield LINE
        has_read.set()
        await may_go_on.wait()
        yield LINE * 3

    async def checked() -> Any:
        answer = await house.data("query ($id: ID!) { dataset(id: $id) { checked status } }", id=dataset_id)
        return answer["dataset"]

    monkeypatch.setattr(house.buckets, "stream", slow)
    check = asyncio.create_task(house.data(COMPLETE, id=dataset_id))
    await has_read.wait()
    assert await checked() == {"checked": 25.0, "status": "UPLOADING"}
    may_go_on.set()
    await check
    assert await checked() == {"checked": None, "status": "READY"}


async def test_a_bad_file_is_invalid_and_says_which_line(house: House) -> None:
    body = LINE + b"{nonsense}\n"
    wanted = {"name": "Bad", "fileName": "bad.jsonl", "sizeBytes": len(body)}
    dataset = (await house.data(UPLOAD, input=wanted))["createDatasetUpload"]["dataset"]
    await house.buckets.put(DATASETS, upload_path("ada", UUID(dataset["id"])), body)
    done = (await house.data(COMPLETE, id=dataset["id"]))["completeDatasetUpload"]["dataset"]
    assert done["status"] == "INVALID"
    assert done["errorMessage"].startswith("line 2: not valid JSON")


async def test_an_upload_that_is_not_there_is_not_found(house: House) -> None:
    for wanted in (str(uuid4()), "nonsense"):
        answer = (await house.data(COMPLETE, id=wanted))["completeDatasetUpload"]
        assert answer == {"__typename": "DatasetNotFound", "message": "There is no dataset with this id."}


@pytest.mark.parametrize("size", [0, -1, 2**40, 2**53])
async def test_a_file_of_an_impossible_size_is_refused(house: House, size: int) -> None:
    wanted = {"name": "Big", "fileName": "big.jsonl", "sizeBytes": size}
    assert paths((await house.data(UPLOAD, input=wanted))["createDatasetUpload"]) == ["sizeBytes"]


@pytest.mark.parametrize("size", ["5", 5.5, True, 2**53 + 1, -(2**53) - 1, 1e300, [], {}])
async def test_a_big_int_is_a_whole_number_up_to_2_to_the_53(house: House, size: Any) -> None:
    wanted = {"name": "Big", "fileName": "big.jsonl", "sizeBytes": size}
    assert await house.code(UPLOAD, input=wanted) == "BAD_USER_INPUT"
    literal = json.dumps(size)
    written = f'{{ name: "a", fileName: "b", sizeBytes: {literal} }}'
    document = f"mutation {{ createDatasetUpload(input: {written}) {{ __typename }} }}"
    assert await house.code(document) == "GRAPHQL_VALIDATION_FAILED"


async def test_a_file_that_lies_there_is_imported_from_the_bucket_that_is_named(house: House) -> None:
    await house.buckets.put(IMPORTS, "ada/from others/pairs.jsonl", LINE * 2)
    wanted = {"name": "Theirs", "bucket": "TRAINING_FILES", "path": "ada/from others/pairs.jsonl"}
    dataset = (await house.data(IMPORT, input=wanted))["importDataset"]["dataset"]
    assert len(dataset.pop("id")) == 36
    assert dataset == {
        "name": "Theirs",
        "status": "READY",
        "storageBucket": "TRAINING_FILES",
        "storagePath": "ada/from others/pairs.jsonl",
        "totalTrainingPairs": 2,
        "errorMessage": None,
    }
    elsewhere = wanted | {"bucket": "LORA_DATASETS"}
    assert (await house.data(IMPORT, input=elsewhere))["importDataset"]["__typename"] == "DatasetNotFound"


@pytest.mark.parametrize(
    "path", ["bob/pairs.jsonl", "ada/../bob/pairs.jsonl", "ada", "/ada/pairs.jsonl", "ada//bob"]
)
async def test_no_path_leads_out_of_the_users_own_folder(house: House, path: str) -> None:
    await house.buckets.put(DATASETS, "bob/pairs.jsonl", LINE)
    wanted = {"name": "Mine?", "bucket": "LORA_DATASETS", "path": path}
    answer = (await house.data(IMPORT, input=wanted))["importDataset"]
    assert answer["__typename"] in ("DatasetNotFound", "InvalidInput")
    assert (await house.data("{ datasets { totalCount } }"))["datasets"]["totalCount"] == 0


async def test_notifications_are_marked_read_once(house: House) -> None:
    await house.completed()
    listed = "{ notifications { nodes { id readAt } } }"
    first, second = (await house.data(listed))["notifications"]["nodes"]
    ids = [first["id"], first["id"], str(uuid4())]
    answer = (await house.data(READ, ids=ids))["markNotificationsRead"]
    assert answer == {
        "__typename": "MarkNotificationsReadSuccess",
        "viewer": {"id": "ada", "unreadNotifications": 1},
    }
    read = (await house.data(listed))["notifications"]["nodes"][0]["readAt"]
    assert read.endswith("Z")
    await house.data(READ, ids=[first["id"], second["id"]])
    after = (await house.data(listed))["notifications"]["nodes"]
    assert after[0]["readAt"] == read
    assert after[1]["readAt"] is not None
    assert (await house.data(READ, ids=[]))["markNotificationsRead"]["viewer"]["unreadNotifications"] == 0


async def test_an_id_that_is_none_marks_nothing(house: House) -> None:
    await house.completed()
    known = (await house.data("{ notifications { nodes { id } } }"))["notifications"]["nodes"][0]["id"]
    answer = (await house.data(READ, ids=[known, "nonsense", "\0"]))["markNotificationsRead"]
    assert paths(answer) == ["ids.1", "ids.2"]
    assert (await house.data("{ viewer { unreadNotifications } }"))["viewer"]["unreadNotifications"] == 2


async def test_mutations_of_one_document_run_one_after_another(house: House) -> None:
    wanted = (
        'createDatasetUpload(input: { name: "n", fileName: "f", sizeBytes: 1 }) '
        "{ ... on DatasetUpload { dataset { id } } }"
    )
    document = "mutation { " + " ".join(f"m{n}: {wanted}" for n in range(5)) + " }"
    made = [answer["dataset"] for answer in (await house.data(document)).values()]
    listed = (await house.data("{ datasets { nodes { id } } }"))["datasets"]["nodes"]
    assert [dataset["id"] for dataset in made] == [node["id"] for node in reversed(listed)]


async def test_storage_that_is_away_is_unavailable(house: House) -> None:
    wanted = {"name": "Pairs", "fileName": "pairs.jsonl", "sizeBytes": len(LINE)}
    dataset = (await house.data(UPLOAD, input=wanted))["createDatasetUpload"]["dataset"]
    nobody = Credentials("id", "secret")
    house.buckets = S3Buckets(S3Account(nobody, "us-east-1", f"http://127.0.0.1:{free_port()}"))
    house.__post_init__()
    assert await house.code(COMPLETE, id=dataset["id"]) == "UNAVAILABLE"
