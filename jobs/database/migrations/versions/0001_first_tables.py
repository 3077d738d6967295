"""Jobs, their points, books, notifications and adapters, and the guards that keep their rules

Revision: 0001
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from jobs.database.types import Id, Money, UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(JSONB(), "postgresql")
TABLES = ("notifications", "model_artifacts", "cost_records", "metrics_points", "training_jobs", "datasets")

_FINAL = "('completed', 'failed', 'cancelled')"
#: What a job's row may never do, each with the sentence for whoever tries; OLD and NEW as in a trigger, and with
#: `<>?` for "is not the same as, null or not", which the two databases spell differently.
RULES = {
    "a job keeps its id, owner, dataset, price and wishes": """
        NEW.id <> OLD.id OR NEW.user_id <> OLD.user_id OR NEW.dataset_id <> OLD.dataset_id
        OR NEW.gpu_config <> OLD.gpu_config OR NEW.hyperparameters <> OLD.hyperparameters
        OR NEW.created_at <> OLD.created_at""",
    "a job cannot change its status in this way": f"""
        NEW.status <> OLD.status AND NOT (
            (OLD.status = 'queued' AND NEW.status IN ('initializing', 'cancelled'))
            OR (OLD.status = 'initializing' AND NEW.status IN ('running', 'failed', 'cancelled'))
            OR (OLD.status = 'running' AND NEW.status IN {_FINAL}))""",
    "a job keeps the external id it has": """
        OLD.external_job_id IS NOT NULL AND NEW.external_job_id <>? OLD.external_job_id""",
    "a job that has ended stays as it ended": f"""
        OLD.status IN {_FINAL} AND (
            NEW.completed_at <>? OLD.completed_at OR NEW.started_at <>? OLD.started_at
            OR NEW.error_message <>? OLD.error_message OR NEW.progress <> OLD.progress
            OR NEW.current_stage <>? OLD.current_stage OR NEW.current_metrics <>? OLD.current_metrics
            OR NEW.current_epoch <> OLD.current_epoch OR NEW.total_epochs <> OLD.total_epochs
            OR NEW.current_step <> OLD.current_step OR NEW.total_steps <> OLD.total_steps
            OR NEW.artifact_id <>? OLD.artifact_id OR NEW.current_cost <> OLD.current_cost
            OR (NEW.final_cost <>? OLD.final_cost AND NOT (OLD.release = 'needed' AND NEW.release = 'confirmed'))
            OR (NEW.release <> OLD.release AND NOT (OLD.release = 'needed' AND NEW.release = 'confirmed')))""",
}


def upgrade() -> None:
    """Make the tables and their guards."""
    op.create_table(
        "datasets",
        sa.Column("id", Id(), nullable=False),
        sa.Column("user_id", sa.String(length=128), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("format", sa.String(length=32), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("training_ready", sa.Boolean(), nullable=False),
        sa.Column("storage_bucket", sa.String(length=63), server_default="lora-datasets", nullable=False),
        sa.Column("storage_path", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("total_training_pairs", sa.Integer(), server_default="0", nullable=False),
        sa.Column("total_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "(status = 'invalid') = (error_message IS NOT NULL)", name=op.f("ck_datasets_invalid_says_why")
        ),
        sa.CheckConstraint(
            "status IN ('uploading', 'ready', 'invalid')", name=op.f("ck_datasets_status_known")
        ),
        sa.CheckConstraint(
            "storage_bucket IN ('lora-datasets', 'training-files')", name=op.f("ck_datasets_bucket_known")
        ),
        sa.CheckConstraint(
            "substr(storage_path, 1, length(user_id) + 1) = user_id || '/'",
            name=op.f("ck_datasets_path_is_the_owners"),
        ),
        sa.CheckConstraint("training_ready = (status = 'ready')", name=op.f("ck_datasets_ready_means_ready")),
        sa.CheckConstraint(
            "size_bytes >= 0 AND total_training_pairs >= 0 AND total_tokens >= 0",
            name=op.f("ck_datasets_not_negative"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_datasets")),
    )
    op.create_index("ix_datasets_page", "datasets", ["user_id", "created_at", "id"], unique=False)

    op.create_table(
        "training_jobs",
        sa.Column("id", Id(), nullable=False),
        sa.Column("user_id", sa.String(length=128), nullable=False),
        sa.Column("dataset_id", Id(), nullable=False),
        sa.Column("preset_id", sa.String(length=64), nullable=True),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("current_stage", sa.Text(), nullable=True),
        sa.Column("progress", sa.Float(precision=53), server_default="0", nullable=False),
        sa.Column("current_epoch", sa.Integer(), server_default="0", nullable=False),
        sa.Column("total_epochs", sa.Integer(), server_default="0", nullable=False),
        sa.Column("current_step", sa.Integer(), server_default="0", nullable=False),
        sa.Column("total_steps", sa.Integer(), server_default="0", nullable=False),
        sa.Column("hyperparameters", JSON, nullable=False),
        sa.Column("gpu_config", JSON, nullable=False),
        sa.Column("current_metrics", JSON, nullable=True),
        sa.Column("external_job_id", sa.String(length=128), nullable=True),
        sa.Column("estimated_total_cost", Money(), server_default=sa.text("'0.00'"), nullable=False),
        sa.Column("current_cost", Money(), server_default=sa.text("'0.00'"), nullable=False),
        sa.Column("final_cost", Money(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("error_stack", sa.Text(), nullable=True),
        sa.Column("artifact_id", Id(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=True),
        sa.Column("completed_at", UtcDateTime(), nullable=True),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("next_action_at", UtcDateTime(), nullable=True),
        sa.Column("claim_token", Id(), nullable=True),
        sa.Column("submitted_at", UtcDateTime(), nullable=True),
        sa.Column("signed_until", UtcDateTime(), nullable=True),
        sa.Column("accepted_at", UtcDateTime(), nullable=True),
        sa.Column("release", sa.String(32), server_default="none", nullable=False),
        sa.Column("releasing_since", UtcDateTime(), nullable=True),
        sa.Column("released_at", UtcDateTime(), nullable=True),
        sa.Column("last_contact_at", UtcDateTime(), nullable=True),
        sa.Column("contact_lost_since", UtcDateTime(), nullable=True),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("not_found_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("not_found_since", UtcDateTime(), nullable=True),
        sa.Column("stale", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("revision", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("idempotency_key", sa.String(length=255), nullable=True),
        sa.Column("request_hash", sa.String(length=64), nullable=True),
        sa.CheckConstraint(
            "(status IN ('completed', 'failed', 'cancelled') AND release <> 'needed') OR next_action_at IS NOT NULL",
            name=op.f("ck_training_jobs_never_stuck"),
        ),
        sa.CheckConstraint(
            "(status IN ('completed', 'failed', 'cancelled')) = (completed_at IS NOT NULL)",
            name=op.f("ck_training_jobs_final_has_an_end"),
        ),
        sa.CheckConstraint(
            "(status IN ('completed', 'failed', 'cancelled')) = (final_cost IS NOT NULL)",
            name=op.f("ck_training_jobs_final_has_a_cost"),
        ),
        sa.CheckConstraint(
            "release IN ('none', 'needed', 'confirmed')", name=op.f("ck_training_jobs_release_known")
        ),
        sa.CheckConstraint(
            "status <> 'running' OR external_job_id IS NOT NULL",
            name=op.f("ck_training_jobs_running_is_known_there"),
        ),
        sa.CheckConstraint(
            "status IN ('queued', 'initializing', 'running', 'completed', 'failed', 'cancelled')",
            name=op.f("ck_training_jobs_status_known"),
        ),
        sa.CheckConstraint(
            "current_epoch >= 0 AND total_epochs >= 0 AND current_step >= 0 AND total_steps >= 0",
            name=op.f("ck_training_jobs_counts_not_negative"),
        ),
        sa.CheckConstraint(
            "progress >= 0 AND progress <= 100", name=op.f("ck_training_jobs_progress_is_percent")
        ),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.id"], name=op.f("fk_training_jobs_dataset_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_training_jobs")),
        sa.UniqueConstraint("external_job_id", name=op.f("uq_training_jobs_external_job_id")),
        sa.UniqueConstraint(
            "user_id", "idempotency_key", name=op.f("uq_training_jobs_user_id_idempotency_key")
        ),
    )
    op.create_index("ix_training_jobs_dataset_id", "training_jobs", ["dataset_id"], unique=False)
    op.create_index(
        "ix_training_jobs_due",
        "training_jobs",
        ["next_action_at"],
        unique=False,
        postgresql_where=sa.text("next_action_at IS NOT NULL"),
        sqlite_where=sa.text("next_action_at IS NOT NULL"),
    )
    op.create_index("ix_training_jobs_page", "training_jobs", ["user_id", "created_at", "id"], unique=False)
    op.create_index(
        "ix_training_jobs_queued",
        "training_jobs",
        ["created_at", "id"],
        unique=False,
        postgresql_where=sa.text("status = 'queued'"),
        sqlite_where=sa.text("status = 'queued'"),
    )

    op.create_table(
        "cost_records",
        sa.Column("id", Id(), nullable=False),
        sa.Column("user_id", sa.String(length=128), nullable=False),
        sa.Column("job_id", Id(), nullable=False),
        sa.Column("cost_type", sa.String(length=32), nullable=False),
        sa.Column("amount", Money(), nullable=False),
        sa.Column("details", JSON, nullable=False),
        sa.Column("billing_period", sa.Date(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "cost_type IN ('training_compute', 'release_overrun')",
            name=op.f("ck_cost_records_cost_type_known"),
        ),
        sa.ForeignKeyConstraint(
            ["job_id"], ["training_jobs.id"], name=op.f("fk_cost_records_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cost_records")),
        sa.UniqueConstraint("job_id", "cost_type", name=op.f("uq_cost_records_job_id_cost_type")),
    )
    op.create_table(
        "metrics_points",
        sa.Column("job_id", Id(), nullable=False),
        sa.Column("step", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.Integer(), server_default="0", nullable=False),
        sa.Column("timestamp", UtcDateTime(), nullable=False),
        sa.Column("training_loss", sa.Float(precision=53), nullable=True),
        sa.Column("validation_loss", sa.Float(precision=53), nullable=True),
        sa.Column("learning_rate", sa.Float(precision=53), nullable=True),
        sa.Column("gradient_norm", sa.Float(precision=53), nullable=True),
        sa.Column("throughput", sa.Float(precision=53), nullable=True),
        sa.Column("gpu_utilization", sa.Float(precision=53), nullable=True),
        sa.Column("reported_at", UtcDateTime(), nullable=True),
        sa.Column("from_callback", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("non_finite", sa.Boolean(), server_default=sa.false(), nullable=False),
        _finite("gpu_utilization"),
        _finite("gradient_norm"),
        _finite("learning_rate"),
        sa.CheckConstraint("step >= 0 AND epoch >= 0", name=op.f("ck_metrics_points_counts_not_negative")),
        _finite("throughput"),
        _finite("training_loss"),
        _finite("validation_loss"),
        sa.ForeignKeyConstraint(
            ["job_id"], ["training_jobs.id"], name=op.f("fk_metrics_points_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "step", name=op.f("pk_metrics_points")),
    )
    op.create_table(
        "model_artifacts",
        sa.Column("id", Id(), nullable=False),
        sa.Column("user_id", sa.String(length=128), nullable=False),
        sa.Column("job_id", Id(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("storage_bucket", sa.String(length=63), nullable=False),
        sa.Column("storage_path", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("size_bytes >= 0", name=op.f("ck_model_artifacts_size_not_negative")),
        sa.ForeignKeyConstraint(
            ["job_id"], ["training_jobs.id"], name=op.f("fk_model_artifacts_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_artifacts")),
        sa.UniqueConstraint("job_id", name=op.f("uq_model_artifacts_job_id")),
    )
    op.create_table(
        "notifications",
        sa.Column("id", Id(), nullable=False),
        sa.Column("user_id", sa.String(length=128), nullable=False),
        sa.Column("job_id", Id(), nullable=False),
        sa.Column("type", sa.String(32), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("priority", sa.String(32), nullable=False),
        sa.Column("action_url", sa.Text(), nullable=False),
        sa.Column("metadata", JSON, nullable=False),
        sa.Column("read_at", UtcDateTime(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "priority IN ('low', 'medium', 'high')", name=op.f("ck_notifications_priority_known")
        ),
        sa.ForeignKeyConstraint(
            ["job_id"], ["training_jobs.id"], name=op.f("fk_notifications_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notifications")),
        sa.UniqueConstraint("job_id", "type", name=op.f("uq_notifications_job_id_type")),
    )
    op.create_index("ix_notifications_page", "notifications", ["user_id", "created_at", "id"], unique=False)
    op.create_index(
        "ix_notifications_unread",
        "notifications",
        ["user_id"],
        unique=False,
        postgresql_where=sa.text("read_at IS NULL"),
        sqlite_where=sa.text("read_at IS NULL"),
    )

    if op.get_bind().dialect.name == "postgresql":
        _guard_postgres()
    else:
        _guard_sqlite()


def downgrade() -> None:
    """Drop everything."""
    for table in TABLES:
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION guard_training_jobs()")


def _finite(series: str) -> sa.CheckConstraint:
    largest = "1.7976931348623157e308"  # NaN is greater than everything in Postgres
    condition = f"{series} IS NULL OR ({series} >= -{largest} AND {series} <= {largest})"
    return sa.CheckConstraint(condition, name=op.f(f"ck_metrics_points_{series}_finite"))


def _guard_sqlite() -> None:
    for number, (sentence, broken) in enumerate(RULES.items(), start=1):
        condition = broken.replace("<>?", "IS NOT")
        op.execute(
            f"CREATE TRIGGER guard_training_jobs_{number} BEFORE UPDATE ON training_jobs WHEN {condition} "
            f"BEGIN SELECT RAISE(ABORT, '{sentence}'); END"
        )


def _guard_postgres() -> None:
    checks = "\n".join(
        f"IF {broken.replace('<>?', 'IS DISTINCT FROM')} THEN RAISE check_violation USING MESSAGE = '{sentence}'; END IF;"
        for sentence, broken in RULES.items()
    )
    op.execute(
        f"""
        CREATE FUNCTION guard_training_jobs() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
        BEGIN
            {checks}
            IF NEW.status <> OLD.status AND NEW.status <> 'cancelled'
               AND EXISTS (SELECT FROM pg_roles WHERE rolname = 'lora_pipeline_api'
                           AND pg_has_role(current_user, oid, 'MEMBER'))
               AND NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'lora_pipeline_service'
                               AND pg_has_role(current_user, oid, 'MEMBER')) THEN
                RAISE insufficient_privilege USING MESSAGE = 'the API may only cancel a job';
            END IF;
            RETURN NEW;
        END $$"""
    )
    op.execute(
        "CREATE TRIGGER guard_training_jobs BEFORE UPDATE ON training_jobs "
        "FOR EACH ROW EXECUTE FUNCTION guard_training_jobs()"
    )
