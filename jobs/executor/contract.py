"""The wire contract's submit body, parsed strictly: a sentence names the field that is wrong."""

import hashlib
import re
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct
from starlette.exceptions import HTTPException

ID = r"^[A-Za-z0-9._:-]{1,128}$"
MAX_BODY_BYTES = 64 * 1024

Url = Annotated[str, Meta(pattern=r"^https?://[^\s/?#]+", max_length=8192)]
_WHERE = re.compile(r"(?P<what>.*) - at `\$\.?(?P<where>[^`]*)`", re.DOTALL)


class Refusal(HTTPException):
    """A request is answered with this status and this sentence."""


class Hyperparameters(Struct, frozen=True, kw_only=True):
    """What the trainer is told."""

    base_model: Annotated[str, Meta(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")] = (
        "mistralai/Mistral-7B-v0.1"
    )
    learning_rate: Annotated[float, Meta(gt=0, le=1)]
    batch_size: Annotated[int, Meta(ge=1, le=4096)]
    num_epochs: Annotated[int, Meta(ge=1, le=1000)]
    lora_rank: Annotated[int, Meta(ge=1, le=1024)]
    lora_alpha: Annotated[int, Meta(ge=1, le=65536)] | Annotated[float, Meta(gt=0, le=65536)]
    lora_dropout: Annotated[float, Meta(ge=0, lt=1)]


class GpuConfig(Struct, frozen=True, kw_only=True):
    """What the job pays for; this machine has what it has."""

    gpu_type: Annotated[str, Meta(min_length=1, max_length=200)]
    num_gpus: Annotated[int, Meta(ge=1, le=1024)]
    cost_per_gpu_hour: Annotated[float, Meta(ge=0)]


class Submission(Struct, frozen=True, kw_only=True):
    """The body of submit; members it does not know are left aside."""

    job_id: Annotated[str, Meta(pattern=ID)]
    dataset_url: Url
    hyperparameters: Hyperparameters
    gpu_config: GpuConfig
    callback_url: Url | None = None
    artifact_url: Url | None = None

    @property
    def work(self) -> str:
        """A digest of what is to be done: two submissions of the same work have the same, however signed."""
        dataset = urlsplit(self.dataset_url)._replace(query="", fragment="").geturl()
        parts = msgspec.json.encode((self.hyperparameters, self.gpu_config, dataset))
        return hashlib.sha256(parts).hexdigest()


def read_submission(body: bytes, key: str | None) -> Submission:
    """The submission in `body`; `key` is the Idempotency-Key header. Raises `Refusal`."""
    try:
        submission = msgspec.json.decode(body, type=Submission)
    except msgspec.ValidationError as error:
        raise Refusal(422, _sentence(str(error))) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal(400, f"The body is not valid JSON: {error}.") from error
    if key is not None and key != submission.job_id:
        raise Refusal(422, "Idempotency-Key: it must equal job_id.")
    return submission


def _sentence(said: str) -> str:
    """`hyperparameters.lora_rank: expected int >= 1.` from the library's own words."""
    found = _WHERE.fullmatch(said)
    what, where = (found["what"], found["where"]) if found else (said, "")
    words = what.replace("`", "")
    return f"{where or 'The body'}: {words[:1].lower()}{words[1:]}."
