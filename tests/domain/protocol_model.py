"""The protocol of the pass as a model, searched to its end: one job, two workers, and whatever can go wrong at every step.

A world is the row, what two workers have in hand, the calls under way, and the cluster's runs. Any worker may be killed at
any time, any call may arrive late or never, any answer may be lost, any claim may run out, the owner may cancel at any time
and the run may finish at any time. From every world that this can lead to, two futures without faults are tried: one where
answers are prompt, and one where every submit takes longer than its claim lasts. Both must end with a row that tells the
truth about the cluster. Decisions are the domain's own `next_step`, `fold`, `cancel` and `advance`; claiming, the guard and
storing facts are here what the SQL does.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import NamedTuple
from uuid import UUID

from jobs.domain.job import Job
from jobs.domain.lifecycle import JobStatus, Release, Seen, Step, advance, next_step
from jobs.domain.moves import cancel, fold
from jobs.domain.sighting import (
    Accepted,
    ClusterStatus,
    NoReport,
    NotNow,
    Report,
    Sighting,
    StillHeld,
    Stopped,
    Unclear,
    Unseen,
)
from tests.domain.factories import NOON, PACING, a_job

LIVE, DONE, DEAD = ClusterStatus.RUNNING, ClusterStatus.COMPLETED, ClusterStatus.CANCELLED
TOKENS = (UUID(int=1), UUID(int=2))
SILENCE: dict[Step, Sighting] = {
    Step.SUBMIT: Unclear("no answer"),
    Step.POLL: NoReport("no answer"),
    Step.STOP: StillHeld("no answer"),
}
NO_CONNECTION = NotNow("connection refused", answered=False)
Futures = tuple[bool, ...]  # whether submits are slower than claims, in each future that is tried


class Rules(NamedTuple):
    """The protocol's ingredients, each to be left out in turn; the last one is the cluster's part of the contract."""

    stable_key: bool = True  # one idempotency key for the life of the job
    stored_facts: bool = True  # an external id is stored also by a worker that lost its claim
    resolving: bool = True  # a cancelled submit of unknown outcome is repeated, to learn the id
    takeover: bool = True  # a claim that has run out is anybody's
    guard: bool = True  # what a worker decided is stored only while the claim is its own
    remembers: bool = True  # the cluster knows a key also after its run was cancelled


class Worker(NamedTuple):
    """One worker: the job it claimed, as known before this attempt, and how far it has come."""

    job: Job | None = None
    waits: bool = False
    sighting: Sighting | None = None


class Call(NamedTuple):
    """A request that has left and not arrived; `asker` still listens, or nobody does."""

    verb: Step
    name: str
    asker: int | None


class World(NamedTuple):
    """Everything there is. `keys` counts the submits, for keys that are not stable."""

    row: Job
    workers: tuple[Worker, Worker] = (Worker(), Worker())
    wire: frozenset[Call] = frozenset()
    runs: frozenset[tuple[str, ClusterStatus]] = frozenset()
    keys: int = 0


def searched(rules: Rules, futures: Futures = (False, True)) -> tuple[int, str | None, list[str]]:
    """How many worlds there are, and the first violation with the shortest way to it."""
    start = World(timeless(a_job()))
    came_from: dict[World, tuple[World, str] | None] = {start: None}
    queue = deque([start])
    while queue:
        world = queue.popleft()
        if wrong := violation(world, rules, futures):
            way: list[str] = []
            while (origin := came_from[world]) is not None:
                world, event = origin
                way.append(event)
            return len(came_from), wrong, way[::-1]
        for event, following in events(world, rules):
            if following not in came_from:
                came_from[following] = (world, event)
                queue.append(following)
    return len(came_from), None, []


def violation(world: World, rules: Rules, futures: Futures) -> str | None:
    """What is wrong with this world, or with what becomes of it when all faults are over."""
    healed = [heal(world, rules, slow=slow) for slow in futures]
    if any(len(live(later)) > 1 for later in (world, *healed)):
        return "two runs at once"
    for later in healed:
        row = later.row
        if world.row.status.is_final and row.status is not world.row.status:
            return "changed after its end"
        if row.status.is_final and live(later):
            return "an orphan"
        if row.release is Release.NEEDED or row.status in {JobStatus.QUEUED, JobStatus.INITIALIZING}:
            return "stuck"
        if row.status is JobStatus.RUNNING and live(later) != {row.external_job_id}:
            return "the row and the cluster disagree"
    return None


def live(world: World) -> set[str]:
    """The runs that hold GPUs."""
    return {name for name, state in world.runs if state is LIVE}


def events(world: World, rules: Rules) -> Iterator[tuple[str, World]]:
    """Everything that may happen next."""
    for me, worker in enumerate(world.workers):
        name = "AB"[me]
        if worker.job is None:
            if (claimed := claim(world, me, rules)) is not None:
                yield f"{name} claims", claimed
            continue
        yield f"{name} is killed", silenced(world, me, Worker())
        step = step_of(worker.job, rules)
        if worker.sighting is not None:
            yield f"{name} saves", save(world, me, rules)
        elif worker.waits:
            yield f"{name} gives up waiting", silenced(world, me, heard(worker, SILENCE[step]))
        elif rules.stable_key or world.keys < 3:
            yield f"{name} sends", send(world, me, rules)
            if step is Step.SUBMIT:
                yield f"{name} cannot connect", with_worker(world, me, heard(worker, NO_CONNECTION))
    for call in world.wire:
        yield f"{call.verb} arrives", deliver(world, call, rules, answered=True)
        if call.asker is not None:
            yield f"{call.verb} arrives, its answer is lost", deliver(world, call, rules, answered=False)
            if call.verb is Step.POLL and (call.name, DONE) in world.runs:
                unseen = deliver(world, call, rules, answered=True, storage_is_away=True)
                yield "poll arrives, and the storage is away", unseen
    if not world.row.status.is_final:
        yield "the owner cancels", world._replace(row=timeless(cancel(world.row, NOON).job))
    for name, state in world.runs:
        if state is LIVE:
            yield "the run finishes", world._replace(runs=world.runs - {(name, LIVE)} | {(name, DONE)})


def heal(world: World, rules: Rules, *, slow: bool) -> World:
    """The world when everything under way has come in and passes change nothing any more."""
    for call in sorted(world.wire, key=str):
        world = deliver(world, call, rules, answered=True)
    for me, worker in enumerate(world.workers):
        if worker.job is not None:
            world = save(asked(world, me, rules), me, rules)
    return passes(world, rules, slow)


@cache
def passes(world: World, rules: Rules, slow: bool) -> World:
    """Passes without faults, by turns where `slow`: then a submit's claim has run out before its answer comes."""
    me, before = 0, None
    for _ in range(20):
        if world.workers[me].job is None:
            claimed = claim(world, me, rules)
            if claimed is None or world == before:
                break
            before, world = world, claimed
        submits = world.workers[me].job is not None and not world.row.external_job_id
        world = asked(world, me, rules)
        if slow and submits:
            world = claim(world, 1 - me, rules) or world
        world = save(world, me, rules)
        me = me if world.workers[1 - me].job is None else 1 - me
    return world


