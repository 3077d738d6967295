"""Dataset files, good and bad: what is counted, and the sentence that each flaw is told in."""

import json
import tracemalloc
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.domain.dataset_file import (
    MAX_LINE_BYTES,
    DatasetExaminer,
    DatasetFlaw,
    DatasetFormat,
    DatasetReport,
)

PAIR = b'{"prompt": "2 + 2 =", "completion": " 4"}'
LONG_PAIR = b'{"prompt": "' + b"p" * 4_000 + b'", "completion": "x"}'
CHAT = b'{"messages": [{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": "4"}]}'


def verdict(*chunks: bytes) -> DatasetReport | str:
    """What the examiner says of a file that comes in these pieces."""
    examiner = DatasetExaminer()
    try:
        for chunk in chunks:
            examiner.feed(chunk)
        return examiner.finish()
    except DatasetFlaw as flaw:
        return str(flaw)


def report(of: str, pairs: int, tokens: int) -> DatasetReport:
    return DatasetReport(DatasetFormat(of), pairs, tokens)


def message(role: object = "user", content: object = "hello") -> bytes:
    answer = {"role": "assistant", "content": "hi"}
    return json.dumps({"messages": [{"role": role, "content": content}, answer]}).encode()


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (PAIR, report("prompt_completion", 1, 3)),  # 9 bytes of text
        (PAIR + b"\n", report("prompt_completion", 1, 3)),
        (PAIR + b"\n" + PAIR, report("prompt_completion", 2, 5)),  # rounded up once, for the whole file
        (PAIR + b"\r\n\r\n  \t\n" + PAIR + b"\r\n\n", report("prompt_completion", 2, 5)),
        (b"\xef\xbb\xbf" + PAIR, report("prompt_completion", 1, 3)),
        (b"\xef\xbb\xbf\r\n" + PAIR, report("prompt_completion", 1, 3)),
        (CHAT + b"\n", report("messages", 1, 2)),
        ('{"prompt": "ü", "completion": "漢字"}'.encode(), report("prompt_completion", 1, 2)),
        (rb'{"prompt": "\u00fc", "completion": "\ud83d\ude00"}', report("prompt_completion", 1, 2)),
        ('{"prompt": "\u2028", "completion": "\x85"}\n'.encode(), report("prompt_completion", 1, 2)),
        (b'{"prompt": "", "completion": "x", "id": 7, "tags": [null]}', report("prompt_completion", 1, 1)),
        (b'{"prompt": "a", "prompt": "bb", "completion": "cc"}', report("prompt_completion", 1, 1)),
        (message("tool", ""), report("messages", 1, 1)),
        (CHAT[:-1] + b', "prompt": 1}', report("messages", 1, 2)),
    ],
)
def test_a_good_file_is_counted(file: bytes, expected: DatasetReport) -> None:
    assert verdict(file) == expected


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (b"{", "not valid JSON: Expecting property name enclosed in double quotes (column 2)"),
        (b'{"prompt": "a\tb"}', "not valid JSON: Invalid control character at (column 14)"),
        (PAIR + PAIR, "not valid JSON: Extra data (column 42)"),
        (b'{"prompt": NaN, "completion": "x"}', "not valid JSON: NaN is no JSON number"),
        (b'{"prompt": "a", "loss": -Infinity}', "not valid JSON: -Infinity is no JSON number"),
        (b'{"id": ' + b"7" * 5_000 + b"}", "not usable: a number of thousands of digits"),
        (b'{"deep": ' + b"[" * 100_000, "not usable: nested too deeply"),
        (b'{"prompt": "caf\xe9"}', "not UTF-8 text (byte 16)"),
        (b'{"prompt": "\xed\xa0\x80", "completion": "x"}', "not UTF-8 text (byte 13)"),
        (b"[]", "an array, not an object; the file must not be one JSON array, but one object a line"),
        (b'"text"', "a text, not an object"),
        (b"null", "null, not an object"),
        (b'{"prompt": "a"}', '"completion" is missing'),
        (b'{"completion": "a"}', '"prompt" is missing'),
        (b"{}", 'neither "prompt" and "completion" nor "messages" are there'),
        (
            b'{"instruction": "a", "output": "b"}',
            'neither "prompt" and "completion" nor "messages" are there; found only "instruction", "output"',
        ),
        (b'{"prompt": 7, "completion": "x"}', '"prompt" is a number, not text'),
        (b'{"prompt": "a", "completion": null}', '"completion" is null, not text'),
        (b'{"prompt": "a", "completion": true}', '"completion" is true or false, not text'),
        (b'{"prompt": "a", "completion": ""}', '"completion" is empty: there is nothing to learn'),
        (
            rb'{"prompt": "a\ud83d", "completion": "x"}',
            '"prompt" holds half of a surrogate pair (character 2)',
        ),
        (b'{"messages": {}}', '"messages" is an object, not an array'),
        (
            b'{"messages": []}',
            '"messages" holds no assistant message with content: there is nothing to learn',
        ),
        (
            b'{"messages": [{"role": "assistant", "content": ""}]}',
            '"messages" holds no assistant message with content: there is nothing to learn',
        ),
        (b'{"messages": ["hello"]}', "message 1: a text, not an object"),
        (b'{"messages": [{"content": "hello"}]}', 'message 1: "role" is missing'),
        (b'{"messages": [{"role": "user"}]}', 'message 1: "content" is missing'),
        (message(role="bot"), 'message 1: "role" is "bot", not one of system, user, assistant, tool'),
        (message(role=[]), 'message 1: "role" is an array, not text'),
        (message(content=None), 'message 1: "content" is null, not text'),
        (message(content="\udc00"), 'message 1: "content" holds half of a surrogate pair (character 1)'),
        (b"x" * (MAX_LINE_BYTES + 1), "longer than 1 MiB"),
    ],
)
@pytest.mark.parametrize("before", [b"", b"\n\r\n"], ids=["first", "third"])
def test_a_bad_line_is_named_and_explained(before: bytes, line: bytes, sentence: str) -> None:
    assert verdict(before + line + b"\n" + PAIR) == f"line {1 + before.count(10)}: {sentence}"


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        (b"", "the file holds no training pairs; it needs one JSON object a line"),
        (b"\xef\xbb\xbf", "the file holds no training pairs; it needs one JSON object a line"),
        (b"\n \r\n", "the file holds no training pairs; it needs one JSON object a line"),
        (
            PAIR + b"\n\n" + CHAT,
            "line 3: of format messages, but the lines before of prompt_completion; a file has one format",
        ),
        (
            CHAT + b"\n" + PAIR,
            "line 2: of format prompt_completion, but the lines before of messages; a file has one format",
        ),
        (
            b"\x1f\x8b\x08\x00\n\x00",
            "line 1: this is a gzip file; unpack it and upload the text file inside, one JSON object a line",
        ),
        (
            b"PK\x03\x04" + bytes(2 * MAX_LINE_BYTES),
            "line 1: this is a zip file; unpack it and upload the text file inside, one JSON object a line",
        ),
        (b"PAR1\x15", "line 1: this is a parquet file; convert it to JSONL, one JSON object a line"),
        (PAIR.decode().encode("utf-16"), "line 1: this is UTF-16 text; save it as UTF-8"),
        (
            b"prompt,completion\na,b\n",
            "line 1: this looks like CSV; convert it to JSONL, one JSON object a line",
        ),
        (
            b'"prompt"\t"completion"\n',
            "line 1: this looks like CSV; convert it to JSONL, one JSON object a line",
        ),
        (b"[\n" + PAIR + b"\n]", "line 1: not valid JSON: Expecting value (column 2)"),
        (PAIR + b"\na,b\n", "line 2: not valid JSON: Expecting value (column 1)"),
    ],
)
def test_a_file_of_another_kind_is_recognised(file: bytes, sentence: str) -> None:
    assert verdict(file) == sentence


