"""What a finished training leaves."""

from datetime import datetime, timedelta

import strawberry

from jobs.domain import records
from server.context import Info
from server.scalars import BigInt
from server.types.interfaces import Node

ROUND = timedelta(
    minutes=30
)  #: within it questions get the same URL: an unchanged job has an unchanged answer
_LIFE = timedelta(hours=1)  #: the least that every URL lives


@strawberry.type(description="The trained adapter of a finished job.")
class ModelArtifact(Node):
    """The adapter of a finished job."""

    artifact: strawberry.Private[records.Artifact]
    name: str = strawberry.field(description="The file's name.")
    size_bytes: BigInt = strawberry.field(description="The file's size in bytes.")
    sha256: str = strawberry.field(description="The file's SHA-256, hexadecimal.")
    created_at: datetime = strawberry.field(description="When the job left it.")

    @classmethod
    def of(cls, artifact: records.Artifact) -> "ModelArtifact":
        """The public view."""
        return cls(
            artifact=artifact,
            id=strawberry.ID(str(artifact.id)),
            name=artifact.name,
            size_bytes=BigInt(artifact.size_bytes),
            sha256=artifact.sha256,
            created_at=artifact.created_at,
        )

    @strawberry.field(
        description="A link to the file that needs no token; good for at least an hour, ask again then."
    )
    def download_url(self, info: Info) -> str:
        """Signed for this one file."""
        asked_at = info.context.asked_at
        into_round = (asked_at - asked_at.min.replace(tzinfo=asked_at.tzinfo)) % ROUND
        return info.context.buckets.get_url(
            self.artifact.storage_bucket,
            self.artifact.storage_path,
            issued_at=asked_at - into_round,
            lifetime=_LIFE + ROUND,
            filename=self.artifact.name,
        )
