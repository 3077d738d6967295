"""The dataset comes and the adapter goes by signed URLs; a URL is a permission and is never repeated."""

import http.client
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from files import whole
from trouble import TrainerError

_SECONDS_WITHOUT_A_BYTE = 30
_PAUSES = (1, 2, 4, 8)  # seconds before each further attempt
_PAUSES_OF_A_RESULT = (*_PAUSES, 15, 30, 60, 60, 60, 60)  # five minutes: hours of training hang on it
_BLOCK = 1 << 20


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """A signed URL means one object; where it points elsewhere we do not follow."""


_opener = urllib.request.build_opener(_NoRedirect)


def download(url: str, file: Path) -> None:
    """Fetch the dataset into `file`, streaming. Raises `TrainerError`."""

    def attempt() -> None:
        with _opener.open(url, timeout=_SECONDS_WITHOUT_A_BYTE) as answer, whole(file) as new:
            with new.open("wb") as output:
                shutil.copyfileobj(answer, output, _BLOCK)
            expected = answer.headers.get("Content-Length")
            if expected is not None and new.stat().st_size != int(expected):
                raise http.client.IncompleteRead(b"", int(expected))

    _repeat(attempt, _PAUSES, f"The dataset could not be downloaded from {_host(url)}")


def upload(url: str, file: Path) -> None:
    """PUT `file`, streaming. Raises `TrainerError`."""

    def attempt() -> None:
        with file.open("rb") as content:
            headers = {"Content-Type": "application/x-tar", "Content-Length": str(file.stat().st_size)}
            request = urllib.request.Request(url, content, headers, method="PUT")  # noqa: S310 - checked http(s)
            with _opener.open(request, timeout=_SECONDS_WITHOUT_A_BYTE) as answer:
                answer.read(_BLOCK)

    _repeat(attempt, _PAUSES_OF_A_RESULT, f"The trained adapter could not be uploaded to {_host(url)}")


def status_of(method: str, url: str, body: bytes | None, *, seconds: float) -> int:
    """Send one request, JSON if there is a body, and return the answer's status.

    Raises `OSError` or `http.client.HTTPException` when there is no answer.
    """
    headers = {"Content-Type": "application/json"} if body is not None else {}
    request = urllib.request.Request(url, body, headers, method=method)  # noqa: S310 - checked http(s)
    try:
        with _opener.open(request, timeout=seconds) as answer:
            status: int = answer.status
            return status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def _repeat(attempt: Callable[[], None], pauses: Sequence[float], failure: str) -> None:
    """Attempt until it works; a definite refusal, and the last of all attempts, end it."""
    for pause in (*pauses, None):
        try:
            return attempt()
        except urllib.error.HTTPError as error:
            with error:
                reason = f"the answer was {error.code} {error.reason}{_words(error)}"
            if pause is None or (error.code < 500 and error.code not in (408, 425, 429)):
                raise TrainerError(f"{failure}: {reason}.") from error
        except (OSError, http.client.HTTPException) as error:
            if pause is None:
                reason = getattr(error, "reason", None) or error or type(error).__name__
                raise TrainerError(f"{failure}: {reason}.") from error
        time.sleep(pause)
    raise AssertionError("the last attempt returns or raises")


def _words(error: IO[bytes]) -> str:
    """The beginning of what a refusal says, on one line."""
    said = " ".join(error.read(300).decode(errors="replace").split())
    return f" ({said})" if said else ""


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]
