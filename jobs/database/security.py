"""Who may see and do what in Postgres: two group roles, their grants, and row-level security.

Applied anew by every `migrate`, so that it always says what this file says. SQLite has no roles; there the same filter
stands in each function's `user_id`.
"""

from sqlalchemy import text
from sqlalchemy.engine import Connection

API, SERVICE = "lora_pipeline_api", "lora_pipeline_service"
_CLAIMS = "nullif(current_setting('request.jwt.claims', true), '')::json"
_ME = f"(SELECT {_CLAIMS} ->> 'sub')"
_MINE = f"user_id = {_ME}"
_REPORTED = (
    f"(SELECT string_to_array({_CLAIMS} ->> 'jobs', ',')::uuid[])"  # by trainers, whose tokens were good
)
#: One of two questions, and no OR: for that every list would be looked up in two indexes and sorted.
_MINE_OR_REPORTED = f"CASE WHEN {_REPORTED} IS NULL THEN {_MINE} ELSE id = ANY ({_REPORTED}::uuid[]) END"
_ACTIVE = "('queued', 'initializing', 'running')"
_OF_MY_JOB = (
    "EXISTS (SELECT FROM training_jobs AS job WHERE job.id = job_id)"  # which is under its own policies
)
_WITH_MY_DATASET = (
    "EXISTS (SELECT FROM datasets AS file WHERE file.id = dataset_id)"  # a foreign key sees everybody's
)

TABLES = (
    *("datasets", "training_jobs", "metrics_points", "metrics_spans", "cost_records", "notifications"),
    *("model_artifacts", "job_events"),
)

#: What the API's role may do: privilege → columns, in each table; None means all columns.
GRANTS: dict[str, dict[str, str | None]] = {
    "alembic_version": {"SELECT": None},
    "datasets": {
        "SELECT": None,
        "INSERT": None,
        "UPDATE": """status, training_ready, format, size_bytes, total_training_pairs, total_tokens, error_message,
            storage_path""",
    },
    "training_jobs": {
        "SELECT": """id, user_id, dataset_id, preset_id, status, current_stage, progress, current_epoch, total_epochs,
            current_step, total_steps, hyperparameters, gpu_config, current_metrics, external_job_id,
            estimated_total_cost, current_cost, final_cost, error_message, artifact_id, created_at, started_at,
            completed_at, updated_at, next_action_at, claim_token, submitted_at, signed_until, accepted_at, release,
            releasing_since, released_at, last_contact_at, contact_lost_since, failures, not_found_count,
            not_found_since, complete_since, stale, revision, idempotency_key, request_hash""",
        "INSERT": """id, user_id, dataset_id, preset_id, status, current_stage, total_epochs, total_steps,
            hyperparameters, gpu_config, estimated_total_cost, created_at, updated_at, next_action_at,
            idempotency_key, request_hash""",
        "UPDATE": """status, current_stage, progress, current_epoch, current_step, total_steps, current_metrics,
            current_cost, final_cost, completed_at, updated_at, next_action_at, claim_token, release, releasing_since,
            failures, stale, contact_lost_since, revision""",
    },
    "metrics_points": {"SELECT": None, "INSERT": None, "UPDATE": None},
    "metrics_spans": {"SELECT": None, "INSERT": None, "UPDATE": None},
    "cost_records": {"SELECT": None, "INSERT": None},
    "notifications": {"SELECT": None, "INSERT": None, "UPDATE": "read_at"},
    "model_artifacts": {"SELECT": None},
    "job_events": {"SELECT": None},
}

_HISTORY = {  # a trainer's reports come through the API
    "SELECT": (_OF_MY_JOB, None),
    "INSERT": (None, _OF_MY_JOB),
    "UPDATE": (_OF_MY_JOB, _OF_MY_JOB),
}

