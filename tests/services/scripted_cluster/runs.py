"""What a scripted cluster knows: calls, jobs, and the runs it has of them."""

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from typing import Any, Literal

from tests.services.scripted_cluster.answers import Answer

Verb = Literal["submit", "status", "cancel"]
LIVE = ("queued", "initializing", "running")
WORDS = (*LIVE, "completed", "failed", "cancelled")


@dataclass(slots=True, kw_only=True)
class Call:
    """One request, as it came. `answered`: the status sent, or `hang`, `reset`, `raw`, `kill`."""

    at: datetime
    verb: str  #: `submit`, `status`, `cancel`; the path of anything else
    job_id: str | None
    external_id: str | None
    key: str | None  #: Idempotency-Key
    headers: dict[str, str]
    body: bytes
    answered: str = ""
    sent: int = 0  #: bytes of the body that the connection took

    @property
    def body_sha256(self) -> str:
        """Hex digest of the body: equal for byte-identical retries."""
        return hashlib.sha256(self.body).hexdigest()


@dataclass(slots=True, kw_only=True)
class Run:
    """One external job."""

    external_id: str
    body: bytes  #: what it was submitted with
    status: str = "running"
    finished_at: str | None = None  #: ISO 8601
    error_message: str | None = None
    artifact: dict[str, Any] | None = None
    polls_left: int | None = None  #: asked to stop, and runs on for so many polls
    forgotten: bool = False

    @property
    def is_live(self) -> bool:
        """Whether it holds GPUs."""
        return self.status in LIVE and not self.forgotten


@dataclass(slots=True, kw_only=True)
class ScriptedJob:
    """All the cluster has of one of our jobs; its methods are what happens to the newest run."""

    job_id: str
    runs: list[Run] = field(default_factory=list)
    max_live: int = 0  #: most runs alive at the same time; more than 1 is a double run
    _lingers: int = 0
    _names: deque[str] = field(default_factory=deque)
    _figures: dict[str, Any] = field(default_factory=dict)
    _turns: deque[dict[str, Any]] = field(default_factory=deque)
    _scripts: dict[str, Iterator[Answer]] = field(default_factory=dict)

    @property
    def run(self) -> Run:
        """The newest run. Raises `LookupError` when nothing was submitted."""
        if not self.runs:
            raise LookupError(f"job {self.job_id} was never submitted")
        return self.runs[-1]

    @property
    def live(self) -> list[Run]:
        """Runs that hold GPUs now."""
        return [run for run in self.runs if run.is_live]

    def complete(
        self, *, finished_at: datetime | str | None = None, artifact: Mapping[str, Any] | None = None
    ) -> None:
        """The run ends well; `finished_at` is now unless given."""
        self.run.artifact = dict(artifact) if artifact else None
        self._become("completed", finished_at)

    def fail(self, message: str | None = None, *, finished_at: datetime | str | None = None) -> None:
        """The run fails, with the cluster's words."""
        self.run.error_message = message
        self._become("failed", finished_at)

    def cancel(self) -> None:
        """The run is stopped by itself, without anybody's asking."""
        self._become("cancelled", None)

    def forget(self) -> None:
        """From now on the cluster answers 404 for it, and nothing of it runs."""
        self.run.forgotten = True

    def progress(
        self, percent: float | None = None, *, points: Iterable[Mapping[str, Any]] = (), **members: Any
    ) -> None:
        """What the status document says from now on: its members by name, such as `current_step` or `metrics`."""
        told = members if percent is None else {"progress": percent, **members}
        listed = [dict(point) for point in points]
        self._figures.update(told, **({"points": listed} if listed else {}))

    def linger(self, polls: int) -> None:
        """A run that is cancelled stays alive for so many polls."""
        self._lingers = polls

    def name_runs(self, *external_ids: str) -> None:
        """What the next runs are called, however odd."""
        self._names.extend(external_ids)

    def then(self, *turns: str | Mapping[str, Any]) -> None:
        """What the next polls show, one each, the last for good: a status word, or members of the document.

        Words of the contract change the run; any other status is only shown.
        """
        self._turns.extend({"status": turn} if isinstance(turn, str) else dict(turn) for turn in turns)

    def script(
        self, *, submit: Iterable[Answer] = (), status: Iterable[Answer] = (), cancel: Iterable[Answer] = ()
    ) -> None:
        """How the next requests are answered, one each, and as usual after that; `itertools.repeat` is for ever."""
        for verb, answers in (("submit", submit), ("status", status), ("cancel", cancel)):
            self._scripts[verb] = chain(self._scripts.get(verb, ()), answers)

    def next_answer(self, verb: str) -> Answer | None:
        """The next scripted answer to `verb`, if there is one."""
        return next(self._scripts.get(verb, iter(())), None)

    def next_name(self) -> str | None:
        """The external id that was wished for the next run."""
        return self._names.popleft() if self._names else None

    def start(self, run: Run) -> None:
        """A run begins."""
        self.runs.append(run)
        self._count()

    def stop(self, run: Run) -> None:
        """Somebody asks to stop `run`."""
        if self._lingers > 0:
            run.polls_left = self._lingers if run.polls_left is None else run.polls_left
        else:
            self._end_stopped(run)

    def document(self, run: Run) -> dict[str, Any]:
        """The status document for one poll."""
        if run.polls_left is not None and run.is_live:
            if run.polls_left == 0:
                self._end_stopped(run)
            else:
                run.polls_left -= 1
        elif self._turns:
            self._take_turn(run, self._turns.popleft())
        document = {"progress": 0, "current_epoch": 0, "current_step": 0, "stage": None, "metrics": None}
        own = {"error_message": run.error_message, "finished_at": run.finished_at, "artifact": run.artifact}
        return {"status": run.status, **document, **own, **self._figures}

    def _take_turn(self, run: Run, turn: dict[str, Any]) -> None:
        word = turn.get("status")
        if word in WORDS:
            del turn["status"]
            self._become(word, None, run)
        self._figures.update(turn)

    def _end_stopped(self, run: Run) -> None:
        self._turns.clear()
        self._become("cancelled", None, run)

    def _become(self, status: str, finished_at: datetime | str | None, run: Run | None = None) -> None:
        run = run or self.run
        over = status not in LIVE
        at = finished_at.isoformat() if isinstance(finished_at, datetime) else finished_at
        run.status, run.finished_at = status, (at or datetime.now(UTC).isoformat()) if over else None
        self._figures.pop("status", None)
        self._count()

    def _count(self) -> None:
        self.max_live = max(self.max_live, len(self.live))
