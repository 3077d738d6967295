"""What a person asks about datasets: announce an upload, have it checked, import what lies in a bucket.

A check reads the whole file, so it goes on when the client that asked for it gives up, and whoever asks again joins it.
"""

import asyncio
from collections.abc import Coroutine, Hashable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from jobs.buckets import (
    DATASETS,
    BadObjectName,
    Buckets,
    ObjectMissing,
    check_object,
    dataset_path,
    upload_path,
)
from jobs.database import Database, Now, datasets
from jobs.domain.dataset import Dataset, DatasetStatus
from jobs.domain.dataset_file import DatasetFlaw
from jobs.domain.errors import FieldFlaw, InvalidTraining, UnknownDataset
from jobs.examination import examine

UPLOAD_LIFE = timedelta(hours=1)
LONGEST_NAME = 200
_IMPORTABLE = ("lora-datasets", "training-files")


@dataclass(frozen=True, slots=True)
class Upload:
    """A dataset that waits for its file, and where to PUT it until `expires_at`."""

    dataset: Dataset
    url: str
    expires_at: datetime


class DatasetCommands:
    """What users may do with datasets. Raises the errors of `domain/errors.py`, and `StorageUnavailable`."""

    def __init__(self, database: Database, buckets: Buckets, now: Now, *, max_bytes: int) -> None:
        """`max_bytes` bounds one file."""
        self._database, self._buckets, self._now, self._max_bytes = database, buckets, now, max_bytes
        self._checks: dict[Hashable, asyncio.Task[Dataset]] = {}
        self._read: dict[UUID, float] = {}

    async def create_upload(self, user_id: str, *, name: str, file_name: str, size_bytes: int) -> Upload:
        """Announce a dataset and get the URL to PUT its file to. Raises `InvalidTraining`."""
        flaws = [_name_flaw("name", name), _name_flaw("fileName", file_name), self._size_flaw(size_bytes)]
        if found := [flaw for flaw in flaws if flaw]:
            raise InvalidTraining(found)
        at = (await self._now()).replace(microsecond=0)
        dataset_id = uuid4()
        dataset = Dataset(
            id=dataset_id,
            user_id=user_id,
            name=name.strip(),
            storage_bucket=DATASETS,
            storage_path=dataset_path(user_id, dataset_id),
            created_at=await self._now(),
            size_bytes=size_bytes,
        )
        url = self._buckets.put_url(
            DATASETS,
            upload_path(user_id, dataset_id),
            issued_at=at,
            lifetime=UPLOAD_LIFE,
            size_bytes=size_bytes,
        )
        async with self._database.begin(user_id) as tx:
            await datasets.insert_dataset(tx, dataset)
        return Upload(dataset, url, at + UPLOAD_LIFE)

    async def complete_upload(self, user_id: str, dataset_id: UUID) -> Dataset:
        """Check the uploaded file line by line; a file that cannot be trained on makes the dataset INVALID.

        Asked twice, the second waits for the first. Raises `UnknownDataset`, and `InvalidTraining` before the file is there.
        """
        async with self._database.read(user_id) as tx:
            dataset = await datasets.get(tx, dataset_id, user_id)
        if dataset is None:
            raise UnknownDataset("There is no dataset with this id.")
        if dataset.status is not DatasetStatus.UPLOADING:
            return dataset
        return await self._checked(dataset_id, self._close_upload(dataset))

    def checked(self, dataset_id: UUID) -> float | None:
        """Percent of the file that the check under way here has read; `None` when none is."""
        return self._read.get(dataset_id)

    async def import_dataset(self, user_id: str, *, name: str, bucket: str, path: str) -> Dataset:
        """Make a dataset of an object below the user's own folder. Raises `UnknownDataset`, `InvalidTraining`."""
        if flaw := _name_flaw("name", name):
            raise InvalidTraining([flaw])
        try:
            check_object(bucket, path)
        except BadObjectName as exc:
            raise InvalidTraining([FieldFlaw("path", str(exc))]) from exc
        size = None
        if bucket in _IMPORTABLE and path.startswith(f"{user_id}/"):
            size = await self._buckets.size(bucket, path)
        if size is None:
            raise UnknownDataset("There is no such object in your folder of that bucket.")
        if size > self._max_bytes:
            raise InvalidTraining([FieldFlaw("path", f"The file is larger than {self._max_bytes} bytes.")])
        dataset = Dataset(
            id=uuid4(),
            user_id=user_id,
            name=name.strip(),
            storage_bucket=bucket,
            storage_path=path,
            created_at=await self._now(),
            size_bytes=size,
        )
        return await self._checked((user_id, name, bucket, path), self._insert_checked(dataset))

    async def _checked(self, key: Hashable, check: Coroutine[Any, Any, Dataset]) -> Dataset:
        """What `check` finds, or the one with the same key that is under way."""
        task = self._checks.get(key)
        if task is None:
            task = self._checks[key] = asyncio.create_task(check)
            task.add_done_callback(lambda _: self._checks.pop(key, None))
        else:
            check.close()
        return await asyncio.shield(task)

    def _size_flaw(self, size_bytes: int) -> FieldFlaw | None:
        if 1 <= size_bytes <= self._max_bytes:
            return None
        return FieldFlaw("sizeBytes", f"must be from 1 to {self._max_bytes} bytes")

    async def _close_upload(self, dataset: Dataset) -> Dataset:
        source = upload_path(dataset.user_id, dataset.id)
        size = await self._buckets.size(DATASETS, source)
        if size is None:  # unless an earlier completion was cut off after it had sealed the file
            size, source = await self._buckets.size(DATASETS, dataset.storage_path), dataset.storage_path
        if size is None:
            raise InvalidTraining(
                [FieldFlaw("id", "The file has not been uploaded yet: PUT it to uploadUrl first.")]
            )
        if size != dataset.size_bytes:
            sentence = (
                f"{size} bytes were uploaded, but {dataset.size_bytes} were announced; upload the whole file."
            )
            raise InvalidTraining([FieldFlaw("id", sentence)])
        if source != dataset.storage_path:
            await self._buckets.move(DATASETS, source, dataset.storage_path)
        examined = await self._examined(dataset)
        async with self._database.begin(dataset.user_id) as tx:
            if await datasets.close_upload(tx, examined):
                return examined
            return await datasets.get(tx, dataset.id, dataset.user_id) or examined

    async def _insert_checked(self, dataset: Dataset) -> Dataset:
        examined = await self._examined(dataset)
        async with self._database.begin(dataset.user_id) as tx:
            await datasets.insert_dataset(tx, examined)
        return examined

    async def _examined(self, dataset: Dataset) -> Dataset:
        def on_read(seen: int) -> None:
            self._read[dataset.id] = min(100.0, 100 * seen / max(1, dataset.size_bytes))

        on_read(0)
        try:
            report = await examine(
                self._buckets,
                dataset.storage_bucket,
                dataset.storage_path,
                max_bytes=self._max_bytes,
                on_read=on_read,
            )
        except DatasetFlaw as flaw:
            return replace(dataset, status=DatasetStatus.INVALID, error_message=str(flaw))
        except ObjectMissing as exc:
            raise UnknownDataset("The file is gone.") from exc
        finally:
            del self._read[dataset.id]
        return replace(
            dataset,
            status=DatasetStatus.READY,
            format=report.format,
            total_training_pairs=report.pairs,
            total_tokens=report.tokens,
        )


def _name_flaw(path: str, text: str) -> FieldFlaw | None:
    if 0 < len(text.strip()) <= LONGEST_NAME and text.isprintable():
        return None
    return FieldFlaw(path, f"must be 1 to {LONGEST_NAME} printable characters")
