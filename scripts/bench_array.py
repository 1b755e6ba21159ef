#!/usr/bin/env python3
"""Utilisation of the array by its own counters (`make bench-array`): operands resident, split against monolithic.

Each workload runs on the split array and on the two monolithic baselines: one slab with all the rows and (a) the same
stationary port, (b) the same total stationary bandwidth, as far as the cells' width allows. ARRAY_CYCLES are the
hardware's, from the first pass's start to the last result's write; every result is checked against numpy. The same array with
two lanes in each column multiplies INT8 and 4-bit stationary operands. Status 1 if the split array, or its lanes, stay below a
goal.
"""

import argparse
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from cleave.compile.trains import Train, compile_trains
from cleave.config import EngineConfig, load_config
from cleave.engine.isa import Counter
from cleave.numerics.formats import PAIRS
from cleave.sim import Simulator


@dataclass(frozen=True)
class Workload:
    """A train on the split array, the same work on one slab of the same size, and the goal for the first."""

    name: str
    split: list[Train]
    monolithic: Train
    goal: float


def workloads(config: EngineConfig) -> list[Workload]:
    """Give the workloads: a long pass, a short pass, and contractions shorter than the array."""
    slabs, rows = config.array.slabs, config.array.rows
    passes = 64
    return [
        Workload("M = 64, train of 64 passes, fused", [Train(0, slabs, 64, 64)], Train(0, 1, 64, 64), 0.99),
        Workload(f"M = {rows}, train of 256 passes, fused", [Train(0, slabs, rows, 256)], Train(0, 1, rows, 256), 0.97),
        Workload(
            f"{slabs} problems of K = {rows} side by side, M = 64, {passes} passes each",
            [Train(slab, 1, 64, passes, accumulate=False) for slab in range(slabs)],
            Train(0, 1, 64, slabs * passes, accumulate=False, depth=rows),
            0.97,
        ),
    ]


def utilisation(config: EngineConfig, trains: list[Train]) -> tuple[float, int]:
    """Run trains on the RTL; give useful MACs over MACs times array cycles, and the array cycles."""
    resident = compile_trains(config, trains)
    with Simulator(config, memory_bytes=2**26) as simulator:
        simulator.memory[: len(resident.memory)] = resident.memory
        counters = simulator.run(resident.offset, resident.length).counters
        for got, want in zip(resident.computed(simulator.memory), resident.expected, strict=True):
            np.testing.assert_array_equal(got, want)
    cycles = counters[Counter.ARRAY_CYCLES]
    return counters[Counter.USEFUL_MACS] / (config.array.macs * cycles), cycles


PAIRED_GOAL = 1.98
"""Products of 4-bit stationary operands over those of INT8, in the same cycles of the same array."""


def precisions(config: EngineConfig) -> list[dict[str, Any]]:
    """Run the first two workloads' trains on an array with two lanes, of INT8 and of pairs; give useful MACs per cycle."""
    lanes = replace(config, array=replace(config.array, stationary_bits=4))
    places = config.array.macs
    rows = []
    for workload in workloads(config)[:2]:
        row: dict[str, Any] = {"workload": workload.name, "goal_ratio": PAIRED_GOAL}
        for pairs, element in enumerate(PAIRS):
            value, cycles = utilisation(lanes, [replace(train, pairs=pairs) for train in workload.split])
            name = element.name.lower()
            row |= {f"{name}_macs_per_cycle": value * lanes.array.macs, f"{name}_array_cycles": cycles}
        rows.append(row | {"places": places, "configuration": lanes.name})
    return rows


def print_precisions(console: Console, rows: list[dict[str, Any]]) -> None:
    """Print what `precisions` gave."""
    shape = f"{rows[0]['configuration']}, {rows[0]['places']} places"
    table = Table(title=f"Useful MACs per cycle, INT8 by each kind of stationary operands, {shape}, RTL")
    table.add_column("workload")
    for element in PAIRS:
        table.add_column(element.name, justify="right")
    for row in rows:
        table.add_row(str(row["workload"]), *(f"{row[f'{element.name.lower()}_macs_per_cycle']:.1f}" for element in PAIRS))
    console.print(table)


def main() -> int:
    """Measure, print and judge."""
    parser = argparse.ArgumentParser(description="Utilisation of the array by its own counters.")
    parser.add_argument("--config", default="default")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    config = load_config(arguments.config)
    engines = {
        "split": config,
        "monolithic_same_port": config.monolithic(),
        "monolithic_same_bandwidth": config.monolithic(same_bandwidth=True),
    }

    rows = []
    for workload in workloads(config):
        row: dict[str, object] = {"workload": workload.name, "goal_array_utilisation": workload.goal}
        for name, engine in engines.items():
            value, cycles = utilisation(engine, workload.split if name == "split" else [workload.monolithic])
            row |= {f"{name}_array_utilisation": value, f"{name}_array_cycles": cycles}
        rows.append(row)

    table = Table(title=f"Array utilisation, {config.name}, RTL, operands resident")
    table.add_column("workload")
    for name, engine in engines.items():
        table.add_column(f"{name.replace('_', ' ')}\n{engine.name}", justify="right")
    for row in rows:
        table.add_row(str(row["workload"]), *(f"{row[f'{name}_array_utilisation']:.1%}" for name in engines))
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(table)
    narrow = precisions(config)
    print_precisions(console, narrow)
    if arguments.json:
        shapes = {name: engine.name for name, engine in engines.items()}
        result = {"configurations": shapes, "workloads": rows, "precisions": narrow}
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    missed = [row["workload"] for row in rows if row["split_array_utilisation"] < row["goal_array_utilisation"]]
    missed += [
        f"{row['workload']}, {name}" for row in narrow for name in ("int4", "e2m1")
        if row[f"{name}_macs_per_cycle"] < PAIRED_GOAL * row["int8_macs_per_cycle"]
    ]  # fmt: skip
    goals = len(rows) + 2 * len(narrow)
    print(f"bench-array: {goals - len(missed)} of {goals} goals met" + (f"; missed: {missed}" if missed else ""))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
