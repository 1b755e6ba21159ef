"""The report's tables, for a terminal and for Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table as RichTable

from .goals import Goal

__all__ = ["Table", "show", "cells_table", "blocks_table", "array_table", "goals_table", "number"]

Reports = Mapping[str, Mapping[str, Any]]
"""Reports by the name of their library."""


class Table(NamedTuple):
    """A heading for every column, and rows of as many words; numbers stand on the right."""

    head: tuple[str, ...]
    rows: list[tuple[str, ...]]
    words: int = 1
    """Columns from the left that are words."""

    def markdown(self) -> str:
        """Write a Markdown table."""
        rule = ["---"] * self.words + ["---:"] * (len(self.head) - self.words)
        return "".join(f"| {' | '.join(row)} |\n" for row in [self.head, rule, *self.rows])

    def rich(self, title: str) -> RichTable:
        """Give a table for a terminal."""
        table = RichTable(title=title, title_justify="left", show_edge=False)
        for column, name in enumerate(self.head):
            table.add_column(name, justify="left" if column < self.words else "right")
        for row in self.rows:
            table.add_row(*row)
        return table


def number(value: float | None, digits: int = 4) -> str:
    """Write a number with so many digits at least; a dash for none."""
    if value is None:
        return "-"
    whole = len(str(int(abs(value))))
    return f"{value:,.{max(0, digits - whole)}f}"


def percent(value: float | None) -> str:
    """Write a share; a dash for none."""
    return "-" if value is None else f"{100 * value:.1f} %"


def show(report: Mapping[str, Any], console: Console) -> None:
    """Print the report of one engine on one library."""
    library, tools = report["library"], report["tools"]
    reports = {"": report}
    console.print(array_table(report).rich(f"{report['config']}, {report['cell']} cells, on {library['name']}"))
    console.print(
        f"The textbook's cells are the smallest of {', '.join(report['textbook_logic_um2'])}: {report['textbook_cell']}. "
        f"With LOAD, DRAIN and the bus the engine has {number(report['engine_logic_um2'] / 1000)} thousand um2, "
        f"{report['engine_split_over_monolithic']:.3f} of the monolithic one.\n"
    )
    console.print(cells_table(reports).rich("Cells, per MAC"))
    console.print(blocks_table(reports).rich("Blocks"))
    delays = "before layout" if tools["opensta"] else "not measured, as OpenSTA is not installed"
    console.print(f"{tools['yosys']}: {report['recipe']}. Delays: {delays}.")


def cells_table(reports: Reports) -> Table:
    """Cells per MAC on every library."""
    head = ["cell", "registers", "full adders"]
    for library in reports:
        head += [f"{library} um2".strip(), "ns", "FA + reg."]
    first, *_ = reports.values()
    rows = []
    for name, cell in first["cells"].items():
        full_adders = max(report["cells"][name]["full_adders_per_mac"] for report in reports.values())
        row = [name, number(cell["registers_per_mac"], 3), number(full_adders, 3) if full_adders else "-"]
        for report in reports.values():
            here = report["cells"][name]
            row += [number(here["um2_per_mac"]), number(here["delay_ns"], 3), percent(here["share_of_full_adders_and_registers"])]
        rows.append(tuple(row))
    return Table(tuple(head), rows)


def blocks_table(reports: Reports, section: str = "blocks") -> Table:
    """Building blocks on every library, or the blocks of another section."""
    head = ["block", "how"]
    for library in reports:
        head += [f"{library} um2".strip(), "ns"]
    first, *_ = reports.values()
    rows = []
    for place, block in enumerate(first[section]):
        row = [block["does"], block["how"]]
        for report in reports.values():
            row += [number(report[section][place]["area_um2"]), number(report[section][place]["delay_ns"], 3)]
        rows.append(tuple(row))
    return Table(tuple(head), rows, words=2)


def array_table(array: Mapping[str, Any]) -> Table:
    """One array split, monolithic and as a textbook's, by its parts: thousands of um2, and the share of the whole."""
    names = list(array["parts"])
    whole = {name: array["arrays"][name]["logic_um2"] for name in names}
    rows = [
        (part.removesuffix("_um2"), *(_cells(array["parts"][name][part], whole[name]) for name in names))
        for part in array["parts"]["split"]
    ]
    rows += [
        ("all logic", *(_cells(whole[name], whole[name]) for name in names)),
        ("split / this", *((f"{array['logic_um2'] / whole[name]:.3f}", "") for name in names)),
        ("memory, kbit", *((number(array["arrays"][name]["memory_bits"] / 1000), "") for name in names)),
    ]
    head = ("part", *(word for name in names for word in (f"{name}, 1000 um2", "share")))
    return Table(head, [(part, *(word for pair in pairs for word in pair)) for part, *pairs in rows])


def _cells(um2: float, whole: float) -> tuple[str, str]:
    return number(um2 / 1000), percent(um2 / whole)


def goals_table(goals: Sequence[Goal], report: Mapping[str, Any]) -> Table:
    """Every goal, what was measured, and whether it was met."""
    rows = []
    for goal in goals:
        measured = goal.measured(report)
        verdict = "not measured" if measured is None else "MISSED" if goal.missed(report) else "met"
        rows.append((f"{goal.row}: {goal.key.replace('_', ' ')}", number(measured), number(goal.most, 3), verdict))
    return Table(("what", "measured", "at most", ""), rows)
