"""Examining a dataset where it lies: the file comes in pieces, and no piece holds the loop."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing

from jobs.buckets import Buckets
from jobs.domain.dataset_file import DatasetExaminer, DatasetFlaw, DatasetReport


async def examine(
    buckets: Buckets, bucket: str, path: str, *, max_bytes: int, on_read: Callable[[int], None] | None = None
) -> DatasetReport:
    """What the object holds, read once from beginning to end, in constant memory.

    `on_read` is told after each piece how many bytes were read by then. A piece has 64 KiB, from S3 also more, if more has
    come by then. A thread reads it, so other requests are answered meanwhile.
    Raises `DatasetFlaw` (also above `max_bytes`), `ObjectMissing`, `StorageUnavailable`.
    """
    examiner, seen = DatasetExaminer(), 0
    async with aclosing(buckets.stream(bucket, path)) as pieces:
        async for piece in pieces:
            seen += len(piece)
            if seen > max_bytes:
                raise DatasetFlaw(None, f"the file is larger than {max_bytes} bytes")
            await asyncio.to_thread(examiner.feed, piece)
            if on_read:
                on_read(seen)
    return await asyncio.to_thread(examiner.finish)
