"""Jobs in every state, put into the database as they would be there: to look at and to test without training anything."""

import math
import random
from collections.abc import Iterable
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4, uuid5

from sqlalchemy import insert

from jobs.database import Database, Transaction, datasets, events, metrics
from jobs.database.tables import cost_records, model_artifacts, notifications, training_jobs
from jobs.domain.dataset import Dataset, DatasetStatus
from jobs.domain.events import Event, EventKind
from jobs.domain.job import Job
from jobs.domain.lifecycle import FINAL, JobStatus, Release
from jobs.domain.metrics import CurrentMetrics, Point
from jobs.domain.notices import NoticeType, Priority
from jobs.domain.pricing import GpuConfig, cost
from jobs.domain.records import ChargeDetails
from jobs.domain.training import Hyperparameters

USER = "dev"
A100 = GpuConfig("NVIDIA A100", 2, Decimal("2.50"))
LONG_NAME = (
    "Customer support conversations 2019–2026, anonymised, deduplicated, translated, " + "re" * 40 + "viewed"
)
ALL_STEPS = 3_000
_NAMESPACE = UUID("6f0f5a0e-3f53-4d0a-9a40-7d8f6f6f9d11")


def job_id(name: str) -> UUID:
    """The id of the scenery's job of that name."""
    return uuid5(_NAMESPACE, name)


def curve(
    steps: Iterable[int], until: datetime, *, rate: float = 2e-4, floor: float = 0.6, rough: float = 0.05
) -> list[Point]:
    """A plausible training, a point a second up to `until`: warm-up, noise, a validation loss every fifty steps that
    rises again in the end."""
    noise = random.Random(7)  # the same curve every time
    steps = list(steps)
    points = []
    for step in steps:
        loss = floor + 2.1 * math.exp(-step / 260) + noise.gauss(0, rough)
        validation = floor + 0.12 + 2.0 * math.exp(-step / 240) + 6e-5 * max(0, step - 900)
        warm = min(1.0, step / 100) * (0.5 + 0.5 * math.cos(math.pi * step / ALL_STEPS))
        points.append(
            Point(
                step=step,
                epoch=1 + (step - 1) // 1000,
                timestamp=until - timedelta(seconds=steps[-1] - step),
                training_loss=max(0.01, loss),
                validation_loss=validation if step % 50 == 0 else None,
                learning_rate=rate * warm,
                gradient_norm=0.8 + abs(noise.gauss(0, 0.25)),
                throughput=8_400 + noise.gauss(0, 220),
                gpu_utilization=min(100.0, 93 + noise.gauss(0, 2.5)),
            )
        )
    return points


