"""Alternating rounds, A B C … C B A, so that what else happens on the machine falls on all alike."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

K = TypeVar("K")
T = TypeVar("T")


def alternate(measures: Mapping[K, Callable[[], T]], rounds: int) -> dict[K, list[T]]:
    """What each measured in each round."""
    found: dict[K, list[T]] = {name: [] for name in measures}
    for number in range(rounds):
        for name in list(measures) if number % 2 == 0 else reversed(list(measures)):
            found[name].append(measures[name]())
    return found


def middle(values: Sequence[float]) -> float:
    """The median."""
    return statistics.median(values)


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Round by round."""
    return [one / other for one, other in zip(ours, theirs, strict=True)]
