"""The mutations, one a file. Several in one document would run one after another."""

from strawberry.tools import create_type

from server.mutations.cancel_job import cancel_job
from server.mutations.complete_dataset_upload import complete_dataset_upload
from server.mutations.create_dataset_upload import create_dataset_upload
from server.mutations.create_job import create_job
from server.mutations.import_dataset import import_dataset
from server.mutations.mark_notifications_read import mark_notifications_read

Mutation = create_type(
    "Mutation",
    [
        create_dataset_upload,
        complete_dataset_upload,
        import_dataset,
        create_job,
        cancel_job,
        mark_notifications_read,
    ],
    description="What can be done. Failures that can be expected are members of the results, never `errors`.",
)
