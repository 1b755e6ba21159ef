"""Tables of recorded numbers: every measurement records its rows in docs/numbers.json, and the tables are written from there."""

import json
from pathlib import Path
from typing import Any

from cleave.suite.tables import ARRAY_HEAD, MEMORY_HEAD

ROOT = Path(__file__).parents[1]
RECORDED = ROOT / "docs/numbers.json"
HEAD = ("what", "Cleave", "beside it", "conditions")
SOURCES = ("array", "suite", "cells", "ecp5", "run", "simulation")
"""Measurements of the README's table, in its order."""

ACCURACY = "accuracy"
"""Measurement of the table of errors in docs/results.md."""
ACCURACY_HEAD = (
    "format", "sums",
    *(f"{data}, {which}" for data in ("Gaussian", "heavy tails", "real") for which in ("median", "worst", "worst / terms")),
)  # fmt: skip

SUITES = ("suite-default", "suite-large")
"""Tables of the workload suite in docs/results.md, each with its memory and, under `ARRAY`, of the array alone."""

ARRAY = "-array"

Row = tuple[str, ...]


def table(head: Row, rows: list[Row]) -> str:
    """Write a Markdown table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ("---",) * len(head), *rows]) + "\n"


def measured_before(file: Path, what: str) -> dict[str, Any]:
    """Read a report, of which only a part is to be measured anew.

    Raises
    ------
    ValueError
        If there is none.
    """
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"{file} must have the other {what}: {error}") from error


def pages() -> dict[str, Row]:
    """Give the tables of docs/results.md that are written from the record, with their heads."""
    kinds = {"": MEMORY_HEAD, ARRAY: ARRAY_HEAD}
    return {ACCURACY: ACCURACY_HEAD} | {name + kind: head for name in SUITES for kind, head in kinds.items()}


def markers(name: str) -> tuple[str, str]:
    """Give what stands before and after a table that is written from the record."""
    return f"<!-- {name} -->\n", f"<!-- /{name} -->"


def record(source: str, rows: list[Row]) -> None:
    """Replace a measurement's rows, and write the README's table and that of docs/results.md anew."""
    recorded = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    recorded[source] = rows
    order = (*SOURCES, *pages())
    RECORDED.write_text(json.dumps({name: recorded[name] for name in order if name in recorded}, indent=1) + "\n")
    _insert(ROOT / "README.md", "numbers", HEAD, [row for name in SOURCES for row in recorded.get(name, [])])
    for name, head in pages().items():
        _insert(ROOT / "docs/results.md", name, head, recorded.get(name, []))


def _insert(page: Path, name: str, head: Row, rows: list[Row]) -> None:
    start, end = markers(name)
    before, _, rest = page.read_text().partition(start)
    _, _, after = rest.partition(end)
    page.write_text(before + start + table(head, rows) + end + after)
