"""Answers about one job, remembered for as long as nothing about the job changes.

All that such an answer shows hangs on the job's row, whose revision every visible change raises; only a download link
has a time of its own, which is part of the key. So is the user: whose job it is was settled when the answer was made,
and nobody else's question finds it.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from jobs.database.changes import Changes
from jobs.domain.job import Job
from server.answers import Answer
from server.media import Media
from server.types.artifact import ROUND

MOST_BYTES = 64 * 1024 * 1024
_OVERHEAD = 2_048  # bytes of an entry beside its texts
_EPOCH = datetime.min.replace(tzinfo=UTC)  # from which links count their rounds too
_SHARE = 8  # one answer is at most so small a part of all


class Key(msgspec.Struct, frozen=True):
    """What makes two requests the same question."""

    user_id: str
    by_get: bool
    text: bytes  #: the query string or the body, to the byte
    media: Media
    round: datetime  #: when that of its links began


@dataclass(slots=True)
class _Entry:
    answer: Answer
    user_id: str
    job_id: UUID
    revision: int
    since: int  #: until when nothing about the job is known to have changed
    size: int


Make = Callable[
    [], Awaitable[tuple[Answer, Job | None]]
]  #: the answer, and the job that it shows as it was read


class Answers:
    """What this process remembers, the least recently asked for going first."""

    def __init__(
        self,
        changes: Changes,
        *,
        most_bytes: int = MOST_BYTES,
        count: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`count` hears how each question was answered: `remembered`, `checked`, `joined` or `made`."""
        self._changes, self._most, self._count = changes, most_bytes, count
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()
        self._flights: dict[Key, asyncio.Future[Answer | None]] = {}
        self._round = self._next_round = _EPOCH
        self.bytes = 0  #: that all entries take

    def key(self, user_id: str, text: bytes, media: Media, *, by_get: bool, asked_at: datetime) -> Key:
        """The key of a question."""
        if not self._round <= asked_at < self._next_round:
            self._round = asked_at - (asked_at - _EPOCH) % ROUND
            self._next_round = self._round + ROUND
        return Key(user_id, by_get, text, media, self._round)

    def known(self, key: Key, may_have_it: Callable[[str], bool] = lambda _: True) -> Answer | None:
        """The answer that is remembered, if it is known to be still true; only then it is asked who may have it."""
        entry = self._entries.get(key)
        if (
            entry is None
            or not self._changes.unchanged(entry.job_id, entry.since)
            or not may_have_it(key.user_id)
        ):
            return None
        self._entries.move_to_end(key)
        self._count("remembered")
        return entry.answer

    async def recall(self, key: Key) -> Answer | None:
        """The answer that is remembered, if it is still true. Raises `DatabaseUnavailable` where that must be asked."""
        if answer := self.known(key):
            return answer
        entry = self._entries.get(key)
        if entry is None:
            return None
        unchanged = self._changes.unchanged(entry.job_id, entry.since)
        if unchanged is None:
            now = self._changes.now()
            unchanged = await self._changes.revision(entry.job_id, entry.user_id) == entry.revision
            if unchanged:
                entry.since = now
        if not unchanged:
            self._forget(key, entry)
            return None
        if key in self._entries:
            self._entries.move_to_end(key)
        self._count("checked")
        return entry.answer

    async def make(self, key: Key, make: Make) -> Answer:
        """A new answer; who asks the same meanwhile waits for it, unless something has changed since it was begun."""
        if earlier := self._flights.get(key):
            await asyncio.wait([earlier])
            if answer := await self.recall(key):
                return answer
            if later := self._flights.get(
                key
            ):  # it began after we came: it sees all that we may expect to see
                await asyncio.wait([later])
                if answer := later.result():
                    self._count("joined")
                    return answer
        if key in self._flights:
            return (await self._made(key, make))[0]
        flight = self._flights[key] = asyncio.get_running_loop().create_future()
        result = None
        try:
            answer, is_kept = await self._made(key, make)
            result = answer if is_kept else None
        finally:
            del self._flights[key]
            flight.set_result(result)
        return answer

    async def _made(self, key: Key, make: Make) -> tuple[Answer, bool]:
        since = self._changes.now()
        answer, job = await make()
        self._count("made")
        if job is not None:
            self._keep(key, answer, job, since)
        return answer, job is not None

    def _keep(self, key: Key, answer: Answer, job: Job, since: int) -> None:
        size = _OVERHEAD + len(key.text) + len(answer.body) * 4 // 3  # and what is packed
        if size * _SHARE > self._most:
            return
        if old := self._entries.get(key):
            self._forget(key, old)
        self._entries[key] = _Entry(answer, key.user_id, job.id, job.revision, since, size)
        self.bytes += size
        while self.bytes > self._most:
            _, oldest = self._entries.popitem(last=False)
            self.bytes -= oldest.size

    def _forget(self, key: Key, entry: _Entry) -> None:
        if self._entries.get(key) is entry:
            del self._entries[key]
            self.bytes -= entry.size
