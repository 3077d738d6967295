"""Whether a base model can be had: found out in seconds, before anything slow begins."""

import http.client
import os
import re
import threading
from pathlib import Path

from transfer import status_of
from trouble import TrainerError

TINY = "lora-pipeline/tiny"  #: built on the spot, needs no files

_HUB_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
_SECONDS = 20.0
_SECONDS_TO_REACH = 5.0
_HUB = "https://huggingface.co"


def check(name: str) -> None:
    """See that the files of the base model `name` can be had. Raises `TrainerError`."""
    if name == TINY or (Path(name).is_absolute() and (Path(name) / "config.json").is_file()):
        return
    if not _HUB_NAME.fullmatch(name):
        raise TrainerError(
            f"The base model {name} is not there: it must be {TINY}, a name on the model hub, or the "
            "absolute path of a folder with config.json on the executor's machine."
        )
    trouble: list[str] = []
    asking = threading.Thread(target=_ask, args=(name, trouble), daemon=True)
    asking.start()
    asking.join(_SECONDS)
    if asking.is_alive():
        trouble.append("the model hub does not answer")
    if trouble:
        raise TrainerError(
            f"The base model {name} could not be had: {trouble[0]}. Choose {TINY}, name a folder on the "
            "executor's machine that holds its files, or let that machine reach the hub and this model."
        )


def sentence(error: Exception) -> str:
    """The first line of what a library says."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:300].rstrip(".")


def _ask(name: str, trouble: list[str]) -> None:
    """Fetch the model's small `config.json`, or say into `trouble` what is in the way."""
    reached = _reached()
    if not reached:  # what was fetched before is used without asking; the library reads this when imported
        os.environ["HF_HUB_OFFLINE"] = "1"
    from huggingface_hub import hf_hub_download  # noqa: PLC0415 - half a second that few runs need
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError  # noqa: PLC0415

    try:
        hf_hub_download(name, "config.json", etag_timeout=5)
    except GatedRepoError:
        trouble.append("its owner gives it only to accounts that have asked for it")
    except RepositoryNotFoundError:
        trouble.append("the model hub has no such model, or not for this machine's account")
    except Exception as error:  # noqa: BLE001 - the library raises many kinds, and a thread must say them all
        trouble.append(sentence(error) if reached else "the model hub cannot be reached from the executor")


def _reached() -> bool:
    """Whether the hub answers at all; its own library would try for half a minute."""
    try:
        status_of("HEAD", os.environ.get("HF_ENDPOINT") or _HUB, None, seconds=_SECONDS_TO_REACH)
    except (OSError, http.client.HTTPException):
        return False
    return True
