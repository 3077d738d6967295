"""The one far side that tests fake: a GPU cluster, over real HTTP, that does what a script says.

In the test's own loop:

    async with scripted_cluster() as cluster:
        cluster.script(job.id, submit=[says(502, act=True)])     # takes the job and loses the answer
        ...
        cluster.jobs[job.id].complete(artifact={...})
        assert cluster.jobs[job.id].max_live == 1
        assert cluster.complaints == []

As a process of its own, for tests that kill the others: `scripted_cluster_process`.
"""

from tests.services.scripted_cluster.answers import (
    Answer,
    bomb,
    breaks_off,
    hangs,
    huge,
    kills,
    redirects,
    resets,
    says,
    usual,
    writes,
)
from tests.services.scripted_cluster.pause import Pause
from tests.services.scripted_cluster.remote import RemoteCluster, scripted_cluster_process
from tests.services.scripted_cluster.runs import Call, Run, ScriptedJob
from tests.services.scripted_cluster.server import KEY, ScriptedCluster, scripted_cluster

__all__ = [
    "KEY",
    "Answer",
    "Call",
    "Pause",
    "RemoteCluster",
    "Run",
    "ScriptedCluster",
    "ScriptedJob",
    "bomb",
    "breaks_off",
    "hangs",
    "huge",
    "kills",
    "redirects",
    "resets",
    "says",
    "scripted_cluster",
    "scripted_cluster_process",
    "usual",
    "writes",
]
