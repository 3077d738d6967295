"""The wire contract as values: a job becomes a submit body, an answer becomes a sighting, strictly.

What comes back is untrusted: nothing in it can raise, be stored as it stands, or mean more than it says. Unknown words,
wrong types and impossible numbers are no information; zero is a value.
"""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from jobs.domain.job import Job
from jobs.domain.metrics import SERIES, CurrentMetrics, Point, finite, once_per_step
from jobs.domain.notices import NO_WORDS
from jobs.domain.sighting import (
    Accepted,
    ClusterStatus,
    Denied,
    NoReport,
    NotFound,
    NotNow,
    Refused,
    Report,
    ReportedArtifact,
    Sighting,
    Unclear,
)

MAX_STEP = 2**31 - 1
MAX_SIZE = 2**53
LONGEST_TEXT = 2_000
LONGEST_STAGE = 200
LONGEST_WHOLE = 20  #: digits; a longer number is taken as a float, for which nothing is too long
CLOCKS_AGREE = timedelta(seconds=10)  #: a Date has whole seconds, and an answer takes its time
ANOTHER_JOB = "it answered about another job"
MOST_POINTS = 5_000  #: what fits into a status answer of 1 MiB; more are dropped, oldest first
_EXTERNAL_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_BREAK = re.compile(r"[\t\n\v\f\r\x85\u2028\u2029]+")
#: Of an address; the secrets of a signed one stand there.
_QUERY = re.compile(r"(https?://[^\s?\"'<>]{1,300})\?[^\s\"'<>]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


def submit_body(job: Job, *, dataset_url: str, callback_url: str, artifact_url: str) -> dict[str, Any]:
    """The body of submit; the same job and URLs give the same members in the same order, for byte-identical retries."""
    return {
        "job_id": str(job.id),
        "dataset_url": dataset_url,
        "hyperparameters": asdict(job.hyperparameters),
        "gpu_config": {
            "gpu_type": job.gpu_config.gpu_type,
            "num_gpus": job.gpu_config.num_gpus,
            "cost_per_gpu_hour": job.gpu_config.cost_per_gpu_hour,
        },
        "callback_url": callback_url,
        "artifact_url": artifact_url,
    }


def is_external_id(text: object) -> bool:
    """Whether `text` may be used as an external job id. `.` and `..` would climb in a path."""
    return isinstance(text, str) and _EXTERNAL_ID.fullmatch(text) is not None and text.strip(".") != ""


def read_submit(
    status: int, headers: Mapping[str, str], body: bytes, now: datetime, *, job_id: str | None = None
) -> Sighting:
    """What an answer to submit proves: taken, refused, certainly not taken, or unclear."""
    if 200 <= status < 300:
        answer = read_json(body)
        if names_another(answer, job_id=job_id):
            return Unclear(ANOTHER_JOB)
        external_id = answer.get("external_job_id") if isinstance(answer, dict) else None
        if isinstance(external_id, str) and is_external_id(external_id):
            return Accepted(external_id)
        return Unclear(f"it answered {status} without a usable external_job_id")
    wait = retry_after(headers, now)
    if status in {401, 403}:
        return Denied(f"it answered {status}")
    if status in {429, 503}:
        return NotNow(f"it answered {status}", wait)
    if status in {400, 422}:
        return Refused(words_of(body) or NO_WORDS)
    return Unclear(f"it answered {status}", wait)


def read_status(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    now: datetime,
    *,
    job_id: str | None = None,
    external_job_id: str | None = None,
    parse: Callable[[bytes], object] | None = None,
) -> Sighting:
    """What an answer to status proves; one that names another job proves nothing. `parse`: in place of `read_json`."""
    if 200 <= status < 300:
        document = (parse or read_json)(body)
        if names_another(document, job_id=job_id, external_job_id=external_job_id):
            return NoReport(ANOTHER_JOB)
        report = read_report(document, now, from_callback=False)
        if report is None:
            return NoReport(f"it answered {status} with something that is no status document")
        ended = report.finished_at
        return replace(report, finished_at=by_our_clock(ended, headers, now)) if ended else report
    if status in {401, 403}:
        return Denied(f"it answered {status}")
    if status in {404, 410}:
        return NotFound()
    return NoReport(f"it answered {status}", retry_after(headers, now))


def names_another(document: object, *, job_id: str | None, external_job_id: str | None = None) -> bool:
    """Whether an answer says that it is about another job. Some clusters call their own id `job_id`: both fit there."""
    if not isinstance(document, dict):
        return False
    ours, theirs = document.get("job_id"), document.get("external_job_id")
    wrong_job = isinstance(ours, str) and job_id is not None and ours not in {job_id, external_job_id, theirs}
    wrong_run = isinstance(theirs, str) and external_job_id is not None and theirs != external_job_id
    return wrong_job or wrong_run


def read_report(document: object, now: datetime, *, from_callback: bool) -> Report | None:
    """A status document, or the body of a callback; null when it is not even an object.

    Its `metrics` are the newest of each figure, some of them of an earlier step (a validation loss until the next
    validation). They make a point only of a step that `points` has nothing of.
    """
    if not isinstance(document, dict):
        return None
    told = document.get("metrics")
    metrics = told if isinstance(told, dict) else {}
    figures = _figures(metrics)
    epoch, step = _whole(document.get("current_epoch")), _whole(document.get("current_step"))
    points = _points(document.get("points"), now, from_callback=from_callback)
    latest = _point(step, epoch, figures, metrics.get("timestamp"), now, from_callback=from_callback)
    if latest and all(point.step != latest.step for point in points):
        points = (*points, latest)
    if len(points) > 1:
        points = tuple(once_per_step(points))
    return Report(
        status=_word(document.get("status")),
        progress=_clamped(document.get("progress")),
        current_epoch=epoch,
        current_step=step,
        total_steps=_whole(document.get("total_steps")) or None,
        stage=clean_text(document.get("stage"), LONGEST_STAGE) or None,
        metrics=_current(figures, points),
        points=points,
        error_message=clean_text(document.get("error_message")) or None,
        finished_at=_instant(document.get("finished_at")),
        artifact=_artifact(document.get("artifact")),
    )


def read_json(body: bytes) -> object:
    """`body` as JSON, null when it is none. NaN and infinities are kept as floats for the caller to judge."""
    try:
        parsed: object = _DECODER.decode(body.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    return parsed


def words_of(body: bytes) -> str | None:
    """The cluster's own words in an error answer: `message`, `error_message`, `error` or `detail`, or its plain text."""
    answer = read_json(body)
    if isinstance(answer, dict):
        for name in ("message", "error_message", "error", "detail"):
            value = answer.get(name)
            said = [_said(entry) for entry in (value if isinstance(value, list) else [value])]
            if text := clean_text("; ".join(filter(None, said))):
                return text
        return None
    text = body.decode("utf-8", "replace")
    return None if answer is not None or "<" in text[:200] else clean_text(text) or None


def clean_text(value: object, longest: int = LONGEST_TEXT) -> str:
    """`value` on one line, without control characters, cut to `longest` characters; empty when it is no text.

    Addresses lose their queries: what we signed for the cluster and it quotes in an error is for nobody else.
    """
    if not isinstance(value, str):
        return ""
    if value.isascii() and value.isprintable() and "?" not in value:  # nearly always: nothing to take out
        return value.strip()[:longest].rstrip()
    line = _CONTROL.sub("", _BREAK.sub(" ", value[: 4 * longest]))
    return _QUERY.sub(r"\1?…", line).strip()[:longest].rstrip()


def retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """The Retry-After header, in seconds or as a date; null when absent, negative or unreadable."""
    value = _header(headers, "retry-after").strip()
    if value.isdecimal() and value.isascii():
        return timedelta(seconds=min(int(value[:10]), 10**8))
    until = _date(value)
    if until is None:
        return None
    wait = by_our_clock(until, headers, now) - now
    return wait if wait > timedelta() else None


def by_our_clock(instant: datetime, headers: Mapping[str, str], now: datetime) -> datetime:
    """An instant of the cluster's as ours, when the Date of its answer shows that its clock is set otherwise.

    A clock that goes two hours behind would have every run end two hours too early, and its bill with it.
    """
    theirs = _date(_header(headers, "date"))
    ahead = theirs - now if theirs else timedelta()
    try:
        return instant if abs(ahead) < CLOCKS_AGREE else instant - ahead
    except OverflowError:
        return instant


def _header(headers: Mapping[str, str], wanted: str) -> str:
    return next((text for name, text in headers.items() if name.lower() == wanted), "")


def _date(value: str) -> datetime | None:
    """A date as HTTP writes it."""
    try:
        date = parsedate_to_datetime(value)
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _number(digits: str) -> int | float:
    return int(digits) if len(digits) <= LONGEST_WHOLE else float(digits)


_DECODER = json.JSONDecoder(parse_int=_number)


def _said(value: object) -> str:
    """One sentence of an error answer, which frameworks like to wrap once more."""
    if isinstance(value, dict):
        value = value.get("message") or value.get("msg")
    return value if isinstance(value, str) else ""


def _points(value: object, now: datetime, *, from_callback: bool) -> tuple[Point, ...]:
    if not isinstance(value, list):
        return ()
    read = (
        _point(
            _whole(entry.get("step")),
            _whole(entry.get("epoch")),
            _figures(entry),
            entry.get("timestamp"),
            now,
            from_callback=from_callback,
        )
        for entry in value[-MOST_POINTS:]
        if isinstance(entry, dict)
    )
    return tuple(point for point in read if point is not None)


def _point(
    step: int | None,
    epoch: int | None,
    figures: "_Figures",
    timestamp: object,
    now: datetime,
    *,
    from_callback: bool,
) -> Point | None:
    """One point, or null when it has no usable step or says nothing."""
    told, non_finite = figures
    if step is None or (told == _NONE_TOLD and not non_finite):
        return None
    at = _instant(timestamp)
    return Point._make((step, at or now, epoch or 0, *told.values(), non_finite, at, from_callback))


def _figures(document: Mapping[str, Any]) -> "_Figures":
    told: dict[str, float | None] = {}
    non_finite = False
    for name, least, most in _RANGES:
        figure = document.get(name)
        if figure is not None and (type(figure) is not float or not least <= figure <= most):  # seldom
            number = finite(figure)
            non_finite = non_finite or _is_non_finite(figure)
            figure = number if number is not None and least <= number <= most else None
        told[name] = figure
    return told, non_finite


def _current(figures: "_Figures", points: Sequence[Point]) -> CurrentMetrics | None:
    """The document's own figures; of those it does not tell, the newest of its points."""
    told, _ = figures
    current = {name: told[name] for name in CurrentMetrics.__slots__}
    for name, value in current.items():
        if value is None:
            for point in reversed(points):
                if (newest := getattr(point, name)) is not None:
                    current[name] = newest
                    break
    return None if set(current.values()) == {None} else CurrentMetrics(**current)


#: Each of `SERIES`, null where nothing usable was told, and whether one was not finite.
_Figures = tuple[dict[str, float | None], bool]
_NONE_TOLD: dict[str, float | None] = dict.fromkeys(SERIES)
_LARGEST = math.nextafter(math.inf, 0)
#: In the order of `SERIES`; the least and the most that each may be.
_RANGES = (
    ("training_loss", -_LARGEST, _LARGEST),
    ("validation_loss", -_LARGEST, _LARGEST),
    ("learning_rate", 0.0, _LARGEST),
    ("gradient_norm", 0.0, _LARGEST),
    ("throughput", 0.0, _LARGEST),
    ("gpu_utilization", 0.0, 100.0),
)


def _is_non_finite(value: object) -> bool:
    if isinstance(value, str):
        return value.strip().lower() in {"nan", "inf", "-inf", "infinity", "-infinity"}
    return isinstance(value, float) and not math.isfinite(value)


_WORDS: dict[str, ClusterStatus] = {status.value: status for status in ClusterStatus}


def _word(value: object) -> ClusterStatus | None:
    return _WORDS.get(value) if isinstance(value, str) else None


def _clamped(value: object) -> float | None:
    number = finite(value)
    return None if number is None else min(100.0, max(0.0, number))


def _whole(value: object, most: int = MAX_STEP) -> int | None:
    """A whole number from 0 to `most`; `3.0` counts, `"3"` and `true` do not."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= most else None


def _instant(value: object) -> datetime | None:
    """ISO 8601 with an offset, or seconds since 1970; null otherwise."""
    try:
        if isinstance(value, str):
            read = datetime.fromisoformat(value[:40])
            if read.tzinfo is UTC:
                return read
            return read.astimezone(UTC) if read.tzinfo else None
        seconds = finite(value)
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _artifact(value: object) -> ReportedArtifact | None:
    if not isinstance(value, dict):
        return None
    size, digest = _whole(value.get("size_bytes"), MAX_SIZE), value.get("sha256")
    if size is None or not isinstance(digest, str) or not _SHA256.fullmatch(digest):
        return None
    return ReportedArtifact(clean_text(value.get("path"), 1024), size, digest)
