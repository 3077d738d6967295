"""Faulty answers of a cluster that never lies: it may say nothing of use, but not that a live run is over."""

from uuid import UUID

from tests.services.scripted_cluster import breaks_off, resets, says

LATER = {"Retry-After": "120"}
JUNK = (b"", b"<html>", b"[1]", b'{"status": "comple', b'{"status": "paused", "progress": "50"}', b"[" * 5000)
NAN = b'{"status": "running", "progress": NaN, "current_step": 7, "metrics": {"training_loss": NaN}}'
TO_ANY = (
    says(502),
    resets(),
    breaks_off(),
    says(429, headers=LATER),
    says(503),
    says(401),
    says(403),
    says(307),
)
TO_SUBMIT = (
    *TO_ANY,
    *(says(502, act=True), says(500, act=True), resets(act=True), breaks_off(act=True), says(307, act=True)),
    *(says(200, junk, act=True) for junk in JUNK),
    *(says(404), says(200, {"external_job_id": "../../etc"}, act=True)),
)
TO_STATUS = (
    *TO_ANY,
    *(says(200, junk) for junk in (*JUNK, NAN)),
    says(200, {"status": "completed", "job_id": str(UUID(int=1))}),
    says(200, {"status": "running", "progress": 1e300, "current_step": -1, "metrics": []}),
)
TO_CANCEL = (
    *TO_ANY,
    *(says(502, act=True), resets(act=True), says(200, b"<html>", act=True)),
    *(says(200), says(500), says(204)),  # and the run goes on
)
