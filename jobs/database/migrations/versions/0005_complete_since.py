"""Since when a run is complete whose job still waits for the storage of its adapter

Revision: 0005
After: 0004
"""

import sqlalchemy as sa
from alembic import op

from jobs.database.types import UtcDateTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the column."""
    op.add_column("training_jobs", sa.Column("complete_since", UtcDateTime(), nullable=True))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("training_jobs", "complete_since")
