"""The rows of datasets; the files lie in buckets."""

from collections.abc import Collection
from dataclasses import fields
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, func, insert, select, update

from jobs.database.engine import Position, Transaction
from jobs.database.pages import asked, newest_first
from jobs.database.reading import Question, among, made_of
from jobs.database.tables import datasets
from jobs.domain.dataset import Dataset, DatasetStatus

_row = datasets.c
COLUMNS = tuple(_row[field.name] for field in fields(Dataset))
_IS_MINE = _row.user_id == bindparam("user_id")
_MINE = Question(
    lambda dialect: select(*COLUMNS).where(among(_row.id, "dataset_ids", dialect), _IS_MINE),
    made_of(Dataset),
)
_COUNT = Question(
    lambda _: select(func.count()).select_from(datasets).where(_IS_MINE), lambda row: int(row[0])
)


@cache
def _page(*, goes_on: bool) -> Question[Dataset]:
    query = select(*COLUMNS).where(_IS_MINE)
    return Question(lambda _: newest_first(query, datasets, goes_on=goes_on), made_of(Dataset))


async def insert_dataset(tx: Transaction, dataset: Dataset) -> None:
    """Store a new dataset."""
    await tx.execute(insert(datasets).values(_values(dataset)))


async def get(tx: Transaction, dataset_id: UUID, user_id: str) -> Dataset | None:
    """This user's dataset."""
    rows = await tx.execute(select(*COLUMNS).where(_row.id == dataset_id, _row.user_id == user_id))
    row = rows.one_or_none()
    return None if row is None else _dataset(row)


async def get_many(tx: Transaction, dataset_ids: Collection[UUID], user_id: str) -> dict[UUID, Dataset]:
    """Those of the datasets that are this user's."""
    found = await _MINE.all(tx, dataset_ids=list(dataset_ids), user_id=user_id)
    return {dataset.id: dataset for dataset in found}


async def find(tx: Transaction, dataset_id: UUID) -> Dataset | None:
    """Anybody's dataset: for the service."""
    row = (await tx.execute(select(*COLUMNS).where(_row.id == dataset_id))).one_or_none()
    return None if row is None else _dataset(row)


async def find_many(tx: Transaction, dataset_ids: Collection[UUID]) -> dict[UUID, Dataset]:
    """Anybody's datasets: for the service."""
    query = select(*COLUMNS).where(_row.id.in_(dataset_ids))
    return {dataset.id: dataset for dataset in map(_dataset, await tx.execute(query))}


async def page(tx: Transaction, user_id: str, *, limit: int, after: Position | None = None) -> list[Dataset]:
    """This user's datasets, newest first."""
    return await _page(goes_on=after is not None).all(tx, **asked(user_id, limit, after))


async def count(tx: Transaction, user_id: str) -> int:
    """How many datasets this user has."""
    return await _COUNT.one(tx, user_id=user_id) or 0


async def close_upload(tx: Transaction, examined: Dataset) -> bool:
    """Store what an examination found. False: the dataset is no longer being uploaded; nothing is stored."""
    names = (
        "status",
        "format",
        "size_bytes",
        "total_training_pairs",
        "total_tokens",
        "error_message",
        "storage_path",
    )
    values = {name: getattr(examined, name) for name in names} | {"training_ready": examined.training_ready}
    mine = (_row.id == examined.id, _row.user_id == examined.user_id, _row.status == DatasetStatus.UPLOADING)
    return bool((await tx.execute(update(datasets).where(*mine).values(values))).rowcount)


def _values(dataset: Dataset) -> dict[str, Any]:
    values = {field.name: getattr(dataset, field.name) for field in fields(Dataset)}
    return values | {"training_ready": dataset.training_ready}


def _dataset(row: Row[Any]) -> Dataset:
    return Dataset(**row._mapping)
