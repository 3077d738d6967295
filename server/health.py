"""What tells an operator how the API is: alive, ready, and in numbers. Open to everybody, so nothing of users is in it."""

import asyncio
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import accumulate

import structlog
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Metric,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from jobs.database import Database, DatabaseUnavailable, SchemaMismatch
from jobs.database.figures import figures
from jobs.database.migrate import check_schema

_REMEMBERED = 1.0  # seconds that an answer about readiness serves everybody who asks
_FIGURES_REMEMBERED = 5.0  # seconds, likewise
_BOUNDS = (0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0)  # seconds
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "OPTIONS", "DELETE", "PATCH"})

logger = structlog.get_logger(__name__)


class _Requests:
    """Requests of one kind: how many took up to each of `_BOUNDS` and longer than the one before, and all their time."""

    __slots__ = ("by_bound", "seconds")

    def __init__(self) -> None:
        self.by_bound, self.seconds = [0] * (len(_BOUNDS) + 1), 0.0

    def count(self, seconds: float) -> None:
        """One more."""
        self.by_bound[bisect_left(_BOUNDS, seconds)] += 1
        self.seconds += seconds

    def add(self, other: "_Requests") -> None:
        """All of another kind."""
        self.by_bound = [ours + theirs for ours, theirs in zip(self.by_bound, other.by_bound, strict=True)]
        self.seconds += other.seconds


class Meters(Collector):
    """Counters of this process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests: dict[tuple[str, str, int], _Requests] = {}
        self.registry.register(self)
        self._callback_rejects = Counter(
            "lora_pipeline_callback_rejects",
            "Trainers' reports that were not taken, by reason; gone: the job had ended, as after each cancel.",
            ["reason"],
            registry=self.registry,
        )
        self._job_answers: defaultdict[str, int] = defaultdict(int)

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one request; status 0 is one that nobody waited for."""
        key = route, method if method in _METHODS else "other", status
        requests = self._requests.get(key)
        if requests is None:
            requests = self._requests[key] = _Requests()
        requests.count(seconds)

    def collect(self) -> Iterator[Metric]:
        """What was counted here, for the registry: its own counters take longer than many an answer."""
        counter = CounterMetricFamily(
            "lora_pipeline_http_requests",
            "Requests answered, by route, method and status.",
            labels=["route", "method", "status"],
        )
        histogram = HistogramMetricFamily(
            "lora_pipeline_http_request_seconds", "How long an answer took, by route.", labels=["route"]
        )
        routes: dict[str, _Requests] = {}
        for (route, method, status), requests in self._requests.items():
            counter.add_metric([route, method, str(status)], sum(requests.by_bound))
            routes.setdefault(route, _Requests()).add(requests)
        for route, requests in routes.items():
            sums = zip([*map(str, _BOUNDS), "+Inf"], accumulate(requests.by_bound), strict=True)
            histogram.add_metric([route], list(sums), requests.seconds)
        answers = CounterMetricFamily(
            "lora_pipeline_job_answers",
            "Questions about one job, by how they were answered: remembered; checked: remembered, and still true by the "
            "database; joined: one made for somebody who asked the same; made.",
            labels=["how"],
        )
        for how, count in self._job_answers.items():
            answers.add_metric([how], count)
        yield from (counter, histogram, answers)

    def job_answered(self, how: str) -> None:
        """Count one answer about one job."""
        self._job_answers[how] += 1

    def callback_refused(self, code: str) -> None:
        """Count one report of a trainer that was refused with this code of ours."""
        self._callback_rejects.labels(code.lower()).inc()


class Gauges:
    """Everybody's jobs in numbers, read from the database every few seconds at most."""

    def __init__(self, database: Database, registry: CollectorRegistry) -> None:
        self._database, self._read_at = database, -_FIGURES_REMEMBERED
        self._reading = asyncio.Lock()
        self._jobs = Gauge("lora_pipeline_jobs", "Jobs, by status.", ["status"], registry=registry)
        self._overdue = Gauge(
            "lora_pipeline_oldest_due_job_seconds",
            "For how long the longest waiting job has been due; it grows when no worker runs.",
            registry=registry,
        )
        self._unreleased = Gauge(
            "lora_pipeline_unconfirmed_releases",
            "Jobs that have ended, of which the cluster has not yet confirmed that no GPU is held.",
            registry=registry,
        )
        self._burning = Gauge(
            "lora_pipeline_unconfirmed_releases_dollars_per_hour",
            "What the GPUs of those jobs cost together, if all are held.",
            registry=registry,
        )
        self._up = Gauge(
            "lora_pipeline_database_up",
            "Whether the database answered; 0 makes the other gauges old.",
            registry=registry,
        )

    async def read(self) -> None:
        """Bring the gauges up to date."""
        async with self._reading:
            if time.monotonic() - self._read_at < _FIGURES_REMEMBERED:
                return
            try:
                now = await self._database.now()
                async with self._database.read() as tx:
                    found = await figures(tx, now)
            except DatabaseUnavailable:
                self._up.set(0)
                return
            self._read_at = time.monotonic()
            self._up.set(1)
            for status, count in found.jobs.items():
                self._jobs.labels(status.value).set(count)
            self._overdue.set(found.overdue.total_seconds())
            self._unreleased.set(found.unreleased)
            self._burning.set(float(found.burning))


class Readiness:
    """Whether requests can be answered: the database is there, with this program's schema."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._database, self._clock = database, clock
        self._asking = asyncio.Lock()
        self._said: tuple[float, str | None] | None = None

    async def trouble(self) -> str | None:
        """What is in the way, in words that may be shown to anybody; None when nothing is."""
        async with self._asking:
            if self._said is None or self._clock() - self._said[0] > _REMEMBERED:
                self._said = self._clock(), await self._look()
            return self._said[1]

    async def _look(self) -> str | None:
        try:
            await check_schema(self._database)
        except SchemaMismatch as exc:
            return str(exc)
        except DatabaseUnavailable as exc:
            logger.warning("not ready", error=str(exc))
            return "The database cannot be reached."
        return None


def health_routes(database: Database, meters: Meters) -> list[Route]:
    """`/healthz`: the process answers. `/readyz`: it can also do its work; else 503. `/metrics`: for Prometheus."""
    readiness, gauges = Readiness(database), Gauges(database, meters.registry)

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_: Request) -> Response:
        if trouble := await readiness.trouble():
            return JSONResponse({"status": "not ready", "error": trouble}, 503, {"Retry-After": "2"})
        return JSONResponse({"status": "ready"})

    async def metrics(_: Request) -> Response:
        await gauges.read()
        return Response(generate_latest(meters.registry), media_type=CONTENT_TYPE_LATEST)

    return [
        Route("/healthz", healthz, methods=["GET"]),
        Route("/readyz", readyz, methods=["GET"]),
        Route("/metrics", metrics, methods=["GET"]),
    ]
