"""A dataset is examined where it lies, and nobody waits for that."""

import asyncio
import json
import tracemalloc

import pytest

from jobs.buckets import DATASETS, ObjectMissing
from jobs.domain.dataset_file import DatasetExaminer, DatasetFlaw, DatasetFormat, DatasetReport
from jobs.examination import examine
from tests.buckets.conftest import Storage

LINE = json.dumps({"prompt": "p" * 300, "completion": "c" * 100}).encode() + b"\n"
PATH = "dev/7.jsonl"


async def test_an_object_is_examined(storage: Storage) -> None:
    await storage.buckets.put(DATASETS, PATH, LINE * 1_000)
    report = await examine(storage.buckets, DATASETS, PATH, max_bytes=len(LINE) * 1_000)
    assert report == DatasetReport(DatasetFormat.PROMPT_COMPLETION, 1_000, 100_000)


async def test_a_flaw_far_inside_is_named_by_its_line(storage: Storage) -> None:
    await storage.buckets.put(DATASETS, PATH, LINE * 1_000 + b"{}\n" + LINE)
    with pytest.raises(DatasetFlaw, match=r"^line 1001: neither"):
        await examine(storage.buckets, DATASETS, PATH, max_bytes=10**9)


async def test_an_object_above_the_limit_is_refused(storage: Storage) -> None:
    await storage.buckets.put(DATASETS, PATH, LINE * 2)
    with pytest.raises(DatasetFlaw, match=r"^the file is larger than 500 bytes$"):
        await examine(storage.buckets, DATASETS, PATH, max_bytes=500)


async def test_an_object_that_is_not_there_is_missing(storage: Storage) -> None:
    with pytest.raises(ObjectMissing):
        await examine(storage.buckets, DATASETS, PATH, max_bytes=500)


async def test_the_loop_turns_while_each_piece_is_read_and_the_memory_stays_small(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = 50_000
    await storage.buckets.put(DATASETS, PATH, LINE * pairs)
    loop, feed = asyncio.get_running_loop(), DatasetExaminer.feed

    def fed_while_the_loop_turns(examiner: DatasetExaminer, piece: bytes) -> None:
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(timeout=10)
        feed(examiner, piece)

    monkeypatch.setattr(DatasetExaminer, "feed", fed_while_the_loop_turns)
    tracemalloc.start()
    try:
        report = await examine(storage.buckets, DATASETS, PATH, max_bytes=10**9)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert report.pairs == pairs
    assert peak < 8 * 1024**2
