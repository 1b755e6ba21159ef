#!/usr/bin/env python3
"""Compare the timing model with the RTL on random programs (`make verify-model`): all counters, to the cycle.

Programs are of all instructions, with tokens, of all partitions, formats and outputs, on memories of latency 1 to 200 and of full
or limited bandwidth. A difference is printed with the seed that draws its case again. Status 1 if there is one.
"""

import argparse
import sys
import time
from itertools import count
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

sys.path.insert(0, str(Path(__file__).parents[1]))  # the cases are the tests' own

from cleave.engine.isa import INSTRUCTION_BYTES, Counter
from cleave.report.tables import Table
from tb.model.timed import CONFIGS, cases, differences, predicted


def main() -> int:
    """Compare, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=60, metavar="N", help="of each engine")
    parser.add_argument("--longest", type=int, default=80, metavar="N", help="most instructions of a program")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the first case")
    parser.add_argument("--config", choices=CONFIGS, action="append", help="only this engine; may be given again")
    arguments = parser.parse_args()
    if arguments.cases < 1 or arguments.longest < 1 or arguments.seed < 0:
        parser.error("cases and longest must be 1 or more, seed 0 or more")
    rows, wrong = [], []
    names = arguments.config or list(CONFIGS)
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("verify-model", total=len(names) * arguments.cases)
        for name in names:
            config = CONFIGS[name]
            instructions = cycles = different = 0
            seconds = 0.0
            for case, counters in cases(config, count(arguments.seed), arguments.cases, arguments.longest):
                begin = time.perf_counter()
                timing = predicted(config, case)
                seconds += time.perf_counter() - begin
                found = differences(case, timing, counters)
                wrong += [f"{name}: {line}" for line in found]
                different += bool(found)
                instructions += len(case.program) // INSTRUCTION_BYTES
                cycles += counters[Counter.CYCLES]
                progress.advance(task)
            rows.append((
                name, config.name, str(arguments.cases), f"{instructions:,}", f"{cycles:,}", str(different),
                f"{instructions / seconds:,.0f}",
            ))  # fmt: skip
    head = ("engine", "array", "programs", "instructions", "cycles in the RTL", "programs that differ", "instructions a second")
    print(Table(head, rows).markdown())
    print(*wrong, sep="\n", end="\n" if wrong else "")
    total = len(names) * arguments.cases
    print(f"verify-model: {total - sum(int(row[5]) for row in rows)} of {total} programs equal in all {len(Counter)} counters")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
