"""The wire contract: what we send is the same every time, and what comes back cannot mean more than it says."""

import json
from dataclasses import asdict
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.domain.payload import (
    clean_text,
    is_external_id,
    read_status,
    read_submit,
    retry_after,
    submit_body,
    words_of,
)
from jobs.domain.sighting import (
    Accepted,
    ClusterStatus,
    Denied,
    NoReport,
    NotFound,
    NotNow,
    Refused,
    Report,
    Sighting,
    Unclear,
)
from tests.domain.factories import EXTERNAL_ID, JOB_ID, NOON, a_job, after

URLS = {
    "dataset_url": "https://storage.example/lora-datasets/ada/f3b0.jsonl?signature=abc",
    "callback_url": "https://pipeline.example/callbacks/training/6d1c?token=def",
    "artifact_url": "https://storage.example/model-artifacts/ada/6d1c.tar?signature=ghi",
}


def test_the_same_job_makes_the_same_bytes_whatever_happened_to_it() -> None:
    fresh = a_job()
    tried = a_job(status=fresh.status.INITIALIZING, failures=7, updated_at=after(900), revision=12)
    first, again = (json.dumps(submit_body(job, **URLS), default=str) for job in (fresh, tried))
    assert first == again


def test_the_body_of_submit_has_the_members_of_the_contract() -> None:
    body = submit_body(a_job(), **URLS)
    assert body == URLS | {
        "job_id": str(JOB_ID),
        "hyperparameters": {
            "base_model": "mistralai/Mistral-7B-v0.1",
            "learning_rate": 2e-4,
            "batch_size": 4,
            "num_epochs": 3,
            "lora_rank": 16,
            "lora_alpha": 32,
            "lora_dropout": 0.05,
        },
        "gpu_config": {
            "gpu_type": "NVIDIA A100",
            "num_gpus": 2,
            "cost_per_gpu_hour": a_job().gpu_config.cost_per_gpu_hour,
        },
    }


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, b'{"external_job_id": "run-1"}', Accepted("run-1")),
        (202, b'{"external_job_id": "a.b:c_d-E9", "more": [1]}', Accepted("a.b:c_d-E9")),
        (200, b'{"external_job_id": "x", "external_job_id": "y"}', Accepted("y")),  # as every parser does
        *(
            (200, body, Unclear("it answered 200 without a usable external_job_id"))
            for body in (
                *(b"", b"{", b"[]", b"null", b"7", b'"run-1"', b"{}", b"\xff\xfe", b"[" * 60_000, b"<html>"),
                *(
                    b'{"external_job_id": %s}' % value
                    for value in (b"null", b"7", b"true", b'""', b'".."', b'"a/b"')
                ),
                b'{"external_job_id": "%s"}' % (b"x" * 129),
            )
        ),
        (400, b'{"message": "No such model."}', Refused("No such model.")),
        (422, b'{"error": "Too many GPUs."}', Refused("Too many GPUs.")),
        (422, b'{"error": {"code": 7, "message": "Too many GPUs."}}', Refused("Too many GPUs.")),
        (
            422,
            b'{"detail": [{"loc": ["a"], "msg": "Too big."}, {"msg": "Too odd."}]}',
            Refused("Too big.; Too odd."),
        ),
        (400, b"no capacity for lunch", Refused("no capacity for lunch")),
        (400, b"<html><body>Bad Request</body></html>", Refused("GPU cluster reported failure")),
        (400, b"", Refused("GPU cluster reported failure")),
        (400, b'{"message": 7}', Refused("GPU cluster reported failure")),
        (401, b'{"message": "who?"}', Denied("it answered 401")),
        (403, b"", Denied("it answered 403")),
        (429, b"", NotNow("it answered 429")),
        (503, b"", NotNow("it answered 503")),
        *(
            (status, b'{"external_job_id": "run-1"}', Unclear(f"it answered {status}"))
            for status in (100, 301, 302, 307, 308, 404, 408, 409, 413, 418, 500, 502, 504, 599)
        ),
    ],
)
def test_an_answer_to_submit_proves_only_what_it_says(status: int, body: bytes, expected: Sighting) -> None:
    assert read_submit(status, {}, body, NOON) == expected


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, b"{}", Report()),
        (200, b'{"status": "running", "progress": 0}', Report(status=ClusterStatus.RUNNING, progress=0.0)),
        (401, b"{}", Denied("it answered 401")),
        (403, b"{}", Denied("it answered 403")),
        (404, b'{"status": "failed"}', NotFound()),
        (410, b"", NotFound()),
        *(
            (status, b'{"status": "failed"}', NoReport(f"it answered {status}"))
            for status in (301, 400, 409, 422, 429, 500, 502, 503, 504)
        ),
        *(
            (200, body, NoReport("it answered 200 with something that is no status document"))
            for body in (
                b"",
                b"null",
                b"[]",
                b"[{}]",
                b'"failed"',
                b"{",
                b"\xff",
                b'{"a":' * 50_000,
                b"9" * 9_999,
            )
        ),
    ],
)
def test_an_answer_to_status_proves_only_what_it_says(status: int, body: bytes, expected: Sighting) -> None:
    assert read_status(status, {}, body, NOON) == expected


