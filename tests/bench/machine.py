"""The machine that is measured on: its cores, who runs on which, and the processor time that processes used."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
CORES = sorted(os.sched_getaffinity(0))
MEASURED = {CORES[0]}  #: the core of what is measured
AROUND = set(CORES[1:]) or MEASURED  #: the cores of everything else: load, databases, the cluster


@contextlib.contextmanager
def on(cores: set[int]) -> Iterator[None]:
    """Processes that the block starts run on `cores` for as long as they live."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def described() -> str:
    """The machine in a few words."""
    info = Path("/proc/cpuinfo").read_text()
    model = next(
        (line.partition(": ")[2] for line in info.splitlines() if line.startswith("model name")), "?"
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    return f"{len(CORES)} cores of {model}, {memory:.0f} GiB"


@dataclass(frozen=True, slots=True)
class _Process:
    name: str
    parent: int
    seconds: float  #: of processor time, with that of its children that have ended


def _processes() -> dict[int, _Process]:
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                text = (folder / "stat").read_text()
            except OSError:  # it has just ended
                continue
            name = text[text.index("(") + 1 : text.rindex(")")]
            rest = text[text.rindex(")") + 2 :].split()
            seconds = sum(map(int, rest[11:15])) / _TICKS
            found[int(folder.name)] = _Process(name, int(rest[1]), seconds)
    return found


def cpu_seconds(pid: int) -> float:
    """What the process and everything below it have used so far."""
    processes = _processes()
    family, new = set[int](), {pid}
    while new:
        family |= new
        new = {child for child, process in processes.items() if process.parent in new} - family
    return sum(processes[member].seconds for member in family if member in processes)


def child_named(name: str) -> int:
    """The process of this name that we started."""
    return next(
        pid for pid, process in _processes().items() if process.name == name and process.parent == os.getpid()
    )
