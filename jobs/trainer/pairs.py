"""The dataset: one training pair a line, read where it lies, so that memory does not grow with the file.

Which pairs are held out for validation, and in which order the others come, follows from the number of pairs
alone: a run that is resumed goes on with the very batch that was next.
"""

import json
import random
from array import array
from pathlib import Path
from typing import Any

from trouble import TrainerError

Pair = dict[str, Any]  #: {"prompt", "completion"} or {"messages": [{"role", "content"}, …]}

_MOST_HELD_OUT = 100


class PairFile:
    """The pairs of a JSONL file by index."""

    def __init__(self, file: Path) -> None:
        """Find the lines of `file`; raises `TrainerError` when there is none."""
        self._file = file.open("rb")
        self._starts = array("Q")
        start = 0
        for line in self._file:
            if line.strip(b"\xef\xbb\xbf \t\r\n"):
                self._starts.append(start)
            start += len(line)
        if not self._starts:
            raise TrainerError("The dataset holds no training pairs.")

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, index: int) -> Pair:
        """Pair number `index`, from 0. Raises `TrainerError` when the line is none."""
        self._file.seek(self._starts[index])
        try:
            pair = json.loads(self._file.readline().decode("utf-8-sig"))
            good = isinstance(pair, dict) and ("messages" in pair or {"prompt", "completion"} <= pair.keys())
        except ValueError:
            good = False
        if not good:
            raise TrainerError(
                f"Pair {index + 1} of the dataset is neither a prompt with a completion nor messages."
            )
        checked: Pair = pair
        return checked


def split(pairs: int) -> tuple[list[int], list[int]]:
    """Indices to train on and indices held out: a tenth by lot, at most 100 pairs, none of fewer than 5."""
    held_out = 0 if pairs < 5 else min(max(1, pairs // 10), _MOST_HELD_OUT)
    validation = set(random.Random(pairs).sample(range(pairs), held_out))  # noqa: S311 - a lot, no secret
    return [index for index in range(pairs) if index not in validation], sorted(validation)


class Order:
    """In which order the pairs are trained on: shuffled, and shuffled anew each time all have been seen."""

    def __init__(self, indices: list[int], batch_size: int) -> None:
        self._indices, self._batch_size = indices, batch_size
        self._round, self._shuffled = -1, indices

    def batch(self, step: int) -> list[int]:
        """The indices of batch number `step`, from 0; always a full batch."""
        first = step * self._batch_size
        return [self._at(position) for position in range(first, first + self._batch_size)]

    def _at(self, position: int) -> int:
        round_, place = divmod(position, len(self._indices))
        if round_ != self._round:
            self._round, self._shuffled = round_, self._indices.copy()
            random.Random(round_).shuffle(self._shuffled)  # noqa: S311 - the same order after a resumption
        return self._shuffled[place]


def steps_per_epoch(pairs: int, batch_size: int) -> int:
    """As many steps as the whole file has batches: what the service promised and priced.

    The places of the pairs that are held out are taken by training pairs that come round again.
    """
    return -(-pairs // batch_size)