#: Row-level security for the API's role: table → command → (rows it may touch, rows it may leave).
POLICIES: dict[str, dict[str, tuple[str | None, str | None]]] = {
    "datasets": {"SELECT": (_MINE, None), "INSERT": (None, _MINE), "UPDATE": (_MINE, _MINE)},
    "training_jobs": {
        "SELECT": (_MINE_OR_REPORTED, None),
        "INSERT": (None, f"{_MINE} AND status = 'queued' AND external_job_id IS NULL AND {_WITH_MY_DATASET}"),
        "UPDATE": (
            f"{_MINE_OR_REPORTED} AND status IN {_ACTIVE}",
            f"({_MINE} AND status = 'cancelled' OR {_MINE_OR_REPORTED} AND status IN {_ACTIVE}) AND release <> 'confirmed'",
        ),
    },
    "metrics_points": _HISTORY,
    "metrics_spans": _HISTORY,
    "cost_records": {"SELECT": (_MINE, None), "INSERT": (None, f"{_MINE} AND {_OF_MY_JOB}")},
    "notifications": {
        "SELECT": (_MINE, None),
        "INSERT": (None, f"{_MINE} AND {_OF_MY_JOB}"),
        "UPDATE": (_MINE, _MINE),
    },
    "model_artifacts": {"SELECT": (_MINE, None)},
    "job_events": {"SELECT": (_OF_MY_JOB, None)},
}

#: Counts everybody's jobs for the API's role, which sees none without knowing whose it is (figures.py).
FIGURES = """CREATE FUNCTION lora_pipeline_figures()
    RETURNS TABLE (status text, jobs bigint, due timestamptz, unreleased bigint, burning numeric)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
    AS $$
        SELECT job.status, count(*), min(job.next_action_at), count(*) FILTER (WHERE job.release = 'needed'),
            sum((job.gpu_config ->> 'cost_per_gpu_hour')::numeric * (job.gpu_config ->> 'num_gpus')::numeric)
                FILTER (WHERE job.release = 'needed')
        FROM training_jobs AS job GROUP BY job.status
    $$"""


def role_statements(missing: list[str]) -> list[str]:
    """What makes the group roles."""
    return [f"CREATE ROLE {role} NOLOGIN" for role in missing]


def missing_roles(connection: Connection) -> list[str]:
    """Which of the two group roles are not there."""
    known = set(
        connection.scalars(
            text("SELECT rolname FROM pg_roles WHERE rolname IN (:api, :service)"),
            {"api": API, "service": SERVICE},
        )
    )
    return [role for role in (API, SERVICE) if role not in known]


def may_make_roles(connection: Connection) -> bool:
    """Whether this login may create roles."""
    return bool(
        connection.scalar(text("SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user"))
    )


def is_service(connection: Connection) -> bool:
    """Whether the policies for the service apply to this login; row-level security is forced on owners too."""
    query = text("SELECT pg_has_role(current_user, oid, 'USAGE') FROM pg_roles WHERE rolname = :service")
    return bool(connection.scalar(query, {"service": SERVICE}))


def statements() -> list[str]:
    """Everything that secures the tables, to be run again and again; the roles must be there."""
    schema = [f"GRANT USAGE ON SCHEMA public TO {API}, {SERVICE}"]
    figures = [
        "DROP FUNCTION IF EXISTS lora_pipeline_figures()",  # what it returns may have changed
        FIGURES,
        "REVOKE ALL ON FUNCTION lora_pipeline_figures() FROM PUBLIC",
        f"GRANT EXECUTE ON FUNCTION lora_pipeline_figures() TO {API}, {SERVICE}",
    ]
    return [*schema, *(line for table in ("alembic_version", *TABLES) for line in _of(table)), *figures]


def _of(table: str) -> list[str]:
    lines = [f"REVOKE ALL ON {table} FROM {API}, {SERVICE}"]
    for privilege, columns in GRANTS[table].items():
        lines.append(f"GRANT {privilege}{f' ({columns})' if columns else ''} ON {table} TO {API}")
    lines.append(f"GRANT {'ALL' if table in TABLES else 'SELECT'} ON {table} TO {SERVICE}")
    if table not in TABLES:
        return lines
    lines += [
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
    ]
    for command, (using, check) in POLICIES[table].items():
        name = f"api_{command.lower()}"
        rule = f"{f' USING ({using})' if using else ''}{f' WITH CHECK ({check})' if check else ''}"
        lines += [
            f"DROP POLICY IF EXISTS {name} ON {table}",
            f"CREATE POLICY {name} ON {table} FOR {command} TO {API}{rule}",
        ]
    return [
        *lines,
        f"DROP POLICY IF EXISTS service_all ON {table}",
        f"CREATE POLICY service_all ON {table} FOR ALL TO {SERVICE} USING (true) WITH CHECK (true)",
    ]
