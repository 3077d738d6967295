"""Passes begin by the timer and when woken, one after another, whatever they do."""

import asyncio
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from jobs.domain.errors import PipelineError
from jobs.pacemaker import Pacemaker
from tests.worker.passes import Passes, until

NEVER = timedelta(hours=1)


async def _settle() -> None:
    """Time enough for a pass that must not be."""
    await asyncio.sleep(0.05)


async def test_the_first_pass_begins_at_once_and_the_timer_goes_on() -> None:
    passes = Passes()
    async with Pacemaker(passes, timedelta(seconds=0.1)):
        await until(lambda: len(passes.ended) >= 4)
    gaps = [later - earlier for earlier, later in zip(passes.begun, passes.begun[1:], strict=False)]
    assert min(gaps[:-1]) > 0.05, "the last one may be due to the stop"


async def test_a_wake_begins_a_pass_long_before_the_timer_does() -> None:
    passes = Passes()
    async with Pacemaker(passes, NEVER) as pacemaker:
        await until(lambda: len(passes.ended) == 1)
        pacemaker.wake()
        await until(lambda: len(passes.ended) == 2)
        await _settle()
    assert len(passes.begun) == 2


async def test_wakes_during_a_pass_are_one_pass_after_it() -> None:
    passes = Passes(held=True)
    async with Pacemaker(passes, NEVER) as pacemaker:
        await until(lambda: passes.running)
        for _ in range(20):
            pacemaker.wake()
            await asyncio.sleep(0)
        passes.let_go()
        await until(lambda: len(passes.ended) == 2)
        await _settle()
    assert len(passes.begun) == 2
    assert passes.most_at_once == 1


async def test_ticks_missed_during_a_pass_are_one_pass_after_it() -> None:
    passes = Passes(held=True)
    async with Pacemaker(passes, timedelta(seconds=0.3)):
        await until(lambda: passes.running)
        await asyncio.sleep(1)
        passes.let_go()
        await until(lambda: len(passes.begun) >= 4)
    assert passes.most_at_once == 1
    assert passes.begun[2] - passes.begun[1] > 0.25, "the third pass is a tick of its own"


@pytest.mark.parametrize(
    ("more_in", "every", "least"),
    [
        (0.3, 3600, 0.3),
        (0.000001, 3600, 0.25),  # so many are due so soon that each would be a pass of its own
        (0.000001, 0.2, 0.05),
        (0, 0.4, 0.1),  # due while the pass ran
        (10, 0.3, 0.3),
    ],
)
async def test_the_next_pass_begins_when_there_is_more_to_do(
    more_in: float, every: float, least: float
) -> None:
    passes = Passes(more_in=timedelta(seconds=more_in))
    async with Pacemaker(passes, timedelta(seconds=every)):
        await until(lambda: len(passes.begun) >= 4)
    gaps = [later - earlier for earlier, later in zip(passes.begun, passes.begun[1:], strict=False)][:3]
    assert min(gaps) > least * 0.95


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("a bug"),
        PipelineError("the database is away"),
        asyncio.CancelledError("leaked from a task of the pass"),
    ],
)
async def test_a_pass_that_raises_is_logged_and_the_next_one_runs(error: BaseException) -> None:
    passes = Passes()
    passes.raises = [error, error]
    with capture_logs() as events:
        async with Pacemaker(passes, timedelta(seconds=0.05)):
            await until(lambda: len(passes.ended) >= 4)
    assert len([event for event in events if event["log_level"] in ("error", "warning")]) == 2


async def test_a_ring_is_done_when_a_pass_that_began_after_it_has_ended() -> None:
    passes = Passes(held=True)
    async with Pacemaker(passes, NEVER) as pacemaker:
        await until(lambda: passes.running)
        ring = asyncio.create_task(pacemaker.ring())
        await asyncio.sleep(0)
        passes.let_go(1)
        await until(lambda: len(passes.begun) == 2)
        assert not ring.done()
        passes.let_go()
        await asyncio.wait_for(ring, 30)
        assert len(passes.ended) == 2


async def test_one_who_waits_for_a_pass_is_enough() -> None:
    passes = Passes(held=True)
    async with Pacemaker(passes, NEVER) as pacemaker:
        await until(lambda: passes.running)
        first = asyncio.create_task(pacemaker.ring())
        await asyncio.sleep(0)
        for _ in range(100):
            await asyncio.wait_for(pacemaker.ring(), 30)
        assert not first.done()
        passes.let_go()
        await asyncio.wait_for(first, 30)


async def test_a_tick_soon_after_a_pass_waits_for_that_pass_and_adds_none() -> None:
    passes = Passes(held=True)
    async with Pacemaker(passes, NEVER) as pacemaker:
        await until(lambda: passes.running)
        tick = asyncio.create_task(pacemaker.tick())
        await _settle()
        assert not tick.done()
        passes.let_go()
        await asyncio.wait_for(tick, 30)
        await _settle()
    assert len(passes.begun) == 1


async def test_a_tick_that_is_due_is_a_pass() -> None:
    passes = Passes(held=True)
    async with Pacemaker(passes, timedelta(seconds=0.01)) as pacemaker:
        await until(lambda: passes.running)
        await _settle()
        tick = asyncio.create_task(pacemaker.tick())
        await asyncio.sleep(0)
        passes.let_go()
        await asyncio.wait_for(tick, 30)
        assert len(passes.ended) >= 2


async def test_stopping_lets_the_running_pass_end_and_begins_no_other() -> None:
    passes = Passes(held=True)
    pacemaker = Pacemaker(passes, timedelta(seconds=0.01))
    async with pacemaker:
        await until(lambda: passes.running)
        asyncio.get_running_loop().call_later(0.2, passes.let_go)
    assert (len(passes.begun), len(passes.ended), passes.cut_short) == (1, 1, 0)
    await asyncio.wait_for(pacemaker.ring(), 30)
    await _settle()
    assert len(passes.begun) == 1


async def test_a_pass_that_does_not_end_is_cancelled_when_its_time_is_over() -> None:
    passes = Passes(held=True)
    async with Pacemaker(passes, NEVER, patience=timedelta(seconds=0.05)) as pacemaker:
        await until(lambda: passes.running)
        waiting = asyncio.create_task(pacemaker.ring())
        await asyncio.sleep(0)
    assert passes.cut_short == 1
    await asyncio.wait_for(waiting, 30)


async def test_a_stop_that_is_cancelled_cuts_the_pass_short() -> None:
    passes = Passes(held=True)
    pacemaker = await Pacemaker(passes, NEVER, patience=timedelta(hours=1)).__aenter__()
    await until(lambda: passes.running)
    stopping = asyncio.create_task(pacemaker.stop())
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(stopping, 30)
    assert passes.cut_short == 1
