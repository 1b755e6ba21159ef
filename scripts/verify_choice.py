#!/usr/bin/env python3
"""Compare the compiler's choice with the best of all tilings on small shapes (`make verify-choice`), by the timing model.

All tilings are: every partition, every grid of groups on the array, heights that cut M into 1, 2, 3 ... tiles, every number of sets
and of passes, both orders of blocks, and both choices of the stationary operand. Status 1 if a choice takes more than 1.02 times
the cycles of the best.
"""

import argparse
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from random import Random

from rich.console import Console
from rich.progress import Progress

from cleave.compile.choose import AHEAD, Choice, Memory, choose, cycles
from cleave.compile.pipeline import schedule
from cleave.compile.problem import Problem, cuts
from cleave.compile.tiling import Tiling
from cleave.config import PRESETS, EngineConfig
from cleave.report.tables import Table

WORST = 1.02
"""Times the best one's cycles that a choice may take."""

ENGINES = ("tiny", "odd", "default")


def main() -> int:
    """Compare, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", type=int, default=50, metavar="N", help="that are drawn")
    parser.add_argument("--seed", type=int, default=1, metavar="S")
    arguments = parser.parse_args()
    if arguments.shapes < 1:
        parser.error(f"shapes must be at least 1, not {arguments.shapes}")
    rng = Random(arguments.seed)
    sizes = [tuple(rng.randint(1, 64) for _ in "mkn") for _ in range(arguments.shapes)]
    cases = [(ENGINES[number % len(ENGINES)], m, k, n) for number, (m, k, n) in enumerate(sizes)]
    rows, worst = [], 0.0
    with Progress(console=Console(stderr=True)) as progress, ProcessPoolExecutor() as pool:
        task = progress.add_task("verify-choice", total=len(cases))
        for (name, *shape), (chosen, best, count, which) in zip(cases, pool.map(compare, cases), strict=True):
            rows.append((name, "x".join(map(str, shape)), str(count), f"{best}", f"{chosen}", f"{chosen / best:.3f}", which))
            worst = max(worst, chosen / best)
            progress.advance(task)
    print(Table(("engine", "shape", "tilings", "best cycles", "chosen", "chosen / best", "best tiling"), rows).markdown())
    within = sum(float(row[5]) <= WORST for row in rows)
    summary = f"{within} of {len(rows)} choices within {WORST - 1:.0%} of the best of all tilings, the worst {worst:.3f}"
    print(f"verify-choice: {summary}")
    return within < len(rows)


def compare(case: tuple[str, int, int, int]) -> tuple[int, int, int, str]:
    """Give the cycles of the choice and of the best tiling, how many there are, and which is the best."""
    name, m, k, n = case
    config, problem, memory = PRESETS[name], Problem(m, k, n), Memory()
    timed = [
        (round(cycles(Choice(tiling, schedule(tiling, memory.latency, AHEAD[0])), memory)), number, tiling)
        for number, tiling in enumerate(everything(problem, config))
    ]
    best, _, tiling = min(timed)
    chosen = round(cycles(choose(problem, config), memory))
    grid = f"{tiling.row_groups} x {tiling.column_groups} of {tiling.count}"
    which = f"{grid}, {tiling.tile_rows} rows, {tiling.sets} sets, {tiling.passes} passes"
    return chosen, best, len(timed), which + ", swapped" * (tiling.problem != problem)


def everything(problem: Problem, config: EngineConfig) -> Iterator[Tiling]:
    """Give every tiling."""
    slabs, swapped = config.array.slabs, problem.swapped
    for each, count in product({problem, swapped} - {None}, range(1, slabs + 1)):
        tiles = cuts(each.n, config.array.columns)
        for rows, columns in product(range(1, slabs // count + 1), repeat=2):
            if rows * columns > slabs // count or rows > each.m or columns > tiles:
                continue
            heights = sorted({cuts(each.m, rows * blocks) for blocks in range(1, each.m + 1)})
            column_sets, passes = cuts(tiles, columns), cuts(each.k, count * config.array.rows)
            for height, sets, chunk, rows_first in product(
                heights, range(1, column_sets + 1), range(1, passes + 1), (False, True)
            ):
                tiling = Tiling(config, each, count, 1, rows, columns, height, sets, chunk, rows_first)
                if tiling.legal and (not rows_first or sets < column_sets):
                    yield tiling


if __name__ == "__main__":
    sys.exit(main())
