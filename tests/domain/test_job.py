"""A job as a value: copies of it, made past its constructor, are what the constructor makes."""

from dataclasses import replace
from typing import Any

import pytest

from jobs.domain.job import FIELDS, changed, job_of
from jobs.domain.lifecycle import JobStatus
from tests.domain.factories import a_job, after


@pytest.mark.parametrize("status", JobStatus)
def test_a_row_and_a_copy_make_the_same_job_as_its_constructor(status: JobStatus) -> None:
    job = a_job(status=status)
    assert job_of(getattr(job, name) for name in FIELDS) == job
    changes: dict[str, Any] = {"progress": 2.0, "current_stage": None, "updated_at": after(9)}
    copy = changed(job, changes)
    assert copy == replace(job, **changes)
    assert copy != job == a_job(status=status)


def test_a_job_has_its_fields_and_no_others() -> None:
    with pytest.raises(TypeError, match="a job has no colour"):
        changed(a_job(), {"progress": 2.0, "colour": "red"})
    with pytest.raises(ValueError, match="zip"):
        job_of(range(3))
