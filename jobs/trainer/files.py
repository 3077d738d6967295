"""Files that are there whole or not at all, whenever the machine or the process stops."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(file: Path, *, durable: bool = True) -> Iterator[Path]:
    """A path to write to; it becomes `file` when the block ends well.

    `durable` outlasts a power cut, not only the end of this process.
    """
    new = file.with_name(file.name + ".new")
    yield new
    if durable:
        with new.open("rb") as written:
            os.fsync(written.fileno())
    new.replace(file)
    if durable:
        folder = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def write_json(file: Path, value: object, *, durable: bool = True) -> None:
    """Replace `file` by `value`; NaN and infinities are refused."""
    with whole(file, durable=durable) as new:
        new.write_text(json.dumps(value, allow_nan=False))
