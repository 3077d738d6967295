"""Postgres tells who listens which jobs have changed (changes.py); SQLite has a number of its own for that

Revision: 0002
After: 0001
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

#: One message holds as many ids as fit into the 8,000 bytes that it may have. A mere claim changes nothing to be seen.
TELL = """CREATE FUNCTION tell_training_jobs() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
    BEGIN
        IF TG_OP = 'DELETE' THEN
            PERFORM pg_notify('lora_pipeline_jobs', string_agg(gone.id::text, ' '))
            FROM (SELECT id, row_number() OVER () / 200 AS message FROM old_jobs) AS gone
            GROUP BY gone.message;
        ELSE
            PERFORM pg_notify('lora_pipeline_jobs', string_agg(changed.id::text, ' '))
            FROM (
                SELECT new_jobs.id, row_number() OVER () / 200 AS message
                FROM new_jobs JOIN old_jobs ON old_jobs.id = new_jobs.id
                WHERE new_jobs.revision <> old_jobs.revision
                    OR new_jobs.claim_token IS NOT DISTINCT FROM old_jobs.claim_token
            ) AS changed
            GROUP BY changed.message;
        END IF;
        RETURN NULL;
    END $$"""


def upgrade() -> None:
    """Make the function and its two triggers: what a trigger is given differs."""
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute(TELL)
    op.execute(
        "CREATE TRIGGER tell_updated AFTER UPDATE ON training_jobs REFERENCING OLD TABLE AS old_jobs NEW TABLE AS new_jobs "
        "FOR EACH STATEMENT EXECUTE FUNCTION tell_training_jobs()"
    )
    op.execute(
        "CREATE TRIGGER tell_deleted AFTER DELETE ON training_jobs REFERENCING OLD TABLE AS old_jobs "
        "FOR EACH STATEMENT EXECUTE FUNCTION tell_training_jobs()"
    )


def downgrade() -> None:
    """Drop them."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP TRIGGER tell_updated ON training_jobs")
        op.execute("DROP TRIGGER tell_deleted ON training_jobs")
        op.execute("DROP FUNCTION tell_training_jobs()")
