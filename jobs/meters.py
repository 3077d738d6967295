"""What a worker counts, for Prometheus: one registry a process, given out on WORKER_METRICS_PORT where that is set.

The numbers are of this process alone and begin at nothing with it; what is true of all jobs stands in the API's /metrics.
"""

import contextlib
import errno
from collections.abc import Iterator
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server

from jobs.settings import Settings, SettingsError

REGISTRY = CollectorRegistry()

SUBMITS = Counter(
    "lora_pipeline_submit_attempts",
    "Submissions sent to the cluster: a job's first, or one sent again because its outcome is not known.",
    ["which"],
    registry=REGISTRY,
)
LOST_CLAIMS = Counter(
    "lora_pipeline_lost_claims",
    "Answers that were dropped because somebody else has the job by now: another worker, or a cancel.",
    registry=REGISTRY,
)
PASSES = Counter(
    "lora_pipeline_passes",
    "Passes that ended, by how: done, gave_up (the database was away), failed (a bug), cut (the worker ended).",
    ["how"],
    registry=REGISTRY,
)
_CALLS = Histogram(
    "lora_pipeline_cluster_call_seconds",
    "How long a call to the cluster took, by verb and outcome: 2xx to 5xx, unanswered, unreached.",
    ["verb", "outcome"],
    buckets=(0.005, 0.02, 0.1, 0.5, 1, 2, 5, 10, 30),
    registry=REGISTRY,
)
for _which in ("first", "again"):
    SUBMITS.labels(_which)


_calls = cache(_CALLS.labels)  # looking one up takes longer than counting


def count_call(verb: str, outcome: str, seconds: float) -> None:
    """One call to the cluster: submit, status or cancel, and how it ended."""
    _calls(verb, outcome).observe(seconds)


@contextlib.contextmanager
def given_out(settings: Settings) -> Iterator[None]:
    """Answer Prometheus while the block lasts, if `settings` say where. Raises `SettingsError` for a port that is taken."""
    if settings.worker_metrics_port is None:
        yield
        return
    host, port = settings.worker_metrics_host, settings.worker_metrics_port
    try:
        server, thread = start_http_server(port, host, REGISTRY)
    except OSError as exc:
        why = "the port is taken" if exc.errno == errno.EADDRINUSE else exc.strerror
        raise SettingsError(f"WORKER_METRICS_PORT: {host}:{port} cannot be listened on: {why}.") from exc
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
