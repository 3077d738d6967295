"""A lane works on so much at a time, in order, and on whatever is put into it later."""

import asyncio

from jobs.questions import Lane


class Works:
    """Work that goes on until it is let go."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.ended: list[int] = []
        self.gates: dict[int, asyncio.Event] = {}

    async def __call__(self, piece: int) -> None:
        self.begun.append(piece)
        await self.gates.setdefault(piece, asyncio.Event()).wait()
        if piece < 0:
            raise asyncio.CancelledError
        self.ended.append(piece)

    async def let_go(self, *pieces: int) -> None:
        """End these, and let begin what waits for it."""
        for piece in pieces:
            self.gates.setdefault(piece, asyncio.Event()).set()
        for _ in range(5):
            await asyncio.sleep(0)


async def test_so_much_at_a_time_in_its_order_and_one_that_lasts_delays_no_other() -> None:
    work = Works()
    lane = Lane(work, 2)
    for piece in range(6):
        lane.put(piece)
    await work.let_go()
    assert work.begun == [0, 1]
    await work.let_go(1, 2, 3)
    assert (work.begun, work.ended) == ([0, 1, 2, 3, 4], [1, 2, 3])
    await work.let_go(0, 4, 5)
    lane.put(6)  # after all had ended
    await work.let_go(6)
    assert sorted(work.ended) == list(range(7))


async def test_what_was_cancelled_from_within_leaves_the_rest_at_work() -> None:
    work = Works()
    lane = Lane(work, 1)
    for piece in (-1, 1, 2):
        lane.put(piece)
    await work.let_go(-1, 1, 2)
    assert work.ended == [1, 2]


async def test_a_closed_lane_ends_what_has_begun_and_begins_nothing() -> None:
    work = Works()
    lane = Lane(work, 1)
    for piece in range(3):
        lane.put(piece)
    await work.let_go()
    await lane.close()
    await work.let_go(0, 1, 2)
    assert (work.begun, work.ended) == ([0], [])
