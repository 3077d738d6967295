"""An answer that is parsed quickly says what it says when it is parsed strictly."""

import json

from hypothesis import example, given
from hypothesis import strategies as st

from jobs.domain.payload import read_json, read_status
from jobs.parsing import parse_json
from tests.domain.factories import NOON

figures = st.none() | st.integers() | st.floats() | st.booleans() | st.text(max_size=5)
points = st.dictionaries(st.sampled_from(["step", "epoch", "timestamp", "training_loss"]), figures)
documents = st.fixed_dictionaries(
    {},
    optional={
        "status": st.sampled_from(["running", "completed", "lost"]) | figures,
        "current_step": figures,
        "error_message": st.text(),
        "finished_at": figures,
        "metrics": st.dictionaries(
            st.sampled_from(["training_loss", "throughput", "gpu_utilization"]), figures
        ),
        "points": st.lists(points, max_size=3),
    },
)


@given(documents.map(lambda document: json.dumps(document).encode()) | st.binary(max_size=100))
@example(b'{"current_step": 123456789012345678901, "metrics": {"training_loss": -111111111111111111111111}}')
@example(
    b'{"progress": 1e400, "metrics": {"training_loss": -0, "throughput": -Infinity}, "current_step": 3.0}'
)
@example(b'{"stage": "\\ud800", "progress": 1, "progress": 2}')
@example(b"[" * 100_000)
def test_both_ways_of_parsing_tell_the_same(body: bytes) -> None:
    assert read_status(200, {}, body, NOON, parse=parse_json) == read_status(200, {}, body, NOON)


def test_what_is_nothing_special_is_parsed_alike() -> None:
    body = b' {"status": "running", "points": [{"step": 1, "epoch": 0}], "stage": "\xc3\xbc\\u2028\\ud83d\\ude00"} '
    assert parse_json(body) == read_json(body) is not None
