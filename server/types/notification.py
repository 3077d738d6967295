"""What a user was told."""

from datetime import datetime

import strawberry

from jobs.domain import records
from server.context import Info
from server.types.enums import NoticeType, Priority
from server.types.interfaces import Node
from server.types.job import Job


@strawberry.type(description="What a user was told about a job.")
class Notification(Node):
    """What a user was told about a job."""

    notification: strawberry.Private[records.Notification]
    type: NoticeType = strawberry.field(description="What it is about.")
    title: str = strawberry.field(description="A few words.")
    message: str = strawberry.field(description="A sentence or two.")
    priority: Priority = strawberry.field(description="How loudly to say it.")
    action_url: str = strawberry.field(description="The page of the job, such as `/training/jobs/{id}`.")
    read_at: datetime | None = strawberry.field(
        description="When it was marked read; null while it is unread."
    )
    created_at: datetime = strawberry.field(description="When it was told.")

    @classmethod
    def of(cls, notification: records.Notification) -> "Notification":
        """The public view."""
        return cls(
            notification=notification,
            id=strawberry.ID(str(notification.id)),
            type=notification.type,
            title=notification.title,
            message=notification.message,
            priority=notification.priority,
            action_url=notification.action_url,
            read_at=notification.read_at,
            created_at=notification.created_at,
        )

    @strawberry.field(description="The job it is about.")
    async def job(self, info: Info) -> Job | None:
        """Loaded together with those of the other notifications of the same request."""
        job = await info.context.loaders.jobs.load(self.notification.job_id)
        return Job.of(job) if job else None
