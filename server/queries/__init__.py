"""The queries, one a file. They run side by side."""

from strawberry.tools import create_type

from server.queries.dataset import dataset
from server.queries.datasets import datasets
from server.queries.estimate_cost import estimate_cost
from server.queries.gpu_types import gpu_types
from server.queries.job import job
from server.queries.jobs import jobs
from server.queries.notifications import notifications
from server.queries.presets import presets
from server.queries.viewer import viewer

Query = create_type(
    "Query",
    [viewer, job, jobs, dataset, datasets, notifications, presets, gpu_types, estimate_cost],
    description="What can be asked. Everything is the user's own; someone else's does not exist.",
)
