#!/usr/bin/env python3
"""Write the workload suite's tables and judge its goals (`make bench-utilisation` measures, then writes).

Takes what `cleave bench utilisation --json` wrote for the default array and for the 128 x 128 one. Nothing is written that is not
in these files. Status 1 if a workload stays below its goal.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from numbers_table import ARRAY, SUITES, Row, record

from cleave.suite.bench import BASELINES, SPLIT
from cleave.suite.tables import array_table, memory_table

README_GROUPS = ("decode", "attention", "experts")
"""Groups whose means stand in the README."""


def rows(report: dict[str, Any]) -> list[Row]:
    """Give rows of the README's table."""
    name = report["configurations"][SPLIT]
    found: list[Row] = []
    for group in README_GROUPS:
        if group in report["geometric_means"]:
            means = report["geometric_means"][group]
            largest = max(row["array_speedup_over_scale_sim"] for row in report["workloads"] if row["group"] == group)
            over = [f"{means[f'array_speedup_over_{baseline}']:.2f} {baseline.replace('_', ' ')}" for baseline in BASELINES]
            found.append((
                f"speed-up of the array, {group}",
                f"{means['array_speedup_over_scale_sim']:.2f} x over SCALE-Sim's count, at most {largest:.2f}",
                f"over {', '.join(over)}",
                f"geometric mean of the suite's shapes, `{name}`, operands always there",
            ))  # fmt: skip
    return found


def missed(report: dict[str, Any]) -> list[str]:
    """Name the workloads that stay below their goals."""
    return [row["name"] for row in report["workloads"] if row[SPLIT]["reached"] < row["goal"]]


def main() -> int:
    """Write, and say which goals are missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in SUITES:
        parser.add_argument(name, type=Path)
    arguments = parser.parse_args()
    reports = {name: json.loads(path.read_text()) for name, path in vars(arguments).items()}
    for name, report in reports.items():
        record(name, memory_table(report).rows)
        record(name + ARRAY, array_table(report).rows)
    record("suite", rows(reports[SUITES[-1]]))
    short = {report["configurations"][SPLIT]: missed(report) for report in reports.values()}
    goals, lost = sum(len(report["workloads"]) for report in reports.values()), sum(map(len, short.values()))
    for name, names in short.items():
        print(f"{name}, below their goals: {', '.join(names) or 'none'}")
    print(f"bench-utilisation: {goals - lost} of {goals} goals met")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
