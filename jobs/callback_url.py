"""The URL to which the trainer of one job reports, and what its token proves.

The token names the job's owner, under a MAC of owner and job: so that the API, which sees no row without knowing whose it
is, can act for that user, on that job, and on nothing else.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from uuid import UUID

from jobs.domain.job import Job

PATH = "/callbacks/training/"
_LABEL = b"lora-pipeline callback v1"  # no other use of the master key gives this key
_LONGEST = 512


class CallbackUrls:
    """Makes callback URLs below `public_url` and reads their tokens."""

    def __init__(self, public_url: str, master_key: bytes) -> None:
        self._base = public_url.rstrip("/") + PATH
        self._key = hmac.digest(master_key, _LABEL, "sha256")

    def url(self, job: Job) -> str:
        """The job's URL; the same job has the same for ever."""
        owner = urlsafe_b64encode(job.user_id.encode()).decode().rstrip("=")
        return f"{self._base}{job.id}?token={owner}.{self._mac(job.id, job.user_id)}"

    def owner(self, job_id: UUID, token: str) -> str | None:
        """Whose job it is, if the token is this job's; else None."""
        owner, _, mac = token[:_LONGEST].partition(".")
        try:
            user_id = urlsafe_b64decode(owner.encode() + b"=" * (-len(owner) % 4)).decode()
        except ValueError:
            user_id = ""
        fits = hmac.compare_digest(self._mac(job_id, user_id).encode(), mac.encode("utf-8", "replace"))
        return user_id if fits and user_id else None

    def _mac(self, job_id: UUID, user_id: str) -> str:
        return hmac.digest(self._key, f"{job_id}\n{user_id}".encode(), "sha256").hex()
