"""Roll-ups of histories (rollups.py; `migrate` makes those of what is there), and an index of points that are not finite

Revision: 0004
After: 0003
"""

import sqlalchemy as sa
from alembic import op

from jobs.database.types import Id

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table and the index."""
    op.create_table(
        "metrics_spans",
        sa.Column("job_id", Id(), nullable=False),
        sa.Column("width", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("first_step", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("parts", sa.LargeBinary(), nullable=False),
        sa.Column("points_dropped", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.CheckConstraint(
            "first_step >= 0 AND first_step % width = 0", name=op.f("ck_metrics_spans_in_line")
        ),
        sa.ForeignKeyConstraint(
            ["job_id"], ["training_jobs.id"], name=op.f("fk_metrics_spans_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "width", "first_step", name=op.f("pk_metrics_spans")),
    )
    op.create_index(
        "ix_metrics_points_non_finite",
        "metrics_points",
        ["job_id", "step"],
        postgresql_where=sa.text("non_finite"),
        sqlite_where=sa.text("non_finite"),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_index("ix_metrics_points_non_finite", "metrics_points")
    op.drop_table("metrics_spans")
