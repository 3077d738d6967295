"""What happened to jobs that their rows do not keep

Revision: 0003
After: 0002
"""

import sqlalchemy as sa
from alembic import op

from jobs.database.types import Id, UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "job_events",
        sa.Column("job_id", Id(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["job_id"], ["training_jobs.id"], name=op.f("fk_job_events_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "at", "kind", name=op.f("pk_job_events")),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("job_events")
