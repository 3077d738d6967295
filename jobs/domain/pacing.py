"""How long to wait before the next look, and how long until silence means something."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

SUBMIT_BACKOFF = (timedelta(seconds=5), timedelta(minutes=5))
STOP_BACKOFF = (timedelta(seconds=2), timedelta(minutes=1))
MOST_PATIENT = timedelta(hours=1)  #: no Retry-After is honoured beyond this
STALE_FAILURES = 3
LOST_404S = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Pacing:
    """The durations of SPEC's settings table, and whether the cluster deduplicates by key."""

    cycle: timedelta = timedelta(seconds=30)
    starting: timedelta = timedelta(
        seconds=5
    )  #: between looks at a job that is not yet running, at most `cycle`
    claim: timedelta = timedelta(seconds=60)
    stale_after: timedelta = timedelta(seconds=90)
    lost_after: timedelta = timedelta(days=1)
    lost_after_404: timedelta = timedelta(seconds=120)
    release_alert: timedelta = timedelta(seconds=300)
    dedupes: bool = True

    def submit_again(self, job_id: UUID, failures: int, retry_after: timedelta | None = None) -> timedelta:
        """Until the next attempt to submit, after `failures` in a row."""
        first, cap = SUBMIT_BACKOFF
        return _patience(backoff(job_id, failures, min(first, self.cycle), cap), retry_after)

    def stop_again(self, job_id: UUID, failures: int, retry_after: timedelta | None = None) -> timedelta:
        """Until the next request to stop."""
        first, cap = STOP_BACKOFF
        return _patience(backoff(job_id, failures, min(first, self.cycle), cap), retry_after)

    def poll_again(self, retry_after: timedelta | None = None) -> timedelta:
        """Until the next poll of a running job."""
        return _patience(self.cycle, retry_after)


def backoff(job_id: UUID, failures: int, first: timedelta, cap: timedelta) -> timedelta:
    """Doubles from `first` to `cap`, spread by a fifth so that jobs that failed together do not return together.

    The spread is taken from the id: the same job and count give the same wait.
    """
    wait = min(cap, first * (1 << min(max(failures - 1, 0), 20)))
    spread = ((job_id.int >> 7) + failures * 7919) % 401 / 1000 - 0.2
    return wait * (1 + spread)


def _patience(ours: timedelta, asked: timedelta | None) -> timedelta:
    return ours if asked is None else max(ours, min(asked, MOST_PATIENT))