def test_come_back_later_is_heard_from_every_verb() -> None:
    headers, wait = {"retry-After": "17"}, timedelta(seconds=17)
    assert read_submit(429, headers, b"", NOON) == NotNow("it answered 429", wait)
    assert read_submit(503, headers, b"", NOON) == NotNow("it answered 503", wait)
    assert read_submit(502, headers, b"", NOON) == Unclear("it answered 502", wait)
    assert read_status(503, headers, b"", NOON) == NoReport("it answered 503", wait)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 7 ", 7),
        ("9" * 400, 10**8),
        ("Sat, 14 Mar 2026 12:01:30 GMT", 90),
        ("Saturday, 14-Mar-26 12:01:30 GMT", 90),
        ("Sat, 14 Mar 2026 13:01:30 +0100", 90),
        ("Sat, 14 Mar 2026 12:01:30 -0000", 90),
        ("Sat, 14 Mar 2026 11:59:00 GMT", None),  # past
        ("Sat, 99 Mar 2026 12:00:00 GMT", None),
        ("Sat, 14 Mar 99999 12:00:00 GMT", None),
        *(
            (junk, None)
            for junk in ("", "-5", "1.5", "1e3", "soon", "٣", "²", "inf", "0x10", "\x00", "," * 99)
        ),
    ],
)
def test_retry_after_is_read_in_all_its_forms(value: str, seconds: int | None) -> None:
    expected = None if seconds is None else timedelta(seconds=seconds)
    assert retry_after({"Retry-After": value}, NOON) == expected


@given(st.text(max_size=60))
def test_no_retry_after_breaks_us(value: str) -> None:
    wait = retry_after({"Retry-After": value}, NOON)
    assert wait is None or wait >= timedelta()


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("CUDA out of memory", "CUDA out of memory"),
        ("a\x00b\x1b[31mc\x7f\x9f", "ab[31mc"),
        ("line one\nline two\r\n\tline three", "line one line two line three"),
        ("a\u2028b\u2029c\x85d", "a b c d"),
        ("lone \ud800 half", "lone  half"),
        ("\u202eevil", "evil"),
        ("  <script>alert(1)</script> ", "<script>alert(1)</script>"),
        ("naïve 漢字 😀", "naïve 漢字 😀"),
        ("GET https://s3/a.jsonl?X-Amz-Signature=abc&x=1: 403", "GET https://s3/a.jsonl?… 403"),
        ('{"url":"http://api/callbacks/1?token=abc"}', '{"url":"http://api/callbacks/1?…"}'),
        ("is it http://host/path? yes", "is it http://host/path? yes"),
        ("x" * 10**6, "x" * 2_000),
        ("\x00" * 10**6 + "x", ""),
    ],
)
def test_text_is_one_clean_line_of_two_thousand_characters(text: str, clean: str) -> None:
    assert clean_text(text) == clean


@given(st.text(st.characters()))
def test_no_control_character_gets_through(text: str) -> None:
    cleaned = clean_text(text, 20)
    assert len(cleaned) <= 20
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in cleaned)
    cleaned.encode()  # no lone surrogate either
    assert clean_text(cleaned, 20) == cleaned


def test_a_megabyte_of_words_is_cut() -> None:
    body = json.dumps({"error_message": "m" * 2**20}).encode()
    assert words_of(body) == "m" * 2_000
    assert words_of(b"m" * 2**20) == "m" * 2_000
    report = read_status(200, {}, body, NOON)
    assert report == Report(error_message="m" * 2_000)


@pytest.mark.parametrize(
    ("text", "usable"),
    [
        *((text, True) for text in (EXTERNAL_ID, "a", "A.b_c:d-9", "...a", "x" * 128)),
        *((text, False) for text in ("", ".", "..", "...", "x" * 129, "a/b", "a b", "a\n", "ü", "a%2f", "a?b", "a#b")),
        *((other, False) for other in (None, 7, True, b"run", ["run"])),
    ],
)  # fmt: skip
def test_external_ids_cannot_climb(text: object, usable: bool) -> None:
    assert is_external_id(text) is usable


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
members = st.sampled_from(
    [
        *("status", "progress", "current_epoch", "current_step", "total_steps", "stage", "metrics", "points"),
        *("error_message", "finished_at", "artifact", "external_job_id", "message", "detail"),
    ]
)


@given(st.dictionaries(members, json_values))
def test_no_document_breaks_us_or_gets_a_bad_number_in(document: dict[str, object]) -> None:
    body = json.dumps(document).encode("utf-8", "surrogatepass")
    report = read_status(200, {}, body, NOON)
    assert isinstance(report, Report)
    assert read_submit(200, {}, body, NOON) == (
        Accepted(str(document["external_job_id"]))
        if is_external_id(document.get("external_job_id"))
        else Unclear("it answered 200 without a usable external_job_id")
    )
    assert isinstance(read_submit(422, {}, body, NOON), Refused)
    json.dumps(asdict(report), default=str, allow_nan=False)  # raises where a NaN or an infinity got in


@given(st.binary(max_size=200))
def test_no_bytes_break_us(body: bytes) -> None:
    assert isinstance(read_status(200, {}, body, NOON), Report | NoReport)
    assert isinstance(read_submit(200, {}, body, NOON), Accepted | Unclear)
    assert isinstance(read_submit(400, {}, body, NOON), Refused)