def asked(world: World, me: int, rules: Rules) -> World:
    """This worker has an answer, or knows that none will come."""
    if world.workers[me].sighting is None and not world.workers[me].waits:
        world = send(world, me, rules)
    for call in [call for call in world.wire if call.asker == me]:
        world = deliver(world, call, rules, answered=True)
    worker = world.workers[me]
    if worker.sighting is None and worker.job is not None:
        return silenced(world, me, heard(worker, SILENCE[step_of(worker.job, rules)]))
    return world


def claim(world: World, me: int, rules: Rules) -> World | None:
    """The claim of `claim_queued` and `claim_due`: it also notes that a submit may leave us from now on."""
    row = world.row
    idle = world.workers[me].job is None and row.next_action_at is not None
    if not idle or step_of(row, rules) is Step.NOTHING or (row.claim_token and not rules.takeover):
        return None
    before, noted = taken(row, TOKENS[me])
    return with_worker(world._replace(row=noted), me, Worker(before))


@cache
def taken(row: Job, token: UUID) -> tuple[Job, Job]:
    """The row as its new owner knows it, and as it stands from now on."""
    status = row.status if row.external_job_id or row.status.is_final else advance(row.status, Seen.CLAIMED)
    claimed = replace(row, status=status, claim_token=token)
    return claimed, replace(claimed, submitted_at=row.submitted_at or NOON)


