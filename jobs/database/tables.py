"""The tables. Names are a contract (people query them with SQL); each index names the query it serves."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

from jobs.database.types import AsJson, Id, Money, PackedParts, UtcDateTime, Word
from jobs.domain.dataset import DatasetStatus
from jobs.domain.events import EventKind
from jobs.domain.lifecycle import FINAL, JobStatus, Release
from jobs.domain.metrics import SERIES, CurrentMetrics
from jobs.domain.notices import NoticeType, Priority
from jobs.domain.pricing import GpuConfig
from jobs.domain.records import ChargeDetails
from jobs.domain.training import Hyperparameters

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _one_of(column: str, values: type[JobStatus | Release | DatasetStatus | Priority]) -> CheckConstraint:
    words = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({words})", name=f"{column}_known")


_FINAL = "status IN ({})".format(", ".join(f"'{status}'" for status in FINAL))
_ZERO = text("'0.00'")

datasets = Table(
    "datasets",
    metadata,
    Column("id", Id, primary_key=True),
    Column("user_id", String(128), nullable=False),
    Column("name", Text, nullable=False),
    Column("format", String(32), nullable=False),
    Column("status", Word(DatasetStatus), nullable=False),
    Column("training_ready", Boolean, nullable=False),
    Column("storage_bucket", String(63), nullable=False, server_default="lora-datasets"),
    Column("storage_path", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("total_training_pairs", Integer, nullable=False, server_default="0"),
    Column("total_tokens", BigInteger, nullable=False, server_default="0"),
    Column("error_message", Text),
    Column("created_at", UtcDateTime, nullable=False),
    _one_of("status", DatasetStatus),
    CheckConstraint("storage_bucket IN ('lora-datasets', 'training-files')", name="bucket_known"),
    CheckConstraint(  # also for those who write rows past our code: a worker signs what the row names
        "substr(storage_path, 1, length(user_id) + 1) = user_id || '/'", name="path_is_the_owners"
    ),
    CheckConstraint("training_ready = (status = 'ready')", name="ready_means_ready"),
    CheckConstraint("(status = 'invalid') = (error_message IS NOT NULL)", name="invalid_says_why"),
    CheckConstraint(
        "size_bytes >= 0 AND total_training_pairs >= 0 AND total_tokens >= 0", name="not_negative"
    ),
    Index("ix_datasets_page", "user_id", "created_at", "id"),  # datasets.page, newest first
)

training_jobs = Table(
    "training_jobs",
    metadata,
    Column("id", Id, primary_key=True),
    Column("user_id", String(128), nullable=False),
    Column("dataset_id", Id, ForeignKey("datasets.id"), nullable=False),
    Column("preset_id", String(64)),
    Column("status", Word(JobStatus), nullable=False),
    Column("current_stage", Text),
    Column("progress", Float(53), nullable=False, server_default="0"),
    Column("current_epoch", Integer, nullable=False, server_default="0"),
    Column("total_epochs", Integer, nullable=False, server_default="0"),
    Column("current_step", Integer, nullable=False, server_default="0"),
    Column("total_steps", Integer, nullable=False, server_default="0"),
    Column("hyperparameters", AsJson(Hyperparameters), nullable=False),
    Column("gpu_config", AsJson(GpuConfig), nullable=False),
    Column("current_metrics", AsJson(CurrentMetrics)),
    Column("external_job_id", String(128)),
    Column("estimated_total_cost", Money, nullable=False, server_default=_ZERO),
    Column("current_cost", Money, nullable=False, server_default=_ZERO),
    Column("final_cost", Money),
    Column("error_message", Text),
    Column("error_stack", Text),
    Column("artifact_id", Id),
    Column("created_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("completed_at", UtcDateTime),
    Column("updated_at", UtcDateTime, nullable=False),
    # The machinery's own; what each says stands in jobs/domain/job.py.
    Column("next_action_at", UtcDateTime),
    Column("claim_token", Id),
    Column("submitted_at", UtcDateTime),
    Column("signed_until", UtcDateTime),
    Column("accepted_at", UtcDateTime),
    Column("release", Word(Release), nullable=False, server_default=Release.NONE.value),
    Column("releasing_since", UtcDateTime),
    Column("released_at", UtcDateTime),
    Column("last_contact_at", UtcDateTime),
    Column("contact_lost_since", UtcDateTime),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("not_found_count", Integer, nullable=False, server_default="0"),
    Column("not_found_since", UtcDateTime),
    Column("complete_since", UtcDateTime),
    Column("stale", Boolean, nullable=False, server_default=false()),
    Column("revision", BigInteger, nullable=False, server_default="0"),
    Column("idempotency_key", String(255)),
    Column("request_hash", String(64)),
    UniqueConstraint("user_id", "idempotency_key"),
    UniqueConstraint("external_job_id"),
    _one_of("status", JobStatus),
    _one_of("release", Release),
    CheckConstraint(f"({_FINAL}) = (completed_at IS NOT NULL)", name="final_has_an_end"),
    CheckConstraint(f"({_FINAL}) = (final_cost IS NOT NULL)", name="final_has_a_cost"),
    CheckConstraint("progress >= 0 AND progress <= 100", name="progress_is_percent"),
    CheckConstraint(
        "current_epoch >= 0 AND total_epochs >= 0 AND current_step >= 0 AND total_steps >= 0",
        name="counts_not_negative",
    ),
    CheckConstraint("status <> 'running' OR external_job_id IS NOT NULL", name="running_is_known_there"),
    CheckConstraint(f"({_FINAL} AND release <> 'needed') OR next_action_at IS NOT NULL", name="never_stuck"),
    Index("ix_training_jobs_page", "user_id", "created_at", "id"),  # job_list.page, newest first
    Index(  # claims.claim_queued: the oldest that are due
        "ix_training_jobs_queued",
        "created_at",
        "id",
        postgresql_where=text("status = 'queued'"),
        sqlite_where=text("status = 'queued'"),
    ),
    Index(  # claims.claim_due: everything else that is due
        "ix_training_jobs_due",
        "next_action_at",
        postgresql_where=text("next_action_at IS NOT NULL"),
        sqlite_where=text("next_action_at IS NOT NULL"),
    ),
    Index("ix_training_jobs_dataset_id", "dataset_id"),  # the foreign key, and costs.finished_runs
)


def _finite(series: str) -> CheckConstraint:
    # In this form it keeps NaN out of Postgres too, where NaN is greater than everything.
    return CheckConstraint(
        f"{series} IS NULL OR ({series} >= -1.7976931348623157e308 AND {series} <= 1.7976931348623157e308)",
        name=f"{series}_finite",
    )


metrics_points = Table(
    "metrics_points",
    metadata,
    Column("job_id", Id, ForeignKey("training_jobs.id", ondelete="CASCADE"), primary_key=True),
    Column(
        "step", Integer, primary_key=True, autoincrement=False
    ),  # metrics.newest reads this index backwards
    Column("epoch", Integer, nullable=False, server_default="0"),
    Column("timestamp", UtcDateTime, nullable=False),
    *(Column(series, Float(53)) for series in SERIES),
    Column("reported_at", UtcDateTime),
    Column("from_callback", Boolean, nullable=False, server_default=false()),
    Column("non_finite", Boolean, nullable=False, server_default=false()),
    *(_finite(series) for series in SERIES),
    CheckConstraint("step >= 0 AND epoch >= 0", name="counts_not_negative"),
    Index(  # metrics.thinned keeps these
        "ix_metrics_points_non_finite",
        "job_id",
        "step",
        postgresql_where=text("non_finite"),
        sqlite_where=text("non_finite"),
    ),
)

metrics_spans = Table(  # roll-ups: see rollups.py
    "metrics_spans",
    metadata,
    Column("job_id", Id, ForeignKey("training_jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("width", Integer, primary_key=True, autoincrement=False),  # so many steps, from `first_step` on
    Column("first_step", Integer, primary_key=True, autoincrement=False),
    Column("parts", PackedParts, nullable=False),
    Column("points_dropped", Boolean, nullable=False, server_default=false()),
    CheckConstraint("first_step >= 0 AND first_step % width = 0", name="in_line"),
)

cost_records = Table(
    "cost_records",
    metadata,
    Column("id", Id, primary_key=True),
    Column("user_id", String(128), nullable=False),
    Column("job_id", Id, ForeignKey("training_jobs.id", ondelete="CASCADE"), nullable=False),
    Column("cost_type", String(32), nullable=False),
    Column("amount", Money, nullable=False),
    Column("details", AsJson(ChargeDetails), nullable=False),
    Column("billing_period", Date, nullable=False),
    Column("recorded_at", UtcDateTime, nullable=False),
    UniqueConstraint("job_id", "cost_type"),  # also costs.records
    CheckConstraint("cost_type IN ('training_compute', 'release_overrun')", name="cost_type_known"),
)

notifications = Table(
    "notifications",
    metadata,
    Column("id", Id, primary_key=True),
    Column("user_id", String(128), nullable=False),
    Column("job_id", Id, ForeignKey("training_jobs.id", ondelete="CASCADE"), nullable=False),
    Column("type", Word(NoticeType), nullable=False),
    Column("title", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("priority", Word(Priority), nullable=False),
    Column("action_url", Text, nullable=False),
    Column("metadata", AsJson(dict), nullable=False),
    Column("read_at", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    UniqueConstraint("job_id", "type"),
    _one_of("priority", Priority),
    Index("ix_notifications_page", "user_id", "created_at", "id"),  # notifications.page, newest first
    Index(  # notifications.count of the unread
        "ix_notifications_unread",
        "user_id",
        postgresql_where=text("read_at IS NULL"),
        sqlite_where=text("read_at IS NULL"),
    ),
)

model_artifacts = Table(
    "model_artifacts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("user_id", String(128), nullable=False),
    Column("job_id", Id, ForeignKey("training_jobs.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("storage_bucket", String(63), nullable=False),
    Column("storage_path", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    UniqueConstraint("job_id"),
    CheckConstraint("size_bytes >= 0", name="size_not_negative"),
)

job_events = Table(  # what happened to a job that its row does not keep
    "job_events",
    metadata,
    Column("job_id", Id, ForeignKey("training_jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("at", UtcDateTime, primary_key=True),
    Column("kind", Word(EventKind), primary_key=True),
    Column("detail", Text),
)
