"""Postgres asks the guard of a job's row only where it might say no

Revision: 0007
After: 0006

It is a function in a language of its own, asked twice for every job at every look, which changes nothing that it guards.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_GUARDED = (
    *("id", "user_id", "dataset_id", "gpu_config", "hyperparameters", "created_at"),
    *("status", "external_job_id"),
)
_ENDED = "OLD.status IN ('completed', 'failed', 'cancelled')"


def upgrade() -> None:
    """Ask it of jobs that have ended, and where something changes that it guards in the others."""
    old, new = (", ".join(f"{row}.{name}" for name in _GUARDED) for row in ("OLD", "NEW"))
    _make_trigger(f"WHEN ({_ENDED} OR ({new}) IS DISTINCT FROM ({old}))")


def downgrade() -> None:
    """Ask it always."""
    _make_trigger("")


def _make_trigger(when: str) -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP TRIGGER guard_training_jobs ON training_jobs")
        op.execute(
            "CREATE TRIGGER guard_training_jobs BEFORE UPDATE ON training_jobs "
            f"FOR EACH ROW {when} EXECUTE FUNCTION guard_training_jobs()"
        )
