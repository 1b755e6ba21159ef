#!/usr/bin/env python3
"""Clock and size of arrays of cells on an ECP5 (`make report-ecp5`), beside the same arrays in `*` and `+`.

Places and routes every array with three seeds; writes a page of tables, and all numbers to a JSON file. Status 1 if a goal is
missed, 2 if a tool fails.
"""

import argparse
import json
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from amaranth.hdl import Elaboratable, Module, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from numbers_table import Row, measured_before, record
from rich.console import Console
from rich.progress import Progress

from cleave.array.cell_ecp5 import registers
from cleave.array.cells import make_cell
from cleave.array.column import Column
from cleave.array.skew import ripple
from cleave.config import OPERAND_BITS, ArrayConfig, bits_for
from cleave.export import convert
from cleave.fpga.flow import LFE5U_85F, nextpnr_version, place_and_route, synthesise
from cleave.hdl import delay, share
from cleave.numerics.formats import PAIRS
from cleave.report.tables import Table, number
from cleave.report.tools import SynthesisError, versions

ROOT = Path(__file__).parents[1]
SEEDS = (1, 2, 3)
PIPELINED_MHZ = 285.0
"""What a multiplier with all its registers is taken to reach; nextpnr does not time its inside."""
UNPIPELINED_MHZ = 1000 / (3.93 + 0.08)
"""The same without the register in the middle: its delay from factors to product without registers, and a setup."""


@dataclass(frozen=True)
class Candidate:
    """An array to measure, and what it should reach."""

    name: str
    array: ArrayConfig
    goal_mhz: float | None = None

    @property
    def multiplier_mhz(self) -> float | None:
        """Limit that nextpnr does not know of."""
        if self.array.cell != "ecp5":
            return None
        _, pipeline, _ = registers(self.array)
        return PIPELINED_MHZ if pipeline else UNPIPELINED_MHZ


def ecp5(rows: int, columns: int, stages: int, *, dot: int = 1, stationary_bits: int = 8) -> ArrayConfig:
    """Describe an array of ECP5 cells."""
    return ArrayConfig(
        slabs=1, rows=rows, columns=columns, dot=dot, multiply_stages=stages, cell="ecp5", stationary_bits=stationary_bits
    )


CANDIDATES = [
    Candidate("`*` and `+`, 8 x 8", ArrayConfig(slabs=1, rows=8, columns=8)),
    Candidate("`*` and `+`, 8 x 8, 5 stages", ArrayConfig(slabs=1, rows=8, columns=8, multiply_stages=5)),
    Candidate("8 x 8, 2 stages", ecp5(8, 8, 2)),
    Candidate("8 x 8, 3 stages", ecp5(8, 8, 3)),
    Candidate("8 x 8, 4 stages", ecp5(8, 8, 4), 195),
    Candidate("8 x 8, 5 stages", ecp5(8, 8, 5), 195),
    Candidate("8 x 8, dot 2, 5 stages", ecp5(8, 8, 5, dot=2)),
    Candidate("8 x 8, dot 4, 6 stages", ecp5(8, 8, 6, dot=4)),
    Candidate("16 x 8, 4 stages", ecp5(16, 8, 4), 170),
    Candidate("16 x 8, 5 stages", ecp5(16, 8, 5), 170),
    Candidate("16 x 8, dot 4, 6 stages", ecp5(16, 8, 6, dot=4)),
    Candidate("W4A8, 8 x 8 x 2, 4 stages", ecp5(8, 8, 4, stationary_bits=4), 190),
    Candidate("W4A8, 8 x 8 x 2, 5 stages", ecp5(8, 8, 5, stationary_bits=4), 190),
]


