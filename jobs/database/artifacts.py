"""The adapters that trainings leave: where each lies and what it is."""

from collections.abc import Collection, Sequence
from dataclasses import fields
from uuid import UUID

from sqlalchemy import insert, select

from jobs.database.engine import Transaction
from jobs.database.reading import Question, among, made_of
from jobs.database.tables import model_artifacts
from jobs.domain.job import Job
from jobs.domain.records import Artifact
from jobs.domain.sighting import ReportedArtifact

BUCKET = "model-artifacts"
_BY_ID = Question(
    lambda dialect: select(*(model_artifacts.c[field.name] for field in fields(Artifact))).where(
        among(model_artifacts.c.id, "artifact_ids", dialect)
    ),
    made_of(Artifact),
)


async def insert_artifacts(tx: Transaction, reported: Sequence[tuple[Job, ReportedArtifact]]) -> None:
    """Store what the cluster reported of finished jobs' adapters."""
    if not reported:
        return
    rows = [
        {
            "id": job.artifact_id,
            "user_id": job.user_id,
            "job_id": job.id,
            "name": f"{job.id}.tar",
            "storage_bucket": BUCKET,
            "storage_path": f"{job.user_id}/{job.id}.tar",
            "size_bytes": artifact.size_bytes,
            "sha256": artifact.sha256,
            "created_at": job.updated_at,
        }
        for job, artifact in reported
    ]
    await tx.execute(insert(model_artifacts), rows)


async def get_many(tx: Transaction, artifact_ids: Collection[UUID]) -> dict[UUID, Artifact]:
    """By their ids, which come from jobs that the caller may see."""
    found = await _BY_ID.all(tx, artifact_ids=list(artifact_ids))
    return {artifact.id: artifact for artifact in found}