def send(world: World, me: int, rules: Rules) -> World:
    """The worker's call leaves."""
    worker = world.workers[me]
    assert worker.job is not None
    verb = step_of(worker.job, rules)
    name, keys = worker.job.external_job_id or "", world.keys
    if verb is Step.SUBMIT:
        name, keys = ("key", keys) if rules.stable_key else (f"key {keys}", keys + 1)
    world = world._replace(wire=world.wire | {Call(verb, name, me)}, keys=keys)
    return with_worker(world, me, worker._replace(waits=True))


def deliver(
    world: World, call: Call, rules: Rules, *, answered: bool, storage_is_away: bool = False
) -> World:
    """The call reaches the cluster, which acts on it and answers. A run's name is its key's."""
    runs = dict(world.runs)
    if call.verb is Step.SUBMIT and (
        call.name not in runs or (runs[call.name] is DEAD and not rules.remembers)
    ):
        runs[call.name] = LIVE
    if call.verb is Step.STOP and runs[call.name] is LIVE:
        runs[call.name] = DEAD
    answers: dict[Step, Sighting] = {
        Step.SUBMIT: Accepted(call.name),
        Step.POLL: Unseen("no bucket") if storage_is_away else Report(status=runs[call.name]),
        Step.STOP: Stopped(),
    }
    world = world._replace(wire=world.wire - {call}, runs=frozenset(runs.items()))
    if call.asker is None or not answered:
        return world
    return with_worker(world, call.asker, heard(world.workers[call.asker], answers[call.verb]))


def save(world: World, me: int, rules: Rules) -> World:
    """The save under the claim; one that lost it stores what is a fact, and nothing else."""
    row, (job, _, sighting) = world.row, world.workers[me]
    assert job is not None
    assert sighting is not None
    if row.claim_token == TOKENS[me] or not rules.guard:
        row = with_fact(folded(job, sighting), row)
    elif isinstance(sighting, Accepted) and row.external_job_id is None and rules.stored_facts:
        row = replace(row, external_job_id=sighting.external_job_id, accepted_at=NOON)
    return with_worker(world._replace(row=row), me, Worker())


@cache
def folded(job: Job, sighting: Sighting) -> Job:
    return replace(timeless(fold(job, sighting, NOON, PACING).job), claim_token=None)


def with_fact(saved: Job, row: Job) -> Job:
    """`saved` over `row`: what somebody else has learnt in the meantime stays."""
    if saved.external_job_id is not None or row.external_job_id is None:
        return saved
    return replace(saved, external_job_id=row.external_job_id, accepted_at=row.accepted_at)


def step_of(job: Job, rules: Rules) -> Step:
    """The domain's `next_step`, but for what the rules leave out."""
    step = next_step(job)
    return Step.NOTHING if job.status.is_final and step is Step.SUBMIT and not rules.resolving else step


def heard(worker: Worker, sighting: Sighting) -> Worker:
    return worker._replace(waits=False, sighting=sighting)


def silenced(world: World, me: int, worker: Worker) -> World:
    """`worker` in this place, which no longer listens: what it sent may still arrive, and a mere question is forgotten."""
    deaf = (call._replace(asker=None) if call.asker == me else call for call in world.wire)
    wire = frozenset(call for call in deaf if call.asker is not None or call.verb is not Step.POLL)
    return with_worker(world._replace(wire=wire), me, worker)


def with_worker(world: World, me: int, worker: Worker) -> World:
    return world._replace(workers=(worker, world.workers[1]) if me == 0 else (world.workers[0], worker))


def timeless(job: Job) -> Job:
    """`job` without what only counts or tells: every instant is noon, and what is due is due now."""
    return replace(
        job,
        next_action_at=NOON if job.next_action_at else None,
        current_stage=None,
        contact_lost_since=None,
        last_contact_at=None,
        failures=0,
    )