class Scenery:
    """Puts jobs of `USER` into a database, the newest last."""

    def __init__(self, tx: Transaction, now: datetime | None = None) -> None:
        self.tx = tx
        self.now = now or datetime.now(UTC)

    async def job(
        self,
        name: str,
        dataset: str,
        status: JobStatus,
        age: timedelta,
        points: list[Point] | None = None,
        **changes: Any,
    ) -> Job:
        """One job that was created `age` ago, with what its status implies; `changes` win."""
        set_up = changes.pop("hyperparameters", Hyperparameters())
        points = points or []
        created = self.now - age
        started = created + timedelta(seconds=12)
        newest = points[-1] if points else None
        values: dict[str, Any] = {
            "id": job_id(name),
            "user_id": USER,
            "dataset_id": await self._dataset(dataset, created),
            "preset_id": "mistral-7b-balanced",
            "status": status,
            "hyperparameters": set_up,
            "gpu_config": A100,
            "created_at": created,
            "updated_at": self.now,
            "next_action_at": self.now,
            "total_epochs": set_up.num_epochs,
            "total_steps": ALL_STEPS,
            "estimated_total_cost": Decimal("4.60"),
            "current_stage": "waiting for a worker",
        }
        if status is not JobStatus.QUEUED:
            values |= {
                "submitted_at": created + timedelta(seconds=1),
                "current_stage": "handing the job to the GPU cluster",
            }
        if status is JobStatus.RUNNING or status in FINAL:
            values |= {
                "external_job_id": f"run-{job_id(name).hex[:12]}",
                "accepted_at": started,
                "started_at": started,
                "last_contact_at": self.now - timedelta(seconds=4),
                "current_stage": "training",
                "current_cost": cost(A100, self.now - started),
            }
        if newest:
            known = {name: _last(points, name) for name in CurrentMetrics.__slots__}
            values |= {
                "current_step": newest.step,
                "current_epoch": newest.epoch,
                "progress": 100 * newest.step / ALL_STEPS,
                "current_metrics": CurrentMetrics(**known),
            }
        if status in FINAL:
            ended = newest.timestamp if newest else started + timedelta(minutes=40)
            spent = cost(A100, ended - started)
            values |= {
                "completed_at": ended,
                "current_stage": None,
                "current_cost": spent,
                "final_cost": spent,
                "release": Release.CONFIRMED,
                "released_at": ended + timedelta(seconds=3),
                "next_action_at": None,
            }
        if status is JobStatus.COMPLETED:
            values["progress"] = 100.0
        job = Job(**(values | changes))
        await self.tx.execute(
            insert(training_jobs).values({field.name: getattr(job, field.name) for field in fields(Job)})
        )
        for start in range(0, len(points), 500):
            await metrics.upsert(self.tx, job.id, points[start : start + 500])
        if job.final_cost:
            await self._book(job)
        return job

    async def notice(
        self, job: Job, kind: NoticeType, title: str, message: str, *, read: bool = False
    ) -> None:
        """What its owner was told."""
        values = {
            "id": uuid4(),
            "user_id": USER,
            "job_id": job.id,
            "type": kind,
            "title": title,
            "message": message,
            "priority": Priority.HIGH,
            "action_url": f"/training/jobs/{job.id}",
            "metadata": {},
            "read_at": self.now if read else None,
            "created_at": job.completed_at or job.started_at or job.created_at,
        }
        await self.tx.execute(insert(notifications).values(values))

    async def silences(self, job: Job) -> None:
        """Twice the cluster did not answer about it, and once it did again."""
        told = (
            (20, EventKind.STALE, "connection refused"),
            (17, EventKind.RECOVERED, None),
            (2.5, EventKind.STALE, "no answer in 10 s"),
        )
        kept = [Event(self.now - timedelta(minutes=ago), kind, detail) for ago, kind, detail in told]
        await events.insert_events(self.tx, [(job, event) for event in kept])

    async def artifact(self, job: Job) -> UUID:
        """Its adapter; nothing lies where it points to."""
        artifact_id = uuid5(job.id, "artifact")
        values = {
            "id": artifact_id,
            "user_id": USER,
            "job_id": job.id,
            "name": f"{job.id}.tar",
            "storage_bucket": "lora-datasets",
            "storage_path": f"{USER}/{job.id}.tar",
            "size_bytes": 41_943_040,
            "sha256": "5e" * 32,
            "created_at": job.completed_at,
        }
        await self.tx.execute(insert(model_artifacts).values(values))
        return artifact_id

    async def _dataset(self, name: str, at: datetime) -> UUID:
        dataset_id = uuid5(_NAMESPACE, f"dataset {name}")
        if await datasets.get(self.tx, dataset_id, USER) is None:
            dataset = Dataset(
                id=dataset_id,
                user_id=USER,
                name=name,
                storage_bucket="lora-datasets",
                storage_path=f"{USER}/{dataset_id}.jsonl",
                created_at=at,
                size_bytes=4_200_000,
                format="prompt_completion",
                status=DatasetStatus.READY,
                total_training_pairs=8_000,
                total_tokens=1_050_000,
            )
            await datasets.insert_dataset(self.tx, dataset)
        return dataset_id

    async def _book(self, job: Job) -> None:
        assert job.completed_at is not None
        assert job.started_at is not None
        hours = Decimal(round((job.completed_at - job.started_at) / timedelta(hours=1), 6))
        values = {
            "id": uuid4(),
            "user_id": USER,
            "job_id": job.id,
            "cost_type": "training_compute",
            "amount": job.final_cost,
            "details": ChargeDetails(A100.gpu_type, A100.num_gpus, hours.quantize(Decimal("0.000001"))),
            "billing_period": job.completed_at.date(),
            "recorded_at": job.completed_at,
        }
        await self.tx.execute(insert(cost_records).values(values))


def _last(points: list[Point], name: str) -> float | None:
    return next((value for point in reversed(points) if (value := getattr(point, name)) is not None), None)


def broken(points: list[Point]) -> list[Point]:
    """The same with what goes wrong in life: a silent stretch, steps that were no number, and spikes."""
    changed = []
    for point in points:
        if 640 <= point.step < 760:
            continue
        values = point._asdict()
        if 420 <= point.step < 424:
            values |= {"training_loss": None, "gradient_norm": None, "non_finite": True}
        if point.step in {900, 1100}:
            values |= {"training_loss": 38.0, "gradient_norm": 61.0}
        changed.append(Point(**values))
    return changed