def test_a_line_of_exactly_the_limit_is_read() -> None:
    room = MAX_LINE_BYTES - len(b'{"prompt": "", "completion": "x"}')
    line = b'{"prompt": "' + b"p" * room + b'", "completion": "x"}'
    assert verdict(line + b"\n" + line) == report("prompt_completion", 2, (2 * room + 2 + 3) // 4)
    assert verdict(line + b" \n") == "line 1: longer than 1 MiB"


def test_quoted_words_are_cut_and_hold_nothing_that_a_terminal_would_obey() -> None:
    hostile = "\x1b[31m\u202e\x00" + "long " * 20
    assert verdict(message(role=hostile)) == (
        'line 1: message 1: "role" is "[31mlong long long long long long long…", '
        "not one of system, user, assistant, tool"
    )


def test_the_flaw_tells_line_and_reason_apart() -> None:
    with pytest.raises(DatasetFlaw) as raised:
        DatasetExaminer().feed(b"\n{}\n")
    assert (raised.value.line, raised.value.reason[:7]) == (2, "neither")


texts = st.text(st.characters(codec="utf-8"), max_size=20)
good_lines = st.builds(
    lambda prompt, completion: json.dumps({"prompt": prompt, "completion": completion}, ensure_ascii=False),
    texts,
    texts.filter(bool),
).map(str.encode)
files = st.lists(good_lines | st.sampled_from([b"", b"\r", b" "]) | st.binary(max_size=12), max_size=6).map(
    b"\n".join
)


def cut(file: bytes, places: list[int]) -> Iterator[bytes]:
    edges = sorted({0, len(file), *(place % (len(file) + 1) for place in places)})
    return (file[start:end] for start, end in pairwise(edges))


@given(files, st.lists(st.integers(0, 10_000), max_size=8))
def test_how_a_file_is_cut_never_changes_the_verdict(file: bytes, places: list[int]) -> None:
    assert verdict(*cut(file, places)) == verdict(file)


@given(st.lists(good_lines, min_size=1, max_size=8))
def test_every_good_line_is_a_pair(lines: list[bytes]) -> None:
    pairs = [json.loads(line) for line in lines]
    size = sum(len((pair["prompt"] + pair["completion"]).encode()) for pair in pairs)
    assert verdict(b"\n".join(lines)) == report("prompt_completion", len(lines), -(-size // 4))


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["messages", "prompt", "completion", "role", "content"]), inner)
    ),
    max_leaves=12,
)


@settings(max_examples=300)
@given(st.binary() | json_values.map(json.dumps).map(str.encode))
def test_no_file_makes_the_examiner_fail_otherwise_than_by_a_sentence(file: bytes) -> None:
    said = verdict(file)
    assert isinstance(said, DatasetReport) or said.isprintable()


@pytest.mark.parametrize(
    ("chunk", "times", "expected"),
    [
        ((LONG_PAIR + b"\n") * 16, 200, report("prompt_completion", 3_200, 3_200_800)),
        (b"\n" * 100_000, 2, "the file holds no training pairs; it needs one JSON object a line"),
        (b"x" * 65_536, 2_000, "line 1: longer than 1 MiB"),
        (b"x" * 16 * MAX_LINE_BYTES, 1, "line 1: longer than 1 MiB"),
    ],
    ids=["many pairs", "many blank lines", "one endless line", "one huge chunk"],
)
def test_memory_does_not_grow_with_the_file(chunk: bytes, times: int, expected: DatasetReport | str) -> None:
    tracemalloc.start()
    try:
        said = verdict(*[chunk] * times)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert said == expected
    assert peak < 4 * MAX_LINE_BYTES
