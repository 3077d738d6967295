"""The rows of datasets; the files lie in buckets."""

from collections.abc import Collection
from dataclasses import fields
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, func, insert, literal, select, tuple_, update

from jobs.database.engine import Position, Transaction
from jobs.database.reading import Question, among, made_of
from jobs.database.tables import datasets
from jobs.domain.dataset import Dataset, DatasetStatus

_row = datasets.c
COLUMNS = tuple(_row[field.name] for field in fields(Dataset))
_MINE = Question(
    lambda dialect: select(*COLUMNS).where(
        among(_row.id, "dataset_ids", dialect), _row.user_id == bindparam("user_id")
    ),
    made_of(Dataset),
)


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
    query = select(*COLUMNS).where(_row.user_id == user_id)
    if after is not None:
        at, dataset_id = after
        here = tuple_(literal(at, _row.created_at.type), literal(dataset_id, _row.id.type))
        query = query.where(tuple_(_row.created_at, _row.id) < here)
    query = query.order_by(_row.created_at.desc(), _row.id.desc()).limit(limit)
    return [_dataset(row) for row in await tx.execute(query)]


async def count(tx: Transaction, user_id: str) -> int:
    """How many datasets this user has."""
    query = select(func.count()).select_from(datasets).where(_row.user_id == user_id)
    return await tx.scalar(query) or 0


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
