"""A dataset file: each JSONL line is a training pair, or there is a sentence about what is wrong with it.

The file is UTF-8 text, one JSON object a line, all of one format (`DatasetFormat`). Blank lines, CRLF, a byte
order mark and further keys are fine. The memory needed is one line's, whatever the file's size.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Never

from jobs.domain.errors import PipelineError

MAX_LINE_BYTES = 1024 * 1024
#: The service has no tokenizer, and every base model another one: OpenAI's rule of thumb for English text,
#: "one token generally corresponds to ~4 characters of text" (platform.openai.com/tokenizer).
BYTES_PER_TOKEN = 4
ROLES = ("system", "user", "assistant", "tool")

_BYTE_ORDER_MARK = "\ufeff"
_JSONL = "one JSON object a line"
_FOREIGN = {  # the first bytes of files that people upload by mistake
    b"\x1f\x8b": f"this is a gzip file; unpack it and upload the text file inside, {_JSONL}",
    b"PK\x03\x04": f"this is a zip file; unpack it and upload the text file inside, {_JSONL}",
    b"BZh": f"this is a bzip2 file; unpack it and upload the text file inside, {_JSONL}",
    b"\xfd7zXZ": f"this is an xz file; unpack it and upload the text file inside, {_JSONL}",
    b"\x28\xb5\x2f\xfd": f"this is a zstd file; unpack it and upload the text file inside, {_JSONL}",
    b"PAR1": f"this is a parquet file; convert it to JSONL, {_JSONL}",
    b"ARROW1": f"this is an Arrow file; convert it to JSONL, {_JSONL}",
    b"\xff\xfe": "this is UTF-16 text; save it as UTF-8",
    b"\xfe\xff": "this is UTF-16 text; save it as UTF-8",
}
_CSV_HEADER = re.compile(r"""\s*["']?[\w .-]+["']?(\s*[,;\t]\s*["']?[\w .-]+["']?)+\s*""")
_LONGEST_QUOTE = 40


class DatasetFormat(StrEnum):
    """What the lines of one file hold; a line with `messages` is one of MESSAGES, whatever else it has."""

    PROMPT_COMPLETION = "prompt_completion"  #: {"prompt": text, "completion": text}
    MESSAGES = "messages"  #: {"messages": [{"role": one of ROLES, "content": text}, …]}


@dataclass(frozen=True, slots=True)
class DatasetReport:
    """What a good file holds.

    `tokens` is an estimate: the UTF-8 bytes of all texts / `BYTES_PER_TOKEN`, rounded up.
    """

    format: DatasetFormat
    pairs: int
    tokens: int


class DatasetFlaw(PipelineError):
    """The file cannot be trained on; `line` counts from 1 and is None when no single line is to blame."""

    def __init__(self, line: int | None, reason: str) -> None:
        self.line = line
        self.reason = reason
        super().__init__(reason if line is None else f"line {line}: {reason}")


class _BadLine(Exception):
    """What is wrong with the line at hand."""


