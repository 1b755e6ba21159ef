"""The README's table of numbers: every measurement records its rows in docs/numbers.json, and the table is written from there."""

import json
from pathlib import Path

ROOT = Path(__file__).parents[1]
RECORDED = ROOT / "docs/numbers.json"
START, END = "<!-- numbers -->\n", "<!-- /numbers -->"
HEAD = ("what", "Cleave", "beside it", "conditions")
SOURCES = ("array", "cells", "ecp5", "run", "simulation")
"""Measurements, in the table's order."""

Row = tuple[str, ...]


def table(head: Row, rows: list[Row]) -> str:
    """Write a Markdown table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ("---",) * len(head), *rows]) + "\n"


def record(source: str, rows: list[Row]) -> None:
    """Replace a measurement's rows, and write the README's table anew."""
    recorded = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    recorded[source] = rows
    RECORDED.write_text(json.dumps({name: recorded[name] for name in SOURCES if name in recorded}, indent=1) + "\n")
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text().partition(START)
    _, _, after = rest.partition(END)
    rows = [tuple(row) for name in SOURCES for row in recorded.get(name, [])]
    readme.write_text(before + START + table(HEAD, rows) + END + after)
