"""Which run is trained when: each has one life, and every step of it is durable before it is taken.

A life starts again with the executor: what waits is started, what is trained is followed, and what lost its
trainer goes on from the last checkpoint.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec import to_builtins
from msgspec.structs import asdict, replace

from jobs.executor import folder
from jobs.executor.contract import Refusal, Submission
from jobs.executor.document import status_document
from jobs.executor.engines import CannotStart, Engine, Trainer
from jobs.executor.store import Run, RunStore, Status

MOST_DEATHS = 3
_SECONDS_AFTER_A_DEATH = 1.0

Tell = Callable[[str, dict[str, Any]], Awaitable[None]]  #: sends a status document to a callback URL

logger = logging.getLogger(__name__)


class Dispatcher:
    """Takes submissions and cancels, and sees every run to its end."""

    def __init__(self, store: RunStore, engine: Engine, *, slots: int, tell: Tell) -> None:
        """At most `slots` runs are trained at the same time, the oldest first."""
        self._store, self._engine, self._tell = store, engine, tell
        self._slots = asyncio.Semaphore(slots)
        self._trainers: dict[str, Trainer] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Take up what an earlier executor left: runs that are being trained have their slots already."""
        for run in self._store:
            if run.status.is_final:
                self._store.forget_data(run)  # should we have been killed in between
        left = [run for run in self._store if not run.status.is_final]
        for run in left:
            if trainer := await self._engine.find(self._store.folder(run.external_id)):
                logger.info("run %s: its trainer is still at work", run.external_id)
                self._trainers[run.external_id] = trainer
        for run in sorted(left, key=lambda run: (run.external_id not in self._trainers, run.status)):
            self._begin(self._live(run.external_id))
            if run.cancel_requested:
                self._stop_trainer(run)

    async def close(self) -> None:
        """Stop deciding; what becomes of the trainers is the engine's matter."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._engine.close()

    def submit(self, wish: Submission) -> Run:
        """The run for this key: a new one, or the one there is, whatever became of it. Raises `Refusal`."""
        if known := self._store.of_job(wish.job_id):
            if known.work != wish.work:
                raise Refusal(
                    422, "job_id: this key was used for other work (hyperparameters, GPUs or dataset differ)."
                )
            return known
        run = Run(f"run-{secrets.token_hex(16)}", wish.job_id, wish.work, submitted_at=_now())
        self._store.add(run, to_builtins(wish))
        logger.info("run %s: queued for job %s", run.external_id, run.job_id)
        self._begin(self._live(run.external_id))
        return run

    def cancel(self, external_id: str) -> Run:
        """Stop a run for good; refused when it has ended otherwise. Raises `Refusal`."""
        run = self._known(external_id)
        if run.status is Status.CANCELLED:
            return run
        if run.status.is_final:
            raise Refusal(409, f"The run has {run.status} already; nothing of it runs.")
        if run.status is Status.QUEUED and external_id not in self._trainers:
            return self._finish(run, Status.CANCELLED)
        if not run.cancel_requested:
            run = replace(run, cancel_requested=True)
            self._store.save(run)
            self._stop_trainer(run)
        return run

    async def document(self, external_id: str) -> dict[str, Any]:
        """The run's status document. Raises `Refusal` for an unknown id."""
        run = self._known(external_id)
        return await asyncio.to_thread(status_document, run, self._store.folder(external_id))

    async def _live(self, external_id: str) -> None:
        try:
            async with self._slots:
                while not (run := self._known(external_id)).status.is_final:
                    await self._go_on(run)
        except CannotStart as error:
            self._finish(self._known(external_id), Status.FAILED, error_message=str(error))
        except Exception:
            logger.exception("run %s: left where it is until the executor starts again", external_id)

    async def _go_on(self, run: Run) -> None:
        """One trainer's time, unless there is nothing left to train, and what it leaves behind."""
        place, how = self._store.folder(run.external_id), None
        if run.external_id in self._trainers or not (run.cancel_requested or folder.result(place)):
            how = await self._train(run, place)
        run = self._known(run.external_id)
        if result := folder.result(place):
            self._finish(run, **asdict(result))
        elif run.cancel_requested:
            self._finish(run, Status.CANCELLED)
        elif how:
            await self._died(run, how)

    async def _train(self, run: Run, place: Path) -> str:
        """Have a trainer work on the run; how it ended. Raises `CannotStart`."""
        if run.status is Status.QUEUED:
            self._store.save(replace(run, status=Status.ACTIVE))
        trainer = self._trainers.get(run.external_id) or await self._engine.start(place)
        self._trainers[run.external_id] = trainer
        logger.info("run %s: training", run.external_id)
        run = self._known(run.external_id)
        if run.cancel_requested:  # while it was starting
            self._stop_trainer(run)
        how = await trainer.ended()
        del self._trainers[run.external_id]
        return how

    async def _died(self, run: Run, how: str) -> None:
        run = replace(run, deaths=run.deaths + 1)
        logger.warning("run %s: its trainer ended without a result (%s)", run.external_id, how)
        if run.deaths > MOST_DEATHS:
            sentence = f"The trainer ended {run.deaths} times without a result, last with: {how}."
            self._finish(run, Status.FAILED, error_message=sentence)
            return
        self._store.save(run)
        await asyncio.sleep(run.deaths * _SECONDS_AFTER_A_DEATH)

    def _finish(self, run: Run, status: Status, *, finished_at: str | None = None, **facts: Any) -> Run:
        """Enter a final status, and let the service know."""
        run = replace(run, status=status, finished_at=finished_at or _now(), **facts)
        self._store.save(run)
        logger.info("run %s: %s%s", run.external_id, status, f": {m}" if (m := run.error_message) else "")
        place = self._store.folder(run.external_id)
        if url := folder.callback_url(place):
            self._begin(self._tell(url, {**status_document(run, place), "points": []}))
        self._store.forget_data(run)
        return run

    def _stop_trainer(self, run: Run) -> None:
        if trainer := self._trainers.get(run.external_id):
            logger.info("run %s: stopping", run.external_id)
            self._begin(trainer.stop())

    def _begin(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _known(self, external_id: str) -> Run:
        run = self._store.get(external_id)
        if run is None:
            raise Refusal(404, "There is no such run.")
        return run


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
