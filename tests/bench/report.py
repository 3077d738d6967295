"""What is found, and how it is told: a table of SPEC's rows, and under it the figures they come from."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.bench.rounds import middle


class PartMissing(Exception):
    """Something that is measured against could not be set up; the sentence says what, and what to do."""


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound on a figure: at least, or at most."""

    bound: float
    at_most: bool = False

    def holds(self, figure: float) -> bool:
        """Whether `figure` is within."""
        return figure <= self.bound if self.at_most else figure >= self.bound

    def __str__(self) -> str:
        return f"{'≤' if self.at_most else '≥'} {readable(self.bound)}"


def at_least(bound: float) -> Goal:
    """The more the better."""
    return Goal(bound)


def at_most(bound: float) -> Goal:
    """The less the better."""
    return Goal(bound, at_most=True)


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a row: the median of the rounds' ratios, or what was counted."""

    rounds: Sequence[float]
    goal: Goal
    what: str = ""

    @property
    def measured(self) -> float:
        """The number that counts."""
        return middle(self.rounds)

    @property
    def holds(self) -> bool:
        """Whether it reaches its goal."""
        return self.goal.holds(self.measured)

    @property
    def spread(self) -> str:
        """From the least to the most."""
        least, most = readable(min(self.rounds)), readable(max(self.rounds))
        return least if least == most else f"{least} … {most}"


@dataclass(slots=True)
class Row:
    """One row of SPEC's table."""

    name: str
    work: str
    goals: str
    figures: list[Figure] = field(default_factory=list)
    missing: str = ""  #: why it was not measured

    @property
    def holds(self) -> bool:
        """Whether everything was measured and reaches its goal."""
        return bool(self.figures) and not self.missing and all(figure.holds for figure in self.figures)

    def as_json(self) -> dict[str, Any]:
        """`{row, measured, goal, holds}`; `measured` is a number, several where the row has several goals, null for none."""
        measured = [round(figure.measured, 5) for figure in self.figures]
        found = {
            "row": self.work,
            "measured": (measured[0] if len(measured) == 1 else measured) if measured else None,
            "goal": self.goals,
            "holds": self.holds,
        }
        return found | ({"missing": self.missing} if self.missing else {})


@dataclass(slots=True)
class Table:
    """Figures behind rows."""

    title: str
    columns: Sequence[str]
    lines: list[Sequence[str]] = field(default_factory=list)


def readable(number: float) -> str:
    """Three figures that count; small shares as `1/150`."""
    if 0 < number < 0.1:
        return f"1/{1 / number:.0f}"
    if number >= 1000:
        return f"{number:,.0f}"
    return f"{number:.3g}"


def overview(rows: Sequence[Row]) -> Table:
    """The rows as a table."""
    table = Table("", ("work", "at least", "measured", "rounds", ""))
    for row in rows:
        if row.missing:
            table.lines.append((row.work, row.goals, "not measured", row.missing, "✗"))
        else:
            measured = "; ".join(
                f"{figure.what} {readable(figure.measured)}".strip() for figure in row.figures
            )
            spread = "; ".join(figure.spread for figure in row.figures)
            table.lines.append((row.work, row.goals, measured, spread, "✓" if row.holds else "✗"))
    return table


def as_markdown(table: Table) -> str:
    """A pipe table with its title."""
    lines = [f"**{table.title}**", ""] if table.title else []
    lines += ["| " + " | ".join(table.columns) + " |", "| " + " | ".join("---" for _ in table.columns) + " |"]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in table.lines]
    return "\n".join(lines) + "\n"


def as_text(table: Table) -> str:
    """Columns for a terminal."""
    cells = [table.columns, *table.lines]
    widths = [max(len(line[place]) for line in cells) for place in range(len(table.columns))]
    lines = [f"{table.title}:"] if table.title else []
    for line in cells:
        padded = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        lines.append(f"  {padded}".rstrip())
    return "\n".join(lines) + "\n"