class Grid(wiring.Component):
    """Columns beside each other, as in a slab: operands skewed and passed east, controls and stationary operands from registers."""

    def __init__(self, array: ArrayConfig) -> None:
        self.array = array
        super().__init__({
            "moving": In(OPERAND_BITS * array.rows),
            "swap": In(1),
            "write": In(1),
            "index": In(bits_for(array.load_cycles)),
            "stationary": In(OPERAND_BITS * array.load_rows).array(array.columns),
            "product": Out(signed(array.sum_bits)).array(array.columns, array.lanes),
        } | ({"pairs": In(bits_for(len(PAIRS)))} if array.lanes > 1 else {}))

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        array = self.array
        columns: list[Any] = [share(platform, Column(array)) for _ in range(array.columns)]
        for r in range(array.cells):
            west = self.moving.word_select(r, OPERAND_BITS * array.dot)
            m.d.comb += columns[0].from_west[r].eq(delay(m, f"moving_{r}", west, r + 1))
            m.d.comb += [east.from_west[r].eq(west.to_east[r]) for west, east in pairwise(columns)]
        names = ["swap", "write", "index", *(["pairs"] if array.lanes > 1 else [])]
        controls = {name: ripple(m, name, getattr(self, name), array.columns + 1)[1:] for name in names}
        for c, column in enumerate(columns):
            m.submodules[f"column_{c}"] = column
            m.d.comb += [getattr(column, name).eq(line[c]) for name, line in controls.items()]
            m.d.comb += column.stationary.eq(delay(m, f"stationary_{c}", self.stationary[c], 1))
            m.d.comb += [sum_.eq(product) for sum_, product in zip(self.product[c], column.product, strict=True)]
        return m


def measure(candidate: Candidate) -> dict[str, Any]:
    """Synthesise, place and route an array; give all its numbers."""
    array = candidate.array
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cell = synthesise(convert(make_cell(array), "cell"), folder)
        counts = synthesise(convert(Grid(array), "grid"), folder)
        routed = [place_and_route("grid", folder, LFE5U_85F, seed=seed, target_mhz=PIPELINED_MHZ) for seed in SEEDS]
    limit = candidate.multiplier_mhz
    fmax = median(run.fmax_mhz for run in routed)
    return {
        "macs": array.macs, "multiply_stages": array.multiply_stages, "goal_mhz": candidate.goal_mhz,
        "median_fmax_mhz": fmax if limit is None else min(fmax, limit), "multiplier_mhz": limit,
        "primitives": counts, "primitives_of_a_cell": cell, "seeds": dict(zip(SEEDS, map(asdict, routed), strict=True)),
    }  # fmt: skip


TEXT = """\
# Arrays on an ECP5

Written by `make report-ecp5`.

LFE5U-85F, speed grade {device.speed}; {tools[yosys]}, {tools[nextpnr]}. Columns of cells beside each other with their skew and
controls, out of context: ports have no pins, and paths from and to them are not timed. Seeds {seeds}, and their median; the target
is {pipelined:.0f} MHz. nextpnr does not time the inside of a multiplier between its registers, so medians end at {pipelined:.0f}
MHz, and at {unpipelined:.0f} MHz where the multiplier has no register in its middle.

## Clock

{clocks}
The critical path is that of the median seed. Peak counts two operations per MAC and cycle, at the median.

## Size

Per MAC of a whole array. Its LUT4 decode which stationary row is written, once per column, and in W4A8 whether its bytes are
INT8 or two of 4 bits, which the same array multiplies at half and at the full rate. A cell alone has as many as the last
column says: neither a sum nor a product nor, in W4A8, the parting of two products needs any.

{sizes}"""


def page(report: dict[str, Any]) -> str:
    """Write the page."""
    return TEXT.format(
        device=LFE5U_85F, tools=report["tools"], seeds=", ".join(map(str, SEEDS)), pipelined=PIPELINED_MHZ,
        unpipelined=UNPIPELINED_MHZ, clocks=clocks(report).markdown(), sizes=sizes(report).markdown(),
    )  # fmt: skip