class DatasetExaminer:
    """Takes a file in pieces, however they are cut; says what it holds, or the first thing wrong with it."""

    def __init__(self) -> None:
        self._unfinished = bytearray()  # the beginning of a line whose end has not come yet
        self._line = 1
        self._format: DatasetFormat | None = None
        self._pairs = 0
        self._text_bytes = 0

    def feed(self, chunk: bytes) -> None:
        """Examine the lines that `chunk` completes. Raises `DatasetFlaw`; nothing is to be fed after that."""
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            self._keep(chunk[start:end])
            self._end_line()
            start = end + 1
        self._keep(chunk[start:])

    def finish(self) -> DatasetReport:
        """Examine what follows the last line's end, and report.

        Raises `DatasetFlaw`, also for a file without pairs.
        """
        self._end_line()
        if self._format is None:
            raise DatasetFlaw(None, f"the file holds no training pairs; it needs {_JSONL}")
        return DatasetReport(self._format, self._pairs, -(-self._text_bytes // BYTES_PER_TOKEN))

    def _keep(self, piece: bytes) -> None:
        self._unfinished += piece[: MAX_LINE_BYTES + 1]
        if len(self._unfinished) > MAX_LINE_BYTES:
            reason = self._foreign() or f"longer than {MAX_LINE_BYTES // 1024**2} MiB"
            raise DatasetFlaw(self._line, reason)

    def _end_line(self) -> None:
        try:
            if foreign := self._foreign():
                raise _BadLine(foreign)
            text = _decoded(bytes(self._unfinished))
            if self._line == 1:
                text = text.removeprefix(_BYTE_ORDER_MARK)
            if text.strip(" \t\r"):
                self._count(_object(text, is_first=self._format is None))
        except _BadLine as flaw:
            raise DatasetFlaw(self._line, str(flaw)) from flaw.__cause__
        self._unfinished.clear()
        self._line += 1

    def _foreign(self) -> str | None:
        """What kind of file this is instead, if its first bytes say so."""
        if self._line > 1:
            return None
        return next((kind for magic, kind in _FOREIGN.items() if self._unfinished.startswith(magic)), None)

    def _count(self, pair: Mapping[str, object]) -> None:
        this = DatasetFormat.MESSAGES if "messages" in pair else DatasetFormat.PROMPT_COMPLETION
        size = _messages_bytes(pair["messages"]) if this is DatasetFormat.MESSAGES else _pair_bytes(pair)
        if self._format not in (None, this):
            raise _BadLine(f"of format {this}, but the lines before of {self._format}; a file has one format")
        self._format = this
        self._pairs += 1
        self._text_bytes += size


def _decoded(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise _BadLine(f"not UTF-8 text (byte {exc.start + 1})") from exc


def _object(text: str, *, is_first: bool) -> dict[str, object]:
    try:
        found: object = _DECODER.decode(text)
    except json.JSONDecodeError as exc:
        if is_first and _CSV_HEADER.fullmatch(text[:1000]):
            raise _BadLine(f"this looks like CSV; convert it to JSONL, {_JSONL}") from exc
        raise _BadLine(f"not valid JSON: {exc.msg} (column {exc.colno})") from exc
    except RecursionError as exc:
        raise _BadLine("not usable: nested too deeply") from exc
    except ValueError as exc:  # int() refuses to read thousands of digits
        raise _BadLine("not usable: a number of thousands of digits") from exc
    if not isinstance(found, dict):
        hint = (
            "; the file must not be one JSON array, but one object a line" if isinstance(found, list) else ""
        )
        raise _BadLine(f"{_kind(found)}, not an object{hint}")
    return found


def _no_constant(name: str) -> Never:
    raise _BadLine(f"not valid JSON: {name} is no JSON number")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def _pair_bytes(pair: Mapping[str, object]) -> int:
    if "prompt" not in pair and "completion" not in pair:
        keys = ", ".join(_quoted(key) for key in list(pair)[:5])
        found = f"; found only {keys}" if keys else ""
        raise _BadLine(f'neither "prompt" and "completion" nor "messages" are there{found}')
    prompt, completion = _text(pair, "prompt"), _text(pair, "completion")
    if not completion:
        raise _BadLine('"completion" is empty: there is nothing to learn')
    return _bytes_of(prompt, '"prompt"') + _bytes_of(completion, '"completion"')


def _messages_bytes(messages: object) -> int:
    if not isinstance(messages, list):
        raise _BadLine(f'"messages" is {_kind(messages)}, not an array')
    size, answered = 0, False
    for number, message in enumerate(messages, 1):
        where = f"message {number}: "
        if not isinstance(message, dict):
            raise _BadLine(f"{where}{_kind(message)}, not an object")
        role, content = _text(message, "role", where), _text(message, "content", where)
        if role not in ROLES:
            raise _BadLine(f'{where}"role" is {_quoted(role)}, not one of {", ".join(ROLES)}')
        size += _bytes_of(content, f'{where}"content"')
        answered = answered or (role == "assistant" and content != "")
    if not answered:
        raise _BadLine('"messages" holds no assistant message with content: there is nothing to learn')
    return size


def _text(holder: Mapping[str, object], key: str, where: str = "") -> str:
    if key not in holder:
        raise _BadLine(f'{where}"{key}" is missing')
    value = holder[key]
    if not isinstance(value, str):
        raise _BadLine(f'{where}"{key}" is {_kind(value)}, not text')
    return value


def _bytes_of(text: str, what: str) -> int:
    if text.isascii():
        return len(text)
    try:
        return len(text.encode("utf-8"))
    except UnicodeEncodeError as exc:  # JSON's "\ud83d" without its other half
        raise _BadLine(f"{what} holds half of a surrogate pair (character {exc.start + 1})") from exc


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "an array"
        case _:
            return "an object"


def _quoted(text: str) -> str:
    """`text` as an error may show it: short, and nothing in it but what can be seen."""
    seen = "".join(character for character in text[: _LONGEST_QUOTE + 1] if character.isprintable())
    return f'"{seen}"' if len(text) <= _LONGEST_QUOTE else f'"{seen[:_LONGEST_QUOTE]}…"'