async def furnish(database: Database, *, many: int = 60) -> None:
    """A job in each state a person may find one in, and `many` finished ones to page through."""
    async with database.begin() as tx:
        scene = Scenery(tx)
        ago = scene.now
        for number in range(many):
            await scene.job(
                f"old {number}",
                f"Nightly batch {number:03d}",
                (JobStatus.COMPLETED, JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED)[number % 4],
                timedelta(days=2 + (many - number) / 3),
                estimated_total_cost=Decimal(number % 7) + Decimal("1.25"),
                error_message="The trainer ran out of memory." if number % 4 == 2 else None,
            )
        high = Hyperparameters(learning_rate=1e-3, lora_rank=64, lora_alpha=128)
        low = Hyperparameters(learning_rate=5e-5, lora_rank=8, lora_alpha=16)
        for name, set_up, floor, hours in (("gentle", low, 1.05, 30), ("bold", high, 0.42, 28)):
            done = curve(
                range(10, ALL_STEPS + 1, 10),
                ago - timedelta(hours=hours),
                rate=set_up.learning_rate,
                floor=floor,
            )
            job = await scene.job(
                name,
                "Support answers",
                JobStatus.COMPLETED,
                timedelta(hours=hours, minutes=51),
                done,
                hyperparameters=set_up,
                artifact_id=uuid5(job_id(name), "artifact"),
            )
            await scene.artifact(job)
            await scene.notice(
                job,
                NoticeType.JOB_COMPLETED,
                "Training Complete",
                "Your training job finished successfully. Cost: $4.18",
                read=True,
            )
        failed = await scene.job(
            "failed",
            "Product descriptions",
            JobStatus.FAILED,
            timedelta(hours=20),
            curve(range(1, 81), ago - timedelta(hours=19.9)),
            error_message="CUDA out of memory. Tried to allocate 20.00 MiB (GPU 0; 79.15 GiB total capacity; "
            "77.92 GiB already allocated; 12.88 MiB free).\nA smaller batch size needs less memory.",
        )
        await scene.notice(
            failed, NoticeType.JOB_FAILED, "Training Failed", "Your training job failed: CUDA out of memory"
        )
        cancelled = await scene.job(
            "cancelled",
            "Recipes",
            JobStatus.CANCELLED,
            timedelta(hours=9),
            curve(range(1, 300), ago - timedelta(hours=8.9)),
        )
        await scene.notice(
            cancelled,
            NoticeType.JOB_CANCELLED,
            "Training Cancelled",
            "Your training job was cancelled",
            read=True,
        )
        await scene.job(
            "releasing",
            "Recipes",
            JobStatus.CANCELLED,
            timedelta(minutes=25),
            curve(range(1, 900), ago - timedelta(minutes=6)),
            release=Release.NEEDED,
            releasing_since=ago - timedelta(minutes=6),
            released_at=None,
            next_action_at=ago,
        )
        await scene.job(
            "long",
            LONG_NAME,
            JobStatus.RUNNING,
            timedelta(minutes=22),
            curve(range(1, 1200), ago - timedelta(seconds=3)),
        )
        stale = await scene.job(
            "stale",
            "Legal clauses",
            JobStatus.RUNNING,
            timedelta(minutes=31),
            curve(range(1, 1500), ago - timedelta(minutes=4)),
            stale=True,
            contact_lost_since=ago - timedelta(minutes=4),
            last_contact_at=ago - timedelta(minutes=4),
            current_stage="Asking the GPU cluster again (no answer in 10 s)",
        )
        await scene.silences(stale)
        running = await scene.job(
            "running",
            "Support answers",
            JobStatus.RUNNING,
            timedelta(minutes=23),
            broken(curve(range(1, 1341), ago - timedelta(seconds=2))),
        )
        await scene.notice(
            running,
            NoticeType.JOB_STARTED,
            "Training Started",
            "Your training job has started on 2x NVIDIA A100",
        )
        await scene.job(
            "first metrics",
            "Poems",
            JobStatus.RUNNING,
            timedelta(seconds=40),
            current_stage="loading the model",
        )
        await scene.job("initializing", "Poems", JobStatus.INITIALIZING, timedelta(seconds=20))
        await scene.job("queued", "Poems", JobStatus.QUEUED, timedelta(seconds=5))