def clocks(report: dict[str, Any]) -> Table:
    """Tabulate clock rates."""
    head = ("array", "MAC", "MHz by seed", "median", "goal", "critical path, ns of logic + routing", "peak GOP/s", "seconds a seed")
    rows = []
    for name, array in report["arrays"].items():
        seeds = sorted(array["seeds"].values(), key=lambda run: run["fmax_mhz"])
        middle, fmax = seeds[len(seeds) // 2], array["median_fmax_mhz"]
        rows.append((
            name, str(array["macs"]), ", ".join(f"{run['fmax_mhz']:.0f}" for run in array["seeds"].values()), f"{fmax:.0f}",
            f"{array['goal_mhz']} {'missed' if missed(array) else 'met'}" if array["goal_mhz"] else "-",
            f"{middle['logic_ns']:.1f} + {middle['routing_ns']:.1f}", number(2 * array["macs"] * fmax / 1000, 3),
            f"{sum(run['seconds'] for run in seeds) / len(seeds):.0f}",
        ))  # fmt: skip
    return Table(head, rows)


def sizes(report: dict[str, Any]) -> Table:
    """Tabulate primitives."""
    kinds = ("MULT18X18D", "CCU2C", "TRELLIS_FF", "LUT4")
    rows = [
        (name, *(f"{array['primitives'].get(kind, 0) / array['macs']:.2f}" for kind in kinds),
         str(array["primitives_of_a_cell"].get("LUT4", 0)))
        for name, array in report["arrays"].items()
    ]  # fmt: skip
    return Table(("array", *kinds, "LUT4 of a cell"), rows)


def rows(report: dict[str, Any]) -> list[Row]:
    """Give rows of the README's table: the best of arrays that compute the same, beside the inferred cell."""
    arrays = report["arrays"]
    inferred = arrays[CANDIDATES[0].name]["median_fmax_mhz"]
    best: dict[str, str] = {}
    for name in (candidate.name for candidate in CANDIDATES if candidate.goal_mhz):
        shape = name.rpartition(",")[0]
        best[shape] = max(best.get(shape, name), name, key=lambda each: arrays[each]["median_fmax_mhz"])
    return [
        (
            f"clock of an array on an ECP5, {name}", f"{arrays[name]['median_fmax_mhz']:.0f} MHz",
            f"8 x 8 in `*` and `+`: {inferred:.0f} MHz",
            f"LFE5U-85F, grade {LFE5U_85F.speed}, median of {len(SEEDS)} seeds, array alone, {arrays[name]['macs']} MAC a cycle",
        )
        for name in best.values()
    ]  # fmt: skip


def missed(array: dict[str, Any]) -> bool:
    """Tell whether an array is slower than its goal, or a cell of multipliers has a LUT."""
    slow = array["goal_mhz"] is not None and array["median_fmax_mhz"] < array["goal_mhz"]
    return slow or (array["multiplier_mhz"] is not None and "LUT4" in array["primitives_of_a_cell"])


def earlier(file: Path, tools: dict[str, Any]) -> dict[str, Any]:
    """Give what a file has of arrays measured before, with the same tools.

    Raises
    ------
    ValueError
        If it does not have all of them.
    """
    report = measured_before(file, "arrays")
    if report["tools"] != tools or any(each.name not in report["arrays"] for each in CANDIDATES):
        raise ValueError(f"{file} must have all arrays, by the same tools: measure all")
    return report["arrays"]


def main() -> int:
    """Measure, write, and say which goals are met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="TEXT", help="measure arrays with this in their names only")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), metavar="N", help="arrays measured at once")
    parser.add_argument("--page", type=Path, default=ROOT / "docs/ecp5.md", help="file for the tables")
    parser.add_argument("--json", type=Path, default=ROOT / "out/report_ecp5.json", help="file for all numbers")
    arguments = parser.parse_args()
    try:
        tools = versions() | {"nextpnr": nextpnr_version()}
        chosen = [each for each in CANDIDATES if arguments.only in each.name]
        kept = earlier(arguments.json, tools) if len(chosen) < len(CANDIDATES) else {}
        with ThreadPoolExecutor(arguments.jobs) as pool, Progress(console=Console(stderr=True)) as progress:
            results = progress.track(pool.map(measure, chosen), total=len(chosen), description="report-ecp5")
            measured = kept | dict(zip([each.name for each in chosen], results, strict=True))
            report = {"tools": tools, "arrays": {each.name: measured[each.name] for each in CANDIDATES}}
    except (SynthesisError, ValueError) as error:
        print(f"report-ecp5: {error}", file=sys.stderr)
        return 2
    arguments.json.parent.mkdir(exist_ok=True)
    arguments.json.write_text(json.dumps(report, indent=2) + "\n")
    arguments.page.write_text(page(report))
    record("ecp5", rows(report))
    behind = [name for name, array in report["arrays"].items() if missed(array)]
    goals = sum(each.goal_mhz is not None for each in CANDIDATES)
    best = {name: f"{array['median_fmax_mhz']:.0f} MHz" for name, array in report["arrays"].items() if array["goal_mhz"]}
    summary = ", ".join(f"{name} {fmax}" for name, fmax in best.items())
    print(f"report-ecp5: {summary}; {goals - len(behind)} of {goals} goals met" + (f"; missed: {behind}" if behind else ""))
    return 1 if behind else 0


if __name__ == "__main__":
    sys.exit(main())
