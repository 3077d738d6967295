"""What a worker counts, for Prometheus: one registry a process, given out on WORKER_METRICS_PORT where that is set.

The numbers are of this process alone and begin at nothing with it; what is true of all jobs stands in the API's /metrics.
"""

import contextlib
import errno
from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, start_http_server
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

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


class _CallTimes(Collector):
    """How long calls took. prometheus_client's own histogram takes 7 us for each, a twelfth of a poll."""

    _BOUNDS = (0.005, 0.02, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)

    def __init__(self) -> None:
        self._counts: dict[
            tuple[str, str], list[int]
        ] = {}  #: calls up to each bound and beyond the one before
        self._sums: dict[tuple[str, str], float] = {}

    def add(self, which: tuple[str, str], seconds: float) -> None:
        """One call."""
        if which not in self._counts:
            self._sums[which], self._counts[which] = 0.0, [0] * (len(self._BOUNDS) + 1)
        self._counts[which][bisect_left(self._BOUNDS, seconds)] += 1
        self._sums[which] += seconds

    def collect(self) -> Iterator[Metric]:
        """As Prometheus wants it: calls up to each bound."""
        family = HistogramMetricFamily(
            "lora_pipeline_cluster_call_seconds",
            "How long a call to the cluster took, by verb and outcome: 2xx to 5xx, unanswered, unreached.",
            labels=["verb", "outcome"],
        )
        bounds = [*map(floatToGoString, self._BOUNDS), "+Inf"]
        for which, counts in list(self._counts.items()):
            family.add_metric(which, list(zip(bounds, accumulate(counts), strict=True)), self._sums[which])
        yield family


_CALLS = _CallTimes()
REGISTRY.register(_CALLS)
for _which in ("first", "again"):
    SUBMITS.labels(_which)


def count_call(verb: str, outcome: str, seconds: float) -> None:
    """One call to the cluster: submit, status or cancel, and how it ended."""
    _CALLS.add((verb, outcome), seconds)


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
