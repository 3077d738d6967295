"""Alembic runs this inside the transaction that `migrate.py` hands it."""

from alembic import context

from jobs.database.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
